//! Running out of memory gracefully.
//!
//! A few containers (`Arc`, `BTreeMap`) cannot report that there is no memory. The kernel keeps a reserve for them, and
//! every call that makes something a program can have many of (a file, a socket, a mapping, a watch) asks here first.

use crate::sync::Provider;
use crate::{Errno, Result, upcall};

/// ENOMEM when only the reserve is left.
pub fn check() -> Result<()> {
    if upcall::memory_low() { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// Pages that are free, neither kept in reserve nor promised.
pub fn available() -> usize {
    upcall::memory_available()
}

/// Gives about so many pages back that can be had again from elsewhere; returns how many. Takes spin locks only, of
/// rank Table and above. The page cache's.
pub static RECLAIM: Provider<fn(usize) -> usize> = Provider::new();

/// Frees about `pages` of what can be had again; returns how many. Call it without spin locks.
pub fn reclaim(pages: usize) -> usize {
    RECLAIM.get().map_or(0, |f| f(pages))
}

/// Unmaps about `want` pages of files that the program did not touch for long. Call it without spin locks.
pub fn unmap_untouched(want: usize) {
    upcall::unmap_untouched(want);
}
