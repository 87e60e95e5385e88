//! How much memory sockets may use, and how large their buffers are.
//!
//! The budget is a share of RAM. A connection takes memory for data when there is data. As the budget fills, new
//! connections get smaller buffers; when it is full, SYNs are dropped and sockets are refused with ENOBUFS.

use libos_base::{Errno, Result};
use libos_tcp::Pool;

/// The budget.
pub struct Memory {
    pub pool: Pool,
    /// The part of it used by connections in the handshake.
    pub half: usize,
}

/// Smallest buffers (receive, send).
pub const LEAST: (usize, usize) = (4096, 4096);
/// The largest that a buffer becomes by itself: Linux's are 4 to 6 MiB.
const MOST: usize = 4 << 20;

impl Memory {
    /// A budget of a third of `ram`.
    pub fn new(ram: usize) -> Self {
        Self { pool: Pool::new((ram / 3).max(256 << 10)), half: 0 }
    }
    pub fn budget(&self) -> usize {
        self.pool.budget()
    }
    pub fn used(&self) -> usize {
        self.pool.used()
    }

    /// Sizes for the next connection (receive, send).
    pub fn sizes(&self) -> (usize, usize) {
        let (receive, send) = match self.budget() >> 20 {
            0..8 => (16 << 10, 32 << 10),
            8..32 => (32 << 10, 64 << 10),
            _ => (64 << 10, 128 << 10),
        };
        match self.fullness() {
            0..2 => (receive, send),
            2 => (receive / 2, send / 2),
            3 => (receive / 4, send / 4),
            _ => LEAST,
        }
    }

    /// What these may become.
    pub fn most(&self) -> usize {
        match self.fullness() {
            0..2 => (self.budget() / 16).min(MOST),
            _ => 0,
        }
    }

    /// Eighths of the budget that are used.
    fn fullness(&self) -> usize {
        self.used().saturating_mul(8) / self.budget()
    }

    /// Takes `n` bytes from the budget.
    pub fn charge(&mut self, n: usize) -> Result<()> {
        if self.pool.charge(n) { Ok(()) } else { Err(Errno::ENOBUFS) }
    }

    /// Takes `n` bytes for a received datagram: even a flood of them leaves a quarter of the budget to TCP.
    pub fn charge_datagram(&mut self, n: usize) -> Result<()> {
        if self.used() + n > self.budget() - self.budget() / 4 { Err(Errno::ENOBUFS) } else { self.charge(n) }
    }

    /// Takes `n` bytes that were granted before.
    pub fn add(&mut self, n: usize) {
        self.pool.add(n);
    }

    /// Gives `n` bytes back.
    pub fn release(&mut self, n: usize) {
        self.pool.release(n);
    }
}
