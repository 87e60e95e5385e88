//! Words of host tests are real and aligned.

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use libos_base::{Result, user};

fn word(addr: usize) -> Result<&'static AtomicU32> {
    user::check(addr, 4)?;
    // SAFETY: see the module.
    Ok(unsafe { AtomicU32::from_ptr(addr as *mut u32) })
}

pub fn load(addr: usize) -> Option<u32> {
    Some(word(addr).ok()?.load(SeqCst))
}

pub fn compare_exchange(addr: usize, old: u32, new: u32) -> Result<u32> {
    Ok(word(addr)?.compare_exchange(old, new, SeqCst, SeqCst).unwrap_or_else(|v| v))
}
