//! Disk devices of every kind: old and new, with long blocks, short queues, few segments; odd sizes; none at all.

use super::image;
use super::work::{self, Work};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::{process, qemu};
use anyhow::{Context as _, Result, ensure};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(90);
const SIZE: u64 = 16 << 20;

/// Devices, made with QEMU's properties, and the options of `run` that go with them.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("processors", "", &["--smp", "4"]),
    ("microvm", "", &["--machine", "microvm"]),
    (
        "microvm-queues",
        "-global virtio-blk-device.num-queues=4 -global virtio-blk-device.packed=on",
        &["--machine", "microvm", "--smp", "2"],
    ),
    ("more-queues", "-global virtio-blk-pci.num-queues=4", &["--smp", "2"]),
    ("packed-ring", "-global virtio-blk-pci.packed=on", &["--smp", "2"]),
    (
        "iommu",
        "-device intel-iommu -global virtio-blk-pci.disable-legacy=on -global virtio-blk-pci.iommu_platform=on",
        &["--smp", "2"],
    ),
    ("pc", "", &["--machine", "pc"]),
    ("legacy", "-global virtio-blk-pci.disable-modern=on -global virtio-blk-pci.disable-legacy=off", &[]),
    ("no-event-index", "-global virtio-blk-pci.event_idx=off", &[]),
    ("no-msi", "-global virtio-blk-pci.vectors=0", &["--smp", "2"]),
    ("short-queue", "-global virtio-blk-pci.queue-size=4", &["--smp", "2"]),
    ("one-queue", "-global virtio-blk-pci.num-queues=1", &["--smp", "2"]),
    (
        "blocks-of-4096",
        "-global virtio-blk-pci.logical_block_size=4096 -global virtio-blk-pci.physical_block_size=4096",
        &[],
    ),
];

pub fn cases(all: &mut Vec<Case>) {
    const NEEDS: &[Need] = &[Need::Toolchain, Need::Disk];
    all.push(Case::new("disk/device-kinds", kinds).needs(NEEDS).limit(600));
    all.push(Case::new("disk/odd-disks", odd).needs(NEEDS).limit(300));
}

/// A script that runs QEMU with more arguments in front.
fn script(folder: &Path, name: &str, extra: &str) -> Result<PathBuf> {
    qemu::write_script(folder, name, &format!("exec qemu-system-x86_64 {extra} \"$@\"\n"))
}

fn kinds(context: &Context) -> Result<Tally> {
    const STEPS: usize = 40;
    for (name, extra, options) in KINDS {
        let folder = context.scratch(&format!("device-{name}"))?;
        let disk = folder.join("disk.img");
        image::make(&disk, SIZE, 16, 4)?;
        let legacy = qemu::rewrite("*force-legacy=false) set -- \"$@\" virtio-mmio.force-legacy=true ;;");
        let scripts = match *name {
            "microvm" => vec![script(&folder, "new", "")?, qemu::write_script(&folder, "old", &legacy)?],
            _ => vec![script(&folder, "qemu", extra)?],
        };
        for script in scripts {
            image::make(&disk, SIZE, 16, 4)?;
            let (command, stdin) = Work::Files.alone(context, &disk, STEPS)?;
            let done = process::run(&mut with(command, &script, options), stdin.as_bytes(), LIMIT)?;
            let done = done.expect(0).with_context(|| (*name).to_owned())?;
            ensure!(work::acked(&done.out()) == STEPS, "{name}\n{}", done.report());
            image::clean(&disk).with_context(|| (*name).to_owned())?;
            // A plain device reads back what was written.
            for verdict in Work::Files.check(context, &[(disk.clone(), STEPS)])? {
                ensure!(verdict.is_none(), "{name}: {}", verdict.unwrap_or_default());
            }
        }
    }
    Ok(Tally::pass(format!("{} kinds", KINDS.len())))
}

/// The same command with another QEMU and more options.
fn with(mut command: std::process::Command, script: &Path, options: &[&str]) -> std::process::Command {
    let words: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let mut other = std::process::Command::new(command.get_program());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other.arg(&words[0]).args(options).args(&words[1..]).env("UNIBODY_QEMU", script);
    std::mem::swap(&mut command, &mut other);
    command
}

/// A device that cannot be a disk is reported and does not hang; the others work.
fn odd(context: &Context) -> Result<Tally> {
    let folder = context.scratch("odd")?;
    let disk = folder.join("disk.img");
    let run = |node: &str| -> Result<process::Finished> {
        let rule =
            if node.is_empty() { String::new() } else { format!("*node-name=disk0,*) set -- \"$@\" '{node}' ;;") };
        let script = qemu::write_script(&folder, "qemu", &qemu::rewrite(&rule))?;
        let (mut command, stdin) = Work::Files.alone(context, &disk, 10)?;
        process::run(command.env("UNIBODY_QEMU", script), stdin.as_bytes(), LIMIT)
    };
    let refused = |node: &str, why: &str| -> Result<()> {
        let done = run(node)?.expect(127)?;
        ensure!(done.err().contains(why), "nobody said '{why}'\n{}", done.report());
        ensure!(done.out().is_empty(), "the program ran\n{}", done.report());
        Ok(())
    };
    image::make(&disk, SIZE, 16, 4)?;
    refused("node-name=disk0,driver=null-co,size=0,read-zeroes=on", "cannot mount")?;
    refused("node-name=disk0,driver=null-co,size=512,read-zeroes=on", "cannot mount")?;
    refused("node-name=disk0,driver=null-co,size=16777216,read-zeroes=on", "cannot mount")?;
    // A disk that ends before its file system does, at an odd offset.
    let file = std::fs::File::options().write(true).open(&disk)?;
    file.set_len(SIZE - 5000)?;
    refused("", "larger than the disk")?;
    // A disk that extends beyond it.
    image::make(&disk, SIZE, 16, 4)?;
    std::fs::File::options().write(true).open(&disk)?.set_len(SIZE + 5000)?;
    let done = run("")?.expect(0)?;
    ensure!(work::acked(&done.out()) == 10, "{}", done.report());
    image::clean(&disk)?;
    // A read-only one: not a byte of it changes.
    image::make(&disk, SIZE, 16, 4)?;
    std::fs::set_permissions(&disk, Permissions::from_mode(0o444))?;
    let before = std::fs::read(&disk)?;
    let done = run("")?;
    ensure!(!done.timed_out && done.out().contains("EROFS"), "no EROFS\n{}", done.report());
    ensure!(done.err().contains("read-only"), "nobody said that it is read-only\n{}", done.report());
    ensure!(std::fs::read(&disk)? == before, "a read-only disk was changed");
    std::fs::set_permissions(&disk, Permissions::from_mode(0o644))?;
    // One whose blocks are longer than a page.
    let long = "-global virtio-blk-pci.logical_block_size=8192 -global virtio-blk-pci.physical_block_size=8192";
    let (mut command, _) = Work::Files.alone(context, &disk, 10)?;
    let done = process::run(command.env("UNIBODY_QEMU", script(&folder, "long", long)?), b"", LIMIT)?.expect(127)?;
    ensure!(done.err().contains("blocks of 8192 bytes are not supported"), "{}", done.report());
    // Parameters that name a disk that is not there.
    let gone = qemu::rewrite("*drive=disk0,*) set -- \"$@\" virtio-rng-pci ;;");
    let script = qemu::write_script(&folder, "qemu", &gone)?;
    let (mut command, _) = Work::Files.alone(context, &disk, 10)?;
    let done = process::run(command.env("UNIBODY_QEMU", script), b"", LIMIT)?.expect(127)?;
    ensure!(done.err().contains("cannot mount"), "{}", done.report());
    Ok(Tally::pass(""))
}
