//! Resource limits that can be set: RLIMIT_NOFILE, RLIMIT_FSIZE and RLIMIT_SIGPENDING, soft and hard.

use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::{Errno, Result};

/// RLIM_INFINITY.
pub const INFINITY: u64 = u64::MAX;
/// The most descriptors that a raised limit may allow (Linux's fs.nr_open is as a constant, too).
pub const NOFILE_MAX: u64 = 1 << 16;

/// A soft and a hard limit.
pub struct Limit {
    soft: AtomicU64,
    hard: AtomicU64,
}

/// Open descriptors.
pub static NOFILE: Limit = Limit::new(1024, NOFILE_MAX);
/// Signals that may be queued, timers included.
pub static SIGPENDING: Limit = Limit::new(4096, 4096);
/// Size a file may be written to.
pub static FSIZE: Limit = Limit::new(INFINITY, INFINITY);

impl Limit {
    const fn new(soft: u64, hard: u64) -> Self {
        Self { soft: AtomicU64::new(soft), hard: AtomicU64::new(hard) }
    }
    /// What is enforced.
    pub fn soft(&self) -> u64 {
        self.soft.load(Ordering::Relaxed)
    }
    /// (soft, hard).
    pub fn get(&self) -> (u64, u64) {
        (self.soft(), self.hard.load(Ordering::Relaxed))
    }
    /// Sets both; EINVAL when soft is above hard.
    pub fn set(&self, soft: u64, hard: u64) -> Result<()> {
        if soft > hard {
            return Err(Errno::EINVAL);
        }
        self.hard.store(hard, Ordering::Relaxed);
        self.soft.store(soft, Ordering::Relaxed);
        Ok(())
    }
}

/// The most files that may be open in the system (fs.file-max): each takes about a KiB, so that they do not take all memory.
/// Linux lets root go beyond it; here nobody is there to clean up after root. Numbers are counted: what `dup` makes, too, and
/// not what is on its way through a socket. It comes from what boot says of memory, which is there before the first file.
pub fn file_max() -> u64 {
    (crate::root::memory() as u64 >> 10).clamp(1024, NOFILE_MAX)
}

/// Sets RLIMIT_NOFILE; EPERM above [`NOFILE_MAX`], as Linux above fs.nr_open.
pub fn set_nofile(soft: u64, hard: u64) -> Result<()> {
    if hard > NOFILE_MAX {
        return Err(Errno::EPERM);
    }
    NOFILE.set(soft, hard)
}
