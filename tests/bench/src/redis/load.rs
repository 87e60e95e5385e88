//! The kinds of load.

use crate::serving::Span;
use std::fmt;
use unibody_support::redis::Benchmark;

/// As many as redis-benchmark has if it is not told otherwise.
const CONNECTIONS: u32 = 50;
/// Keys that are read and written, all of which exist.
pub const KEYS: u32 = 10_000;
/// How many times as many requests a pipeline gets, which takes less time for each.
const MORE: u32 = 5;

/// One command, over and over.
#[derive(Clone, Copy)]
pub struct Load {
    get: bool,
    /// Requests that a connection sends at once.
    pipeline: u32,
}

/// All of them.
pub fn all() -> Vec<Load> {
    [1, 16].into_iter().flat_map(|pipeline| [true, false].map(|get| Load { get, pipeline })).collect()
}

impl Load {
    pub fn benchmark(self, span: Span) -> Benchmark<'static> {
        let requests = match span {
            Span::WarmUp => 2_000,
            Span::Round => 20_000,
            Span::Counted => 10_000,
        };
        Benchmark {
            test: if self.get { "get" } else { "set" },
            requests: if self.pipeline > 1 { requests * MORE } else { requests },
            connections: CONNECTIONS,
            pipeline: self.pipeline,
            keys: KEYS,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = if self.get { "GET" } else { "SET" };
        write!(f, "{command}, {CONNECTIONS} connections")?;
        if self.pipeline > 1 {
            write!(f, ", {} at once", self.pipeline)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let all = all();
        assert_eq!(all.len(), 4);
        assert_eq!(
            [&all[0], &all[3]].map(ToString::to_string),
            ["GET, 50 connections", "SET, 50 connections, 16 at once"]
        );
        assert_eq!(all[1].benchmark(Span::Round).requests, 20_000);
        assert_eq!(all[3].benchmark(Span::Counted).requests, 50_000);
    }
}
