//! Resource limits (getrlimit(2)), soft and hard. The code that hands out a resource checks them; the support matrix
//! lists the limits that are not enforced.

use crate::cred::{cap, capable};
use crate::{Errno, Result};
use core::sync::atomic::{AtomicU64, Ordering};

/// RLIM_INFINITY.
pub const INFINITY: u64 = u64::MAX;
/// The most descriptors that a raised limit may allow (fs.nr_open, which is a constant here).
pub const NOFILE_MAX: u64 = 1 << 20;

/// A soft and a hard limit, each stored as its complement: "no limit" is 0 and takes no room in the image.
pub struct Limit {
    soft: AtomicU64,
    hard: AtomicU64,
}

macro_rules! limits {
    ($($(#[$about:meta])* $name:ident = $soft:expr, $hard:expr;)*) => {
        $($(#[$about])* pub static $name: Limit = Limit::new($soft, $hard);)*
        /// All of them, by number (asm-generic/resource.h).
        static ALL: [&Limit; 16] = [$(&$name),*];
    };
}

// The values are those of Linux's first process, or no limit where Linux derives them from the memory size.
limits! {
    /// Seconds of processor time.
    CPU = INFINITY, INFINITY;
    /// Size up to which a file may be written.
    FSIZE = INFINITY, INFINITY;
    /// Private writable memory.
    DATA = INFINITY, INFINITY;
    /// Size to which the main stack may grow.
    STACK = 8 << 20, INFINITY;
    CORE = 0, INFINITY;
    RSS = INFINITY, INFINITY;
    /// Threads of the user.
    NPROC = INFINITY, INFINITY;
    /// Open descriptors. Boot raises the soft limit as far as memory goes.
    NOFILE = 1024, NOFILE_MAX;
    /// Locked memory.
    MEMLOCK = 8 << 20, 8 << 20;
    /// Address space.
    AS = INFINITY, INFINITY;
    LOCKS = INFINITY, INFINITY;
    /// Signals that may be queued, timers included.
    SIGPENDING = 4096, 4096;
    MSGQUEUE = 819_200, 819_200;
    /// How far the nice value may be lowered: to 20 minus this.
    NICE = 0, 0;
    RTPRIO = 0, 0;
    RTTIME = INFINITY, INFINITY;
}

/// The limit with this number; EINVAL if there is none.
pub fn get(which: u32) -> Result<&'static Limit> {
    ALL.get(which as usize).copied().ok_or(Errno::EINVAL)
}

/// Sets both; EPERM above [`NOFILE_MAX`] (fs.nr_open on Linux), and when raising the hard limit without privilege.
pub fn set(which: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = get(which)?;
    if soft > hard {
        return Err(Errno::EINVAL);
    }
    if core::ptr::eq(limit, &raw const NOFILE) && hard > NOFILE_MAX
        || hard > limit.get().1 && !capable(cap::SYS_RESOURCE)
    {
        return Err(Errno::EPERM);
    }
    limit.hard.store(!hard, Ordering::Relaxed);
    limit.set_soft(soft);
    Ok(())
}

impl Limit {
    const fn new(soft: u64, hard: u64) -> Self {
        Self { soft: AtomicU64::new(!soft), hard: AtomicU64::new(!hard) }
    }
    /// The enforced limit.
    pub fn soft(&self) -> u64 {
        !self.soft.load(Ordering::Relaxed)
    }
    /// (soft, hard).
    pub fn get(&self) -> (u64, u64) {
        (self.soft(), !self.hard.load(Ordering::Relaxed))
    }
    /// Sets only the soft limit.
    pub fn set_soft(&self, soft: u64) {
        self.soft.store(!soft, Ordering::Relaxed);
    }
}
