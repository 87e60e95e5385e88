//! Load by wrk. A request that fails is a failure of the whole.

use super::load::Load;
use super::process;
use anyhow::{Context as _, Result, bail, ensure};
use std::process::Command;
use std::time::Duration;
use unibody::packages::Program;

/// The program, and its package.
pub const TOOL: Program = ("wrk", "wrk");

/// wrk's arguments for one thread; `more` are further ones.
pub fn words(connections: u32, seconds: u32, close: bool, more: &[&str], url: &str) -> Vec<String> {
    let mut words = vec!["-t1".to_owned(), format!("-c{connections}"), format!("-d{seconds}s")];
    if close {
        words.extend(["-H".to_owned(), "Connection: close".to_owned()]);
    }
    words.extend(more.iter().map(|word| (*word).to_owned()));
    words.push(url.to_owned());
    words
}

/// Runs it.
pub fn run(wrk: &mut Command) -> Result<Load> {
    let done = process::run(wrk, b"", Duration::from_secs(90))?.expect(0)?;
    parse(&done.out()).with_context(|| done.report())
}

fn parse(text: &str) -> Result<Load> {
    if text.contains("Socket errors") || text.contains("Non-2xx") {
        bail!("requests failed");
    }
    let rate = text
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"))
        .context("wrk printed no rate")?
        .trim()
        .parse()?;
    let requests = text.split(" requests in").next().and_then(|before| before.split_whitespace().last());
    let requests: f64 = requests.and_then(|word| word.parse().ok()).context("wrk printed no number of requests")?;
    ensure!(requests > 0.0, "not one request was answered");
    let latency = text.lines().filter_map(percentile).collect();
    Ok(Load { rate, requests, latency })
}

/// A line such as `     99%    1.25ms`.
fn percentile(line: &str) -> Option<(f64, f64)> {
    let mut words = line.split_whitespace();
    let (share, time, None) = (words.next()?.strip_suffix('%')?, words.next()?, words.next()) else { return None };
    let (number, unit) = time.split_at(time.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some((share.parse().ok()?, number.parse::<f64>().ok()? * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 1s test @ http://10.77.0.2\n  1 threads and 1 connections\n\
        \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   391.41us  101.12us   3.71ms   93.10%\n\
        \x20 Latency Distribution\n     50%  371.00us\n     99%    1.25ms\n  2514 requests in 1.00s, 2.04MB read\n\
        Requests/sec:   2513.42\nTransfer/sec:      2.04MB\n";

    #[test]
    fn a_report() {
        let load = parse(TEXT).unwrap();
        assert_eq!((load.rate, load.requests), (2513.42, 2514.0));
        assert_eq!(load.latency.len(), 2);
        assert!((load.latency[0].1 - 371e-6).abs() < 1e-9 && (load.latency[1].1 - 1.25e-3).abs() < 1e-9);
    }

    #[test]
    fn an_error_fails_it() {
        assert!(parse(&format!("{TEXT}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_err());
        assert!(parse(&format!("{TEXT}  Non-2xx or 3xx responses: 1\n")).is_err());
        assert!(parse(&TEXT.replace("2514 requests", "0 requests")).is_err());
    }

    #[test]
    fn arguments() {
        let url = "http://a";
        assert_eq!(
            words(16, 3, true, &["--latency"], url),
            ["-t1", "-c16", "-d3s", "-H", "Connection: close", "--latency", url]
        );
    }
}
