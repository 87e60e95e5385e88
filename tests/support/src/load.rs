//! What a program that makes load reports.

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Requests per second.
    pub rate: f64,
    /// All requests that were answered.
    pub requests: f64,
    /// Shares of the requests, in per cent, and the seconds within which they were answered; if it was asked for them.
    pub latency: Vec<(f64, f64)>,
}
