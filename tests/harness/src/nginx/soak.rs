//! The soak: ten boots, each under load, over user networking and over TAP, with and without event index. Nothing stalls:
//! a notification that is lost once in a thousand boots shows here or nowhere.

use super::super::case::{Case, Need, Tally};
use super::super::context::Context;
use super::super::netns::{GUEST4, Netns, bare};
use super::super::process;
use super::super::qemu::Change;
use super::load;
use super::site::Site;
use anyhow::{Context as _, Result, ensure};
use std::process::Command;
use std::time::Duration;
use unibody_support::wrk;

const BOOTS: usize = 10;
/// Rounds of wrk on each boot, and their seconds: connections that stalled in one are missed in the next.
const ROUNDS: usize = 10;
const SECONDS: u32 = 2;
/// nginx accepts one connection each time around, and serves those that it has in between: where a request takes
/// milliseconds, the last of many would have to wait for seconds.
const CONNECTIONS: u32 = 16;
/// The part of a boot's median rate that every round must reach. A busy computer is slow, but not that slow.
const LEAST: f64 = 0.1;

pub fn cases(all: &mut Vec<Case>) {
    const NEEDS: &[Need] = &[Need::Toolchain, Need::Nginx, Need::Load];
    for (suffix, change) in [("", None), ("-no-event-index", Some(Change::NoEventIndex))] {
        for (network, body) in [("user", user as fn(&Context, Option<Change>) -> _), ("tap", tap)] {
            let name = format!("nginx/soak-{network}{suffix}");
            all.push(Case::new(name, move |context| body(context, change)).needs(NEEDS).alone().limit(3600));
        }
    }
}

fn user(context: &Context, change: Option<Change>) -> Result<Tally> {
    let site = Site::lean(context)?;
    boots(|boot| {
        let (vm, address) = load::start_on_user(context, &site, change, &["--smp", processors(boot)])?;
        loaded(&format!("http://{address}/"), |words| process::command("wrk", words)).with_context(|| vm.logs())
    })
}

fn tap(context: &Context, change: Option<Change>) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let site = Site::lean(context)?;
    let url = format!("http://{}/", bare(GUEST4));
    boots(|boot| {
        let vm = load::start_on_tap(context, &site, &netns, change, &["--smp", processors(boot)])?;
        process::eventually(Duration::from_secs(20), || {
            let mut curl = netns.command("curl", ["-s", "-f", "-m", "5", "-o", "/dev/null", &url]);
            process::run(&mut curl, b"", Duration::from_secs(10))?.expect(0)
        })
        .with_context(|| vm.logs())?;
        loaded(&url, |words| netns.command("wrk", words)).with_context(|| vm.logs())
    })
}

fn processors(boot: usize) -> &'static str {
    if boot.is_multiple_of(2) { "1" } else { "2" }
}

fn boots(mut boot: impl FnMut(usize) -> Result<f64>) -> Result<Tally> {
    let rates = (0..BOOTS).map(|number| boot(number).with_context(|| format!("boot {number}")));
    Ok(Tally::pass(format!("requests/s {:.0?}", rates.collect::<Result<Vec<_>>>()?)))
}

/// The load on one boot, keep-alive and one request a connection in turn. Returns the median rate of the former.
fn loaded(url: &str, command: impl Fn(&[String]) -> Command) -> Result<f64> {
    let mut medians = [0.0; 2];
    let mut rates = [const { Vec::new() }; 2];
    for round in 0..ROUNDS {
        let kind = round % 2;
        let words = wrk::words(CONNECTIONS, SECONDS, kind == 1, &[], url);
        rates[kind].push(wrk::run(&mut command(&words)).with_context(|| format!("round {round}"))?.rate);
    }
    for (all, median) in rates.iter_mut().zip(&mut medians) {
        all.sort_by(f64::total_cmp);
        *median = all[all.len() / 2];
        ensure!(
            all[0] >= LEAST * *median,
            "a round has stalled, requests/s from the slowest to the fastest: {all:.0?}"
        );
    }
    Ok(medians[0])
}
