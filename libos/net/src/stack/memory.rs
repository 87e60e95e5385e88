//! How much memory socket buffers may use, and how large the next ones are.
//!
//! The budget is a share of RAM. As it fills, new connections get smaller buffers, so that ten thousand idle ones fit
//! where a hundred busy ones would; when it is full, SYNs are dropped and sockets are refused with ENOBUFS.

use alloc::vec::Vec;
use libos_base::{Errno, Result};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

/// The budget.
pub struct Memory {
    pub budget: usize,
    pub used: usize,
    /// The part of it used by connections in the handshake.
    pub half: usize,
    /// Sockets ready for use, all with the same buffer sizes.
    pool: Vec<Pooled>,
    pool_sizes: (usize, usize),
}

/// A socket set with one closed TCP socket.
pub type Pooled = (SocketSet<'static>, SocketHandle);

/// Most pooled sockets.
const POOL: usize = 64;
/// Smallest buffers (receive, send).
pub const LEAST: (usize, usize) = (4096, 4096);

impl Memory {
    /// A budget of a third of `ram`.
    pub fn new(ram: usize) -> Self {
        Self { budget: (ram / 3).max(256 << 10), used: 0, half: 0, pool: Vec::new(), pool_sizes: (0, 0) }
    }

    /// Sizes for the next connection (receive, send).
    pub fn sizes(&self) -> (usize, usize) {
        let (receive, send) = match self.budget >> 20 {
            0..8 => (8 << 10, 32 << 10),
            8..32 => (16 << 10, 64 << 10),
            _ => (32 << 10, 128 << 10),
        };
        match self.used.saturating_mul(8) / self.budget {
            0..2 => (receive, send),
            2 => (receive / 2, send / 2),
            3 => (receive / 4, send / 4),
            _ => LEAST,
        }
    }

    /// Takes `n` bytes from the budget.
    pub fn charge(&mut self, n: usize) -> Result<()> {
        if self.used + n > self.budget {
            return Err(Errno::ENOBUFS);
        }
        self.used += n;
        Ok(())
    }

    /// Takes `n` bytes for a received datagram: even a flood of them leaves a quarter of the budget to TCP.
    pub fn charge_datagram(&mut self, n: usize) -> Result<()> {
        if self.used + n > self.budget - self.budget / 4 { Err(Errno::ENOBUFS) } else { self.charge(n) }
    }

    /// Gives `n` bytes back.
    pub fn release(&mut self, n: usize) {
        self.used = self.used.saturating_sub(n);
    }

    /// A socket with buffers of the given sizes, and the number of bytes charged for it.
    pub fn socket(&mut self, sizes: (usize, usize)) -> Result<(Pooled, usize)> {
        let bytes = sizes.0 + sizes.1 + 2048;
        self.charge(bytes)?;
        if self.pool_sizes == sizes
            && let Some(p) = self.pool.pop()
        {
            return Ok((p, bytes));
        }
        let made = make(sizes);
        if made.is_err() {
            self.release(bytes);
        }
        Ok((made?, bytes))
    }

    /// Takes a socket back.
    pub fn put_back(&mut self, mut p: Pooled, bytes: usize) {
        self.release(bytes);
        let s = p.0.get_mut::<tcp::Socket>(p.1);
        let sizes = (s.recv_capacity(), s.send_capacity());
        if sizes != self.sizes() || self.pool.len() * (sizes.0 + sizes.1) > self.budget / 8 {
            return;
        }
        if sizes != self.pool_sizes {
            self.pool.clear();
            self.pool_sizes = sizes;
        }
        if self.pool.len() < POOL && self.pool.try_reserve(1).is_ok() {
            s.abort();
            s.set_keep_alive(None);
            s.set_timeout(None);
            self.pool.push(p);
        }
    }
}

fn make(sizes: (usize, usize)) -> Result<Pooled> {
    let buffer = |n: usize| -> Result<tcp::SocketBuffer<'static>> {
        let mut v = Vec::new();
        v.try_reserve_exact(n).map_err(|_| Errno::ENOBUFS)?;
        v.resize(n, 0u8);
        Ok(tcp::SocketBuffer::new(v))
    };
    let socket = tcp::Socket::new(buffer(sizes.0)?, buffer(sizes.1)?);
    let mut storage = Vec::new();
    storage.try_reserve_exact(1)?;
    let mut set = SocketSet::new(storage);
    let handle = set.add(socket);
    Ok((set, handle))
}
