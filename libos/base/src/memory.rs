//! Running out of memory gracefully.
//!
//! A few containers (`Arc`, `BTreeMap`) cannot report allocation failure. The kernel keeps a reserve for them, and
//! every call that makes something a program can have many of (a file, a socket, a mapping, a watch) checks here first.

pub use crate::upcall::{memory_available as available, unmap_untouched};

use crate::sync::Provider;
use crate::{Errno, Result, upcall};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// ENOMEM when only the reserve is left.
pub fn check() -> Result<()> {
    if upcall::memory_low() { Err(Errno::ENOMEM) } else { Ok(()) }
}

/// Objects of this size and less fit while there is more memory than the reserve.
const SMALL: usize = 2048;

/// ENOMEM unless `bytes` more can be allocated now. Stable `Arc` and `Box` abort when memory runs out; asking first
/// leaves only a race, which the heap's reserve covers.
#[inline]
pub fn room_for(bytes: usize) -> Result<()> {
    // On the host allocations fail as tests want, whatever memory there is.
    if cfg!(unibody_kernel) && bytes <= SMALL && !upcall::memory_low() { Ok(()) } else { try_room(bytes) }
}

#[cold]
#[inline(never)]
fn try_room(bytes: usize) -> Result<()> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Errno::ENOMEM)
}

/// An empty list with room for `n` elements.
pub fn with_room<T>(n: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(n)?;
    Ok(list)
}

/// `n` copies of `value`.
pub fn filled<T: Clone>(n: usize, value: T) -> Result<Vec<T>> {
    let mut list = with_room(n)?;
    list.resize(n, value);
    Ok(list)
}

/// A copy of a list.
pub fn copy<T: Clone>(list: &[T]) -> Result<Vec<T>> {
    let mut copy = with_room(list.len())?;
    copy.extend_from_slice(list);
    Ok(copy)
}

/// Adds an element to a list.
pub fn push<T>(list: &mut Vec<T>, value: T) -> Result<()> {
    list.try_reserve(1)?;
    list.push(value);
    Ok(())
}

/// `Box::new` that fails with ENOMEM.
pub fn try_box<T>(value: T) -> Result<Box<T>> {
    room_for(size_of::<T>())?;
    Ok(Box::new(value))
}

/// Frees about this many pages whose content can be fetched again; returns how many. Takes only spin locks of rank
/// Table and above. Provided by the page cache.
pub static RECLAIM: Provider<fn(usize) -> usize> = Provider::new();

/// Frees about `pages` pages whose content can be fetched again; returns how many. Not to be called under spin locks.
pub fn reclaim(pages: usize) -> usize {
    RECLAIM.get().map_or(0, |f| f(pages))
}
