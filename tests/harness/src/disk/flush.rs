//! fsync reaches the device: its flushes are counted there.

use super::work::{self, Work};
use super::{drive, image, power_cut};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use anyhow::{Result, ensure};
use std::time::Duration;

pub fn cases(all: &mut Vec<Case>) {
    const NEEDS: &[Need] = &[Need::Toolchain, Need::Disk];
    all.push(Case::new("disk/flush-for-every-fsync", counted).needs(NEEDS));
    all.push(Case::new("disk/no-write-cache", without).needs(NEEDS));
}

/// The minimum number of flushes for each step of `tests/disk/files.c`: of file and folder after a rename, of a leaf
/// and its folders; an unchanged folder needs none.
const LEAST: [usize; 7] = [1, 2, 2, 1, 1, 1, 0];

fn counted(context: &Context) -> Result<Tally> {
    let folder = context.scratch("flushes")?;
    let steps = 42;
    let ran = power_cut::run(context, &("flushes", Work::Files, 16, 16, 4), &folder, steps)?;
    let mut table = vec![String::new(); LEAST.len()];
    for n in 1..=steps {
        let (from, to) = (ran.marks[n - 1], ran.marks[n]);
        let flushes = ran.log.flushes_before(to) - ran.log.flushes_before(from);
        let least = LEAST[n % LEAST.len()];
        ensure!(flushes >= least, "step {n} of tests/disk/files.c made {flushes} flushes, {least} are needed");
        table[n % LEAST.len()] = format!("{flushes}/{}", to - from - flushes);
    }
    Ok(Tally::pass(format!("flushes/writes of each kind of step: {}", table.join(" "))))
}

/// A disk without a write cache has no flush command: the log says so once, and everything works.
fn without(context: &Context) -> Result<Tally> {
    let folder = context.scratch("through")?;
    let disk = folder.join("disk.img");
    image::make(&disk, 16 << 20, 16, 4)?;
    let script = drive::script(&folder, &disk, &drive::Special::WriteThrough)?;
    let (mut command, stdin) = Work::Files.alone(context, &disk, 30)?;
    let done =
        process::run(command.env("UNIBODY_QEMU", script), stdin.as_bytes(), Duration::from_secs(60))?.expect(0)?;
    ensure!(work::acked(&done.out()) == 30, "{}", done.report());
    let said = done.err().lines().filter(|line| line.contains("flush") || line.contains("write cache")).count();
    ensure!(said == 1, "nobody said (once) that the disk has no flush\n{}", done.report());
    image::clean(&disk)?;
    Ok(Tally::pass(""))
}
