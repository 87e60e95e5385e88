//! The kinds of load.

use super::site::{PAGES, Page};
use std::fmt;

/// Requests for one page.
#[derive(Clone, Copy)]
pub struct Load {
    pub page: Page,
    /// A connection for each request.
    pub close: bool,
    /// At the same time.
    pub connections: u32,
}

/// All of them.
pub fn all() -> Vec<Load> {
    let mut all = Vec::new();
    for page in PAGES {
        for close in [false, true] {
            all.extend([1, 16].map(|connections| Load { page, close, connections }));
        }
    }
    all
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.close { "close" } else { "keep-alive" };
        let plural = if self.connections == 1 { "" } else { "s" };
        write!(f, "{}, {kind}, {} connection{plural}", self.page.name, self.connections)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names() {
        let names: Vec<_> = super::all().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), 8);
        assert_eq!([&names[0], &names[7]], ["612 B, keep-alive, 1 connection", "64 KiB, close, 16 connections"]);
    }
}
