//! What several families of handlers need.

use crate::signal::{self, SigSet};
use libos_base::abi::{In, Timespec};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, time, user};

/// EINVAL if a flag is set that is not `known`.
#[inline]
pub fn only<F: bitflags::Flags>(flags: F, known: F) -> Result<()> {
    if known.contains(flags) { Ok(()) } else { Err(Errno::EINVAL) }
}

/// An `off_t` that must not be negative.
pub fn offset(at: i64) -> Result<u64> {
    u64::try_from(at).map_err(|_| Errno::EINVAL)
}

/// Raises the signal that goes with an error of a write: SIGPIPE with EPIPE; SIGXFSZ with EFBIG if RLIMIT_FSIZE caused
/// it.
#[inline]
pub fn raise_on<T>(r: Result<T>) -> Result<T> {
    if let Err(e) = &r {
        raise_for(*e);
    }
    r
}

#[cold]
fn raise_for(e: Errno) {
    match e {
        Errno::EPIPE => signal::raise_current(signal::SIGPIPE),
        Errno::EFBIG if libos_base::limits::FSIZE.soft() != libos_base::limits::INFINITY => {
            signal::raise_current(signal::SIGXFSZ);
        }
        _ => {}
    }
}

/// Deadline of a wait: null means forever, zero means not at all (0).
pub fn deadline(timeout: impl Into<In<Timespec>>) -> Result<u64> {
    Ok(match user::read_opt(timeout)? {
        None => FOREVER,
        Some(t) => after(t.to_ns()?),
    })
}
/// Deadline `ns` from now; 0 stays 0, which means not to wait.
pub fn after(ns: u64) -> u64 {
    if ns == 0 { 0 } else { time::after(ns) }
}
/// Deadline of a timeout in milliseconds; negative means forever.
pub fn deadline_ms(ms: i32) -> u64 {
    u64::try_from(ms).map_or(FOREVER, |ms| after(ms * 1_000_000))
}
/// Time left until a deadline.
pub fn left(deadline: u64) -> u64 {
    deadline.saturating_sub(time::monotonic_ns())
}

/// Waits under the signal mask at `mask`, if there is one.
pub fn masked<T>(mask: In<SigSet>, size: usize, wait: impl FnOnce() -> Result<T>) -> Result<T> {
    if mask.is_null() {
        return wait();
    }
    if size != 8 {
        return Err(Errno::EINVAL);
    }
    signal::with_temporary_mask(user::read(mask)?, wait)
}
