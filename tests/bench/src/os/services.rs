//! What the program reports about each service.

use crate::transcript::Transcript;
use anyhow::{Context, Result, ensure};

/// How often it was used, and what that took.
#[derive(Debug, PartialEq)]
pub struct Service {
    pub name: String,
    pub count: f64,
    /// Of the time-stamp counter: instructions, if they are counted.
    pub ticks: f64,
    pub ns: f64,
}

/// All services of a run.
pub fn read(transcript: &Transcript) -> Result<Vec<Service>> {
    let services: Option<Vec<_>> = transcript.values("op").into_iter().map(service).collect();
    let services = services.context("the program printed a strange line")?;
    ensure!(!services.is_empty(), "the program measured nothing");
    Ok(services)
}

fn service(line: &str) -> Option<Service> {
    let mut words = line.split(' ');
    let name = words.next()?.replace('-', " ");
    let mut number = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=')?.parse::<f64>().ok();
    let (count, ticks, ns) = (number("count")?, number("ticks")?, number("ns")?);
    (count > 0.0).then_some(Service { name, count, ticks, ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(line: &str) -> Transcript {
        Transcript { lines: vec![line.to_owned()], samples: vec![] }
    }

    #[test]
    fn a_line() {
        let services = read(&transcript("bench: op=pipe-1-byte count=10 ticks=500 ns=7000")).unwrap();
        assert_eq!(services, [Service { name: "pipe 1 byte".into(), count: 10.0, ticks: 500.0, ns: 7000.0 }]);
        for bad in ["bench: op=a count=0 ticks=1 ns=1", "bench: op=a count=1 ticks=1", "bench: ns=5"] {
            assert!(read(&transcript(bad)).is_err(), "{bad}");
        }
    }
}
