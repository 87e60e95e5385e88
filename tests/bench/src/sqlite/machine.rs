//! The two guests' command lines: one machine, one kind of disk.

use super::program::Programs;
use super::work::{Storage, Work};
use crate::guest::{COUNT, Guest};
use crate::linux::{self, Kernel};
use anyhow::{Context, Result};
use clap::Parser;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use unibody::image::Image;
use unibody::run::options::RunArgs;
use unibody::run::prepare;
use unibody::size;
use unibody::vmm::accel::Accel;
use unibody::vmm::qemu::Qemu;
use unibody::vmm::{self, Disk, Port, Stream};

/// Memory of both guests.
const MEMORY: &str = "512M";
/// The machine of both.
const MACHINE: &str = "q35";

/// What is the same for all runs.
pub struct Machine {
    /// The accelerator for times.
    pub accel: Accel,
    /// A folder for disks and initrds.
    pub work: PathBuf,
}

/// The Linux guest's files.
pub struct LinuxGuest {
    pub kernel: Kernel,
    /// Its root.
    pub initramfs: PathBuf,
}

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    run: RunArgs,
}

impl Machine {
    /// Features hidden from the processors. Under emulation `rep` costs an instruction per byte, which would make
    /// Linux's copies look expensive.
    fn without(&self, counts: bool) -> &'static [&'static str] {
        match (counts, self.accel) {
            // No random numbers from the processor, so that two runs execute the same instructions.
            (true, _) => &["erms", "fsrm", "rdrand", "rdseed"],
            (false, Accel::Tcg) => &["erms", "fsrm"],
            (false, Accel::Kvm) => &[],
        }
    }

    fn accel(&self, counts: bool) -> Accel {
        if counts { Accel::Tcg } else { self.accel }
    }

    /// Our guest, as `unibody run` starts it.
    pub fn ours(&self, programs: &Programs, work: Work, disk: Option<&Path>, counts: bool) -> Result<Guest> {
        let mut words: Vec<OsString> =
            ["unibody", "-m", MEMORY, "--machine", MACHINE, "--net", "none", "--accel"].map(OsString::from).to_vec();
        words.push(self.accel(counts).name().into());
        let mut path = "/bench.db".to_owned();
        if let Some(disk) = disk {
            words.push("--disk".into());
            let mut word = disk.as_os_str().to_owned();
            word.push(":/data");
            words.push(word);
            path = "/data/bench.db".to_owned();
        }
        words.push(programs.image.clone().into());
        words.push("--".into());
        words.extend(work.args(&path).into_iter().map(OsString::from));
        let args = Words::try_parse_from(words).context("the bench's own options")?.run;
        let image = Image::open(&programs.image)?;
        let vm = prepare::prepare(&args, &image, &mut |_| {})?;
        let initrd = self.work.join("initrd");
        std::fs::write(&initrd, &vm.initrd).with_context(|| format!("cannot write {}", initrd.display()))?;
        self.guest(vm.machine(&initrd), counts)
    }

    /// The Linux guest.
    pub fn linux(
        &self,
        guest: &LinuxGuest,
        work: Work,
        storage: Storage,
        disk_file: Option<&Path>,
        counts: bool,
    ) -> Result<Guest> {
        let command =
            [&[storage.linux().to_owned(), linux::PROGRAM.to_owned()], &work.args("/data/bench.db")[..]].concat();
        // The same as `--disk` makes of a file.
        let disk = |file: &Path| Disk { file: file.to_owned(), serial: "disk0".to_owned(), read_only: false };
        let machine = vmm::Machine {
            name: "linux".to_owned(),
            board: MACHINE.parse().map_err(anyhow::Error::msg)?,
            accel: self.accel(counts),
            without: &[],
            processors: 1,
            memory: size::parse(MEMORY).map_err(anyhow::Error::msg)?,
            kernel: guest.kernel.image.clone(),
            initrd: guest.initramfs.clone(),
            command_line: format!("{} -- bench {}", linux::PARAMETERS, command.join(" ")),
            firmware: Vec::new(),
            ports: vec![Port { name: None, stream: Stream::Stdio }],
            disks: disk_file.map(disk).into_iter().collect(),
            card: None,
            shares: Vec::new(),
        };
        self.guest(machine, counts)
    }

    fn guest(&self, machine: vmm::Machine, counts: bool) -> Result<Guest> {
        let qemu = Qemu::find()?;
        let mut args = qemu.arguments(&vmm::Machine { without: self.without(counts), ..machine });
        if counts {
            args.extend(COUNT.map(OsString::from));
        }
        Ok(Guest { qemu, args, counts })
    }
}
