//! A private world for each test: state folder, an image, and a shell script in QEMU's place that plays the guest.

#![allow(dead_code, reason = "each test program uses its own part of this")]

#[path = "image.rs"]
pub mod image;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// One test's world.
pub struct World {
    pub dir: TempDir,
    pub image: PathBuf,
}

impl World {
    /// `guest` is shell code: descriptor 3 is stdin and stdout, 4 stderr, 5 control, 6 the kernel log, 7 the monitor.
    pub fn new(guest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("fake.img");
        std::fs::write(&image, image::fake_image(3 << 20)).unwrap();
        let world = Self { dir, image };
        world.script("qemu", &format!("touch {}/started\n{guest}", world.dir.path().display()));
        for file in [&world.image, &world.dir.path().join("qemu")] {
            std::fs::set_permissions(file, Permissions::from_mode(0o755)).unwrap();
        }
        world
    }

    fn script(&self, name: &str, body: &str) {
        std::fs::write(self.dir.path().join(name), format!("#!/bin/bash\n{body}\n")).unwrap();
    }

    /// The `unibody` command in this world. It does not handle signals that its parent ignores, and the tests may have
    /// been started with `nohup`.
    pub fn unibody(&self, args: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/env");
        command.args(["--default-signal", env!("CARGO_BIN_EXE_unibody")]).args(args).current_dir(self.dir.path());
        command.env("XDG_RUNTIME_DIR", self.dir.path()).env("UNIBODY_QEMU", self.dir.path().join("qemu"));
        command
    }

    /// Runs it to its end.
    pub fn output(&self, args: &[&str]) -> Output {
        self.unibody(args).stdin(std::process::Stdio::null()).output().unwrap()
    }

    /// Runs it; exit status, standard output and standard error as text.
    pub fn text(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.output(args);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Whether the VMM was started.
    pub fn started(&self) -> bool {
        self.dir.path().join("started").exists()
    }

    /// Waits until a file of the world exists.
    pub fn wait_for(&self, file: &str) {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !self.dir.path().join(file).exists() {
            assert!(std::time::Instant::now() < end, "{file} does not appear");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
