//! QEMU is killed while a database commits: the host keeps what it received, so this tests the order of writes, not
//! flushes.

use super::random::Random;
use super::resume::Resume;
use super::work::Work;
use super::{drive, image, talk};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

const MODES: [(&str, &str); 4] = [("WAL", "FULL"), ("TRUNCATE", "FULL"), ("PERSIST", "FULL"), ("DELETE", "EXTRA")];

pub fn cases(all: &mut Vec<Case>, full: bool) {
    let rounds = if full { 100 } else { 5 };
    let body = move |context: &Context| rounds_of(context, rounds);
    all.push(
        Case::new("disk/killed-while-committing", body)
            .needs(&[Need::Toolchain, Need::Disk, Need::Sqlite])
            .limit(60 * rounds as u64),
    );
}

/// Kills on the same disk, over and over.
fn rounds_of(context: &Context, rounds: usize) -> Result<Tally> {
    let folder = context.scratch("killed")?;
    let disk = folder.join("disk.img");
    image::make(&disk, 16 << 20, 16, 4)?;
    let script = drive::script(&folder, &disk, &drive::Special::Nothing)?;
    let mut resume = Resume::open("killed", rounds, context.full)?;
    let mut random = Random::new(7 + resume.done as u64);
    let (mut step, mut lost) = (0, 0);
    while resume.done < rounds {
        let (journal, synchronous) = MODES[resume.done % MODES.len()];
        let work = Work::Sqlite { journal, synchronous };
        let mut talk = talk::Talk::start(work.command(context, &disk, 0)?.env("UNIBODY_QEMU", &script))?;
        work.begin(&mut talk)?;
        for _ in 0..random.below(12) {
            step += 1;
            work.step(&mut talk, step)?;
        }
        let acked = step;
        talk.say(&super::work::transaction(step + 1))?;
        std::thread::sleep(Duration::from_micros(random.below(20_000) as u64));
        let id: i32 =
            std::fs::read_to_string(drive::process_file(&script))?.trim().parse().context("QEMU's process id")?;
        kill(Pid::from_raw(id), Signal::SIGKILL).context("cannot kill QEMU")?;
        let _ = talk.finish(Duration::from_secs(20))?;
        let here = || format!("round {} ({journal}), killed after step {acked}", resume.done);
        image::sound(&disk).with_context(here)?;
        lost += usize::from(image::clean(&disk).is_err());
        // The transaction in flight may be there or not: the next round continues from the database's state.
        let checked = work.check(context, &[(disk.clone(), acked)])?;
        if let Some(fault) = checked.into_iter().next().flatten() {
            bail!("{}: {fault}", here());
        }
        image::clean(&disk).with_context(here)?;
        step = acked + usize::from(work.value(context, &disk)? > acked);
        resume.part(rounds)?;
    }
    Ok(Tally::pass(format!("{rounds} rounds, {step} commits; {lost} volumes had something to tidy up")))
}
