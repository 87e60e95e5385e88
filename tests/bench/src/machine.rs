//! The two guests' command lines: the same machine for both.

use crate::guest::Guest;
use crate::linux::{self, LinuxGuest};
use anyhow::{Context, Result};
use clap::Parser;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use unibody::image::Image;
use unibody::run::options::RunArgs;
use unibody::run::prepare;
use unibody::vmm::accel::{self, Accel};
use unibody::vmm::qemu::Qemu;
use unibody::vmm::{self, Port, Stream};

/// QEMU's arguments that make it count instructions. It reports the number (`query-replay`) only while recording; the
/// recording itself is discarded. Idle time is not counted. (With `sleep=off`, which skips it, a recorded Linux guest
/// gets no input.)
pub const COUNT: [&str; 6] =
    ["-icount", "shift=0,rr=record,rrfile=/dev/null", "-rtc", "clock=vm,base=2024-01-01", "-seed", "1"];

/// What is the same for all runs.
#[derive(Clone)]
pub struct Machine {
    /// The accelerator for times.
    pub accel: Accel,
    /// The VMM's name of the machine.
    pub board: String,
    /// Bytes of memory.
    pub memory: u64,
    /// A folder for disks and initrds.
    pub work: PathBuf,
}

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    run: RunArgs,
}

impl Machine {
    /// With the best accelerator, and a word to the user if it is not the one hoped for.
    pub fn new(board: &str, memory: u64, work: &Path) -> Result<Self> {
        let (accel, note) = accel::choose(accel::Wanted::Auto)?;
        if let Some(note) = note {
            eprintln!("unibody: {note}");
        }
        Ok(Self { accel, board: board.to_owned(), memory, work: work.to_owned() })
    }

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

    /// Our guest, as `unibody run` starts it with these options.
    pub fn ours(&self, image: &Path, options: &[&OsStr], args: &[String], counts: bool) -> Result<vmm::Machine> {
        let memory = format!("{}K", self.memory.div_ceil(1024));
        let accel = self.accel(counts).name();
        let first = ["unibody", "-m", &memory, "--machine", &self.board, "--accel", accel].map(OsStr::new);
        let last = args.iter().map(OsStr::new);
        let words = first.iter().chain(options).copied().chain([image.as_os_str(), OsStr::new("--")]).chain(last);
        let args = Words::try_parse_from(words).context("the bench's own options")?.run;
        let vm = prepare::prepare(&args, &Image::open(image)?, &mut |_| {})?;
        let initrd = self.work.join("initrd");
        std::fs::write(&initrd, &vm.initrd).with_context(|| format!("cannot write {}", initrd.display()))?;
        Ok(vm.machine(&initrd))
    }

    /// The Linux guest; its init mounts the file system `kind` and runs the command. `parameters` are more of them for
    /// the kernel, which passes those that it does not know to init's environment.
    pub fn linux(
        &self,
        guest: &LinuxGuest,
        parameters: &str,
        kind: &str,
        command: &[String],
        counts: bool,
    ) -> Result<vmm::Machine> {
        Ok(vmm::Machine {
            name: "linux".to_owned(),
            board: self.board.parse().map_err(anyhow::Error::msg)?,
            accel: self.accel(counts),
            without: &[],
            processors: 1,
            memory: self.memory,
            kernel: guest.kernel.image.clone(),
            initrd: guest.initramfs.clone(),
            command_line: format!("{} {parameters} -- bench {kind} {}", linux::PARAMETERS, command.join(" ")),
            firmware: Vec::new(),
            ports: vec![Port { name: None, stream: Stream::Stdio }],
            disks: Vec::new(),
            card: None,
            shares: Vec::new(),
        })
    }

    /// The command that starts a machine.
    pub fn guest(&self, machine: vmm::Machine, counts: bool) -> Result<Guest> {
        let qemu = Qemu::find()?;
        let mut args: Vec<OsString> = qemu.arguments(&vmm::Machine { without: self.without(counts), ..machine });
        if counts {
            args.extend(COUNT.map(OsString::from));
        }
        Ok(Guest { qemu, args, counts })
    }
}
