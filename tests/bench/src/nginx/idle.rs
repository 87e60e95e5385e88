//! What a connection that waits takes of a guest's memory.

use super::{Nginx, site};
use crate::guest::Side;
use crate::network::Network;
use crate::serving::Guests;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

/// How long the connections may take that are held; each waits for its own answer for ten seconds.
const LIMIT: Duration = Duration::from_secs(300);
/// Connections held before the first look at the memory, so that what is set up once is not counted, and after it.
const FEW: u32 = 100;
const MORE: u32 = 800;

/// Kilobytes of the guest's memory that each further connection makes it touch.
pub fn connection(nginx: &Nginx, guests: &Guests, side: Side) -> Result<f64> {
    // A file in memory, since of other memory the host may give more than is touched (huge pages).
    let mut guest = guests.guest(side, &guests.machine)?;
    let backend = format!("memory-backend-memfd,id=ram,size={},share=on", guests.machine.memory);
    guest.args.extend(["-object", &backend, "-machine", "memory-backend=ram"].map(Into::into));
    let (mut live, _) = guests.boot(&guest, LIMIT)?;
    let (few, more) = (FEW.to_string(), MORE.to_string());
    let words = ["hold", Network::address(), site::PAGES[0].path, &few, &more];
    let mut client = guests.network.client(&nginx.http, &words)?;
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
