//! What the card is asked to do: large answers leave the guest in few pieces, which the card cuts into packets.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::netns::{GUEST4, GUEST6, Netns, TAP, bare};
use super::process;
use super::vm::Vm;
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;

const MAC: &str = "02:00:00:00:00:78";
/// The most packets with data of a 64 KiB answer: one cannot be longer than that with its headers.
const MOST: u32 = 2;
/// The least length of the longest.
const LEAST: u32 = 60_000;

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("net/segmentation", segmentation).needs(&[Need::Toolchain]));
}

/// With a TAP device, which takes them, and QEMU's card, which then offers it. Every byte is checked on this side.
fn segmentation(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let (four, six) = (bare(GUEST4), bare(GUEST6));
    netns.pin(four, MAC)?;
    netns.pin(six, MAC)?;
    let program = context.net_program("bulk")?;
    let image = program.to_str().context("an image with an odd name")?;
    let net = format!("tap={TAP}");
    let words = ["--net", &net, "--ip", GUEST4, "--ip6", GUEST6, "--mac", MAC, image];
    let vm = Vm::start_with(context, words, |command| *command = netns.inside(command))?;
    let mut fetch = netns.command(&program, ["fetch", TAP, four, six]);
    let said = process::eventually(Duration::from_secs(20), || {
        process::run(&mut fetch, b"", Duration::from_secs(60))?.expect(0).map(|done| done.out())
    });
    let said = said.with_context(|| vm.logs())?;
    ensure!(said.lines().count() == 2, "strange answer\n{said}");
    for line in said.lines() {
        let numbers: Vec<u32> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
        let &[_, packets, longest] = numbers.as_slice() else { anyhow::bail!("strange answer\n{said}") };
        ensure!(packets > 0 && packets <= MOST && longest >= LEAST, "{line}");
    }
    Ok(Tally::pass(said.trim().replace('\n', ", ")))
}
