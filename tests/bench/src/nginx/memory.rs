//! Memory: the least with which a guest serves, and what a connection that waits takes.

use super::{Runs, site};
use crate::guest::Side;
use crate::machine::Machine;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use unibody::progress;

/// Requests that must be answered for the least memory, one after the other, half of them on connections of their own.
const REQUESTS: &str = "200";
/// A guest with less than it needs is often silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the connections may take that are held; each waits for its own answer for ten seconds.
const LIMIT: Duration = Duration::from_secs(300);
const MIB: u64 = 1 << 20;
/// The most that is tried.
const MOST: u64 = 256;
/// Connections held before the first look at the memory, so that what is set up once is not counted, and after it.
const FEW: u32 = 100;
const MORE: u32 = 800;

/// Megabytes with which all requests are answered, one less not being enough.
pub fn least(runs: &Runs, side: Side) -> Result<f64> {
    let (mut too_little, mut enough) = (0, MOST);
    serves(runs, side, enough).context("it does not serve with the most memory")?;
    while enough - too_little > 1 {
        let tried = u64::midpoint(too_little, enough);
        if progress::step(&format!("{tried} MiB"), || Ok(serves(runs, side, tried).is_ok()))? {
            enough = tried;
        } else {
            too_little = tried;
        }
    }
    Ok(enough as f64)
}

fn serves(runs: &Runs, side: Side, megabytes: u64) -> Result<()> {
    let guest = runs.guest(side, &Machine { memory: megabytes * MIB, ..runs.machine.clone() })?;
    let (mut live, _) = runs.boot(&guest, PATIENCE)?;
    let mut client = runs.client(&["many", runs.address(), site::PAGES[0].path, REQUESTS])?;
    client.expect("answered", 2 * PATIENCE, || live.alive())
}

/// Kilobytes of the guest's memory that each further connection makes it touch.
pub fn connection(runs: &Runs, side: Side) -> Result<f64> {
    // A file in memory, since of other memory the host may give more than is touched (huge pages).
    let mut guest = runs.guest(side, &runs.machine)?;
    let backend = format!("memory-backend-memfd,id=ram,size={},share=on", runs.machine.memory);
    guest.args.extend(["-object", &backend, "-machine", "memory-backend=ram"].map(Into::into));
    let (mut live, _) = runs.boot(&guest, LIMIT)?;
    let (few, more) = (FEW.to_string(), MORE.to_string());
    let mut client = runs.client(&["hold", runs.address(), site::PAGES[0].path, &few, &more])?;
    client.expect("held", LIMIT, || live.alive())?;
    let before = resident(live.pid())?;
    client.go_on()?;
    client.expect("held", LIMIT, || live.alive())?;
    let after = resident(live.pid())?;
    client.go_on()?;
    client.expect("served", LIMIT, || live.alive())?;
    Ok((after - before) / f64::from(MORE))
}

/// Kilobytes of guest memory that a VMM has.
fn resident(pid: u32) -> Result<f64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).context("the VMM's memory cannot be seen")?;
    let kilobytes = backed(&maps);
    ensure!(kilobytes > 0.0, "the VMM has no memory of that kind");
    Ok(kilobytes)
}

fn backed(maps: &str) -> f64 {
    let (mut inside, mut sum) = (false, 0.0);
    for line in maps.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            inside = line.contains("memory-backend-memfd");
        } else if inside && first == "Rss:" {
            sum += line.split_whitespace().nth(1).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    #[test]
    fn resident_memory() {
        let maps = "7f0-7f8 rw-s 0 00:01 5 /memfd:memory-backend-memfd (deleted)\nSize: 9 kB\nRss:   40 kB\nPss: 40 kB\n\
            8f0-8f8 rw-p 0 00:00 0\nRss: 7 kB\n9f0-9f8 rw-s 0 00:01 5 /memfd:memory-backend-memfd (deleted)\nRss: 2 kB\n";
        assert_eq!(super::backed(maps), 42.0);
    }
}
