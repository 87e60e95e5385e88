//! What cases share: the tool, the toolchain, images that are built once, a folder that is removed at the end.

use super::case::{Case, Need};
use super::process::{self, Finished};
use super::tools;
use anyhow::{Context as _, Result, anyhow, bail};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use unibody::{packages, paths, progress, wrapper};

/// Built once; an error is kept as text, because every case that needs the result shows it.
type Built = Arc<OnceLock<Result<PathBuf, String>>>;

/// Needs that are programs of this machine.
const PROGRAMS: [Need; 8] =
    [Need::Grub, Need::Load, Need::Disk, Need::LinuxSqlite, Need::RedisClients, Need::Setpriv, Need::Strace, Need::Tcl];

/// See the module.
pub struct Context {
    tool: PathBuf,
    /// The clone.
    pub project: PathBuf,
    folder: PathBuf,
    /// Whether the long cases run, too.
    pub full: bool,
    yes: bool,
    bin: OnceLock<Result<PathBuf, String>>,
    /// Needs whose programs are unavailable, and why.
    lacking: OnceLock<Vec<(Need, String)>>,
    images: Mutex<HashMap<String, Built>>,
    counter: AtomicUsize,
    /// Whether images have the debug kernel.
    debug: bool,
    checked: OnceLock<Result<Box<Self>, String>>,
}

impl Context {
    /// Creates the context for one run of the tests.
    pub fn new(yes: bool, full: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("unibody-test-").tempdir().context("no temporary folder")?.keep();
        Self::within(folder, yes, full, false)
    }

    fn within(folder: PathBuf, yes: bool, full: bool, debug: bool) -> Result<Self> {
        std::fs::create_dir(folder.join("run"))?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.join("run"), std::fs::Permissions::from_mode(0o700))?;
        Ok(Self {
            tool: std::env::current_exe().context("cannot find this program's own file")?,
            project: paths::project(None)?,
            folder,
            full,
            yes,
            debug,
            checked: OnceLock::new(),
            bin: OnceLock::new(),
            lacking: OnceLock::new(),
            images: Mutex::default(),
            counter: AtomicUsize::new(0),
        })
    }

    /// The same, but all images have the debug kernel, and nothing is done in its long form.
    pub fn checked(&self) -> Result<&Self> {
        let make = || {
            let folder = self.folder.join("checked");
            std::fs::create_dir(&folder)?;
            Self::within(folder, self.yes, false, true).map(Box::new)
        };
        let made = self.checked.get_or_init(|| make().map_err(|error| format!("{error:#}")));
        made.as_deref().map_err(|text| anyhow!(text.clone()))
    }

    /// Installs and builds what the chosen cases need, showing progress: once, before they start.
    pub fn prepare(&self, cases: &[Case]) -> Result<()> {
        let needed = |need| cases.iter().any(|case| case.needs.contains(&need));
        if needed(Need::Toolchain) {
            packages::ensure(&["qemu-system-x86_64", "curl"], self.yes)?;
            // If both kernels are needed, build them now: a sysroot is not changed while in use.
            let debug = self.debug || cases.iter().any(|case| case.name.starts_with(super::checked::PREFIX));
            let built = progress::step("building the toolchain and its sysroot", || self.toolchain(debug));
            let _ = self.bin.set(built.map_err(|error| format!("{error:#}")));
        }
        let needs: Vec<_> = PROGRAMS.into_iter().filter(|need| needed(*need)).collect();
        let _ = self.lacking.set(tools::ensure(&needs, self.yes));
        if needed(Need::Sqlite) && self.bin.get().is_some_and(Result::is_ok) {
            let _ = progress::step("building sqlite", || self.sqlite());
        }
        if needed(Need::Nginx) && self.bin.get().is_some_and(Result::is_ok) {
            let _ = progress::step("building nginx", || self.nginx().and_then(|_| self.nginx_lean()));
        }
        Ok(())
    }

    /// Why a need is not met: `Ok` skips the case, `Err` fails it.
    pub fn unmet(&self, need: Need) -> Option<Result<String, String>> {
        let failed = |built: Result<PathBuf>| built.err().map(|error| Err(format!("{error:#}")));
        match need {
            Need::Toolchain => self.bin.get().and_then(|state| state.clone().err()).map(Err),
            Need::Nginx => failed(self.nginx().and_then(|_| self.nginx_lean())),
            Need::Sqlite => failed(self.sqlite()),
            Need::Grub
            | Need::Load
            | Need::Disk
            | Need::LinuxSqlite
            | Need::RedisClients
            | Need::Setpriv
            | Need::Strace
            | Need::Tcl => {
                let (_, reason) = self.lacking.get()?.iter().find(|(lacking, _)| *lacking == need)?;
                Some(tools::absent(reason, packages::in_ci()))
            }
        }
    }

    fn toolchain(&self, debug: bool) -> Result<PathBuf> {
        let mut command = self.unibody(["toolchain", "--yes"]);
        command.args(debug.then_some("--debug"));
        let done = process::run(&mut command, b"", Duration::from_secs(1800))?.expect(0)?;
        let out = done.out();
        let bin = PathBuf::from(out.lines().last().unwrap_or_default());
        if !bin.join("x86_64-unikernel-gcc").is_file() {
            bail!("the last line of `unibody toolchain` is no folder with x86_64-unikernel-gcc\n{}", done.report());
        }
        Ok(bin)
    }

    /// The folder of the cross compiler.
    pub fn bin(&self) -> Result<PathBuf> {
        self.bin
            .get_or_init(|| self.toolchain(self.debug).map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|text| anyhow!(text))
    }

    /// This tool, with its own state folder.
    pub fn unibody<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.tool);
        command.args(words).env("XDG_RUNTIME_DIR", self.folder.join("run")).env("NO_COLOR", "1");
        command
    }

    /// Runs this tool to the end.
    pub fn tool<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Finished> {
        process::run(&mut self.unibody(words), b"", Duration::from_secs(60))
    }

    /// A fresh folder.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{n}-{}", name.replace('/', "-")));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    fn once(&self, key: &str, build: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
        let slot = {
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(images.entry(key.to_owned()).or_default())
        };
        slot.get_or_init(|| build().map_err(|error| format!("{error:#}"))).clone().map_err(|text| anyhow!(text))
    }

    /// The image of a test program, compiled with the wrapper the first time.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        self.image_of("tests/programs", name)
    }

    /// The image of `tests/disk/NAME.c`, which only the disk tests run.
    pub fn disk_program(&self, name: &str) -> Result<PathBuf> {
        self.image_of("tests/disk", name)
    }

    /// The image of `tests/calls/NAME.c`, which is given system calls to make.
    pub fn calls_program(&self, name: &str) -> Result<PathBuf> {
        self.image_of("tests/calls", name)
    }

    /// The image of `tests/net/NAME.c`: either end of hostile traffic.
    pub fn net_program(&self, name: &str) -> Result<PathBuf> {
        self.image_of("tests/net", name)
    }

    fn image_of(&self, folder: &str, name: &str) -> Result<PathBuf> {
        self.once(&format!("{folder}/{name}"), || {
            let source = self.project.join(folder).join(format!("{name}.c"));
            let text = std::fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
            let flags = super::directives::parse(&text)?.cflags;
            let image = self.folder.join(format!("{name}.img"));
            self.compile(&source, &image, &flags)?;
            Ok(image)
        })
    }

    /// Compiles one file with the wrapper.
    pub fn compile(&self, source: &Path, image: &Path, flags: &[String]) -> Result<Finished> {
        let mut gcc = Command::new(self.bin()?.join("x86_64-unikernel-gcc"));
        gcc.env(wrapper::DEBUG, if self.debug { "1" } else { "0" });
        gcc.args(["-O2", "-g", "-Wall", "-Wextra"])
            .args(flags)
            .arg("-o")
            .arg(image)
            .arg(source)
            .args(["-lm", "-lpthread"]);
        process::run(&mut gcc, b"", Duration::from_secs(120))?.expect(0)
    }

    /// The nginx image with all modules.
    pub fn nginx(&self) -> Result<PathBuf> {
        self.port("nginx")
    }

    /// The small one.
    pub fn nginx_lean(&self) -> Result<PathBuf> {
        self.port("nginx:lean")
    }

    /// The sqlite image: the shell.
    pub fn sqlite(&self) -> Result<PathBuf> {
        self.port("sqlite")
    }

    /// The redis image.
    pub fn redis(&self) -> Result<PathBuf> {
        self.port("redis")
    }

    /// The image of a port, or of a program of one.
    pub fn port(&self, name: &str) -> Result<PathBuf> {
        self.once(&format!("port {name}"), || {
            let image = self.folder.join(format!("{}-port.img", name.replace(':', "-")));
            let mut build = self.unibody(["build", name, "--yes"]);
            build.args(self.debug.then_some("--debug")).arg("-o");
            process::run(build.arg(&image), b"", Duration::from_secs(1200))?.expect(0)?;
            Ok(image)
        })
    }

    /// Removes everything; a failed case has already shown its output.
    pub fn remove(&self) {
        let _ = unibody::files::remove(&self.folder);
    }
}
