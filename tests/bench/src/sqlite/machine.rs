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
use unibody::vmm::accel::Accel;
use unibody::vmm::machine as qemu_machine;
use unibody::vmm::qemu::{self, Streams, fd};

/// Memory of both guests.
const MEMORY: &str = "512M";
/// The machine of both.
const MACHINE: &str = "q35";

/// What stays the same from run to run.
pub struct Machine {
    /// The accelerator for times.
    pub accel: Accel,
    /// A folder for disks and initrds.
    pub work: PathBuf,
}

/// The Linux guest's files.
pub struct LinuxGuest {
    /// The kernel.
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
    /// The processor. `rep` costs an instruction a byte under emulation, which would make Linux's copies look dear.
    fn cpu(&self, counts: bool) -> &'static str {
        match (counts, self.accel) {
            // Nothing random from the processor, so that two runs execute the same.
            (true, _) => "max,-erms,-fsrm,-rdrand,-rdseed",
            (false, Accel::Tcg) => "max,-erms,-fsrm",
            (false, Accel::Kvm) => "max",
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
        let mut args = vm.arguments(&initrd, Streams::Inherited);
        if let Some(at) = args.iter().position(|word| word == "-cpu")
            && let Some(cpu) = args.get_mut(at + 1)
        {
            *cpu = self.cpu(counts).into();
        }
        if counts {
            args.extend(COUNT.map(OsString::from));
        }
        Ok(Guest { program: vm.program.clone(), args, counts })
    }

    /// The Linux guest.
    pub fn linux(
        &self,
        guest: &LinuxGuest,
        work: Work,
        storage: Storage,
        disk: Option<&Path>,
        counts: bool,
    ) -> Result<Guest> {
        let mut args: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        add(&["-accel", self.accel(counts).name(), "-cpu", self.cpu(counts)]);
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        add(&["-M", MACHINE, "-smp", "1", "-m", MEMORY]);
        add(&["-chardev", &format!("socket,id=log,fd={}", fd::SERIAL), "-serial", "chardev:log"]);
        add(&["-chardev", &format!("socket,id=qmp,fd={}", fd::QMP), "-mon", "chardev=qmp,mode=control"]);
        add(&["-chardev", &format!("socket,id=stdio,fd={}", fd::STDIO), "-device", "virtio-serial-pci"]);
        add(&["-device", "virtconsole,chardev=stdio", "-device", "virtio-rng-pci"]);
        if let Some(disk) = disk {
            // The very words that our guest's disk has.
            let machine = qemu_machine::Machine(MACHINE.to_owned());
            add(&qemu::disk_words(&machine, 0, disk, false).each_ref().map(String::as_str));
        }
        let command =
            [&[storage.linux().to_owned(), linux::PROGRAM.to_owned()], &work.args("/data/bench.db")[..]].concat();
        add(&["-append", &format!("{} -- bench {}", linux::PARAMETERS, command.join(" "))]);
        if counts {
            add(&COUNT);
        }
        let (kernel, initramfs) = (guest.kernel.image.clone(), guest.initramfs.clone());
        args.extend(["-kernel".into(), kernel.into(), "-initrd".into(), initramfs.into()]);
        Ok(Guest { program: qemu::program()?, args, counts })
    }
}
