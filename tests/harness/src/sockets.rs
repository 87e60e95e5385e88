//! Kinds of sockets whose work is seen on the wire: what routers hear of memberships, and what raw and packet sockets
//! send and see.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::netns::{GUEST4, GUEST6, HOST4, HOST6, Netns, TAP, bare};
use super::process;
use super::wire;
use anyhow::{Result, bail, ensure};
use std::time::Duration;

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("net/groups", groups).needs(&[Need::Toolchain]).limit(240));
    all.push(Case::new("net/packets", packets).needs(&[Need::Toolchain]));
    all.push(Case::new("net/lease", lease).needs(&[Need::Toolchain]));
}

/// IGMP and MLD: the same program joins and leaves the same groups on Linux and in the VM, and a router hears the same.
fn groups(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let (linux, here) = wire::both(context, &netns, ("member", &[]), "listener", Duration::from_secs(200))?;
    if linux != here {
        bail!("what a router hears\nof Linux:\n{linux}\nof the VM:\n{here}");
    }
    let reports = linux.lines().filter(|line| line.starts_with(' ')).count();
    ensure!(reports > 10, "a router hears little\n{linux}");
    Ok(Tally::pass(format!("{reports} reports as Linux's")))
}

/// Pings through raw and ping sockets, answered by Linux; packet sockets see the frames.
fn packets(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let net = format!("tap={TAP}");
    let mut run = context.unibody(["run", "--accel", "tcg", "--net", &net, "--ip", GUEST4, "--ip6", GUEST6]);
    run.arg(context.net_program("probe")?).args(["--", "ping", bare(HOST4), bare(HOST6), "10.77.0.99"]);
    let done = process::run(&mut netns.inside(&run), b"", Duration::from_secs(60))?.expect(0)?;
    Ok(Tally::pass(format!("{} steps", done.out().lines().count())))
}

/// A DHCP client of the program's own, on a card without an address.
fn lease(context: &Context) -> Result<Tally> {
    let mut run = context.unibody(["run", "--accel", "tcg", "--net", "user", "--ip", "none", "--ip6", "none"]);
    run.arg(context.net_program("probe")?).args(["--", "lease"]);
    let done = process::run(&mut run, b"", Duration::from_secs(60))?.expect(0)?;
    ensure!(done.out().contains("an offer: yes"), "{}", done.report());
    Ok(Tally::pass("an address was offered"))
}
