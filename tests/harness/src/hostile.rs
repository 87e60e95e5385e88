//! Traffic that no well-behaved peer sends, answered as Linux does and survived: forged frames on a TAP device in a
//! namespace.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::netns::{GUEST4, HOST4, Netns, TAP, bare};
use super::process;
use super::vm::Vm;
use super::wire::{self, MAC};
use anyhow::{Context as _, Result, bail, ensure};
use std::time::Duration;

pub fn cases(all: &mut Vec<Case>) {
    for smp in ["1", "2", "4"] {
        all.push(
            Case::new(format!("hostile/answers-smp{smp}"), move |context| answers(context, smp))
                .needs(&[Need::Toolchain, Need::Load]),
        );
    }
    all.push(Case::new("hostile/farewell", farewell).needs(&[Need::Toolchain]));
    all.push(Case::new("hostile/floods", floods).needs(&[Need::Toolchain, Need::Load]));
    all.push(Case::new("hostile/syn-flood", syn_flood).needs(&[Need::Toolchain, Need::Load]).alone());
}

fn start<'a>(context: &'a Context, netns: &Netns, options: &[&str]) -> Result<Vm<'a>> {
    wire::start(context, netns, &context.net_program("target")?, options)
}

/// The same frames go to Linux and to the VM: the answers must be the same, and so must silence.
fn answers(context: &Context, smp: &str) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let target = ("target", &["--smp", smp][..]);
    let (linux, here) = wire::both(context, &netns, target, "peer", Duration::from_secs(100))?;
    if let Some((linux, here)) = linux.lines().zip(here.lines()).find(|(linux, here)| linux != here) {
        bail!("Linux:  {linux}\nthe VM: {here}");
    }
    ensure!(linux == here, "one answered more\nLinux:\n{linux}\nthe VM:\n{here}");
    Ok(Tally::pass(format!("{} answers as Linux's", here.lines().count())))
}

/// A program that ends without closing anything: its peers see that as they do on Linux, and get what was sent.
fn farewell(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let program = context.net_program("farewell")?;
    let heard = |leave: &mut dyn FnMut() -> Result<()>| -> Result<String> {
        let hears = process::start(&mut netns.command(&program, std::iter::empty::<&str>()), b"")?;
        leave()?;
        Ok(hears.wait(Duration::from_secs(40))?.expect(0)?.out())
    };
    let linux = heard(&mut || {
        let mut leaves = netns.command(&program, [bare(HOST4)]);
        process::eventually(Duration::from_secs(5), || {
            process::run(&mut leaves, b"", Duration::from_secs(30))?.expect(7).map(drop)
        })
    })?;
    let here = heard(&mut || {
        let net = format!("tap={TAP}");
        let mut run = context.unibody(["run", "--accel", "tcg", "--net", &net, "--ip", GUEST4]);
        run.arg(&program).args(["--", bare(HOST4)]);
        process::run(&mut netns.inside(&run), b"", Duration::from_secs(60))?.expect(7).map(drop)
    })?;
    ensure!(linux == here, "what peers hear\nof a Linux process:\n{linux}\nof the VM:\n{here}");
    ensure!(!linux.contains("silence"), "Linux left a peer alone\n{linux}");
    Ok(Tally::pass(format!("{} peers", linux.lines().count() - 1)))
}

/// A SYN flood, a UDP flood and forged ARP frames at 16 MiB: clients are served, during and after.
fn floods(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let vm = start(context, &netns, &["-m", "16M"])?;
    let mut flood = netns.command(context.net_program("flood")?, [TAP, bare(GUEST4), MAC]);
    let done = process::run(&mut flood, b"", Duration::from_secs(100))?.expect(0).with_context(|| vm.logs())?;
    Ok(Tally::pass(done.out().trim().replace('\n', ", ")))
}

/// 10,000 SYNs a second at 16 MiB: what is connected goes on, and others get in.
fn syn_flood(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let vm = start(context, &netns, &["-m", "16M"])?;
    let seconds = if context.full { "30" } else { "4" };
    let mut flood = netns.command(context.net_program("synflood")?, [TAP, bare(GUEST4), MAC, "10000", seconds]);
    let done = process::run(&mut flood, b"", Duration::from_secs(100))?.expect(0).with_context(|| vm.logs())?;
    Ok(Tally::pass(done.out().trim().replace('\n', ", ")))
}
