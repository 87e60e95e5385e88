//! Atomic access to a word of the program that survives a bad address.

use crate::arch;
use libos_base::{Errno, Result, user};

/// The word's value now. Under a spin lock `None` means that the page is not present; otherwise it means EFAULT.
pub fn load(addr: usize) -> Option<u32> {
    user::check(addr, 4).ok()?;
    // SAFETY: in the program's range.
    unsafe { arch::user::load(addr) }
}

/// Stores `new` if the word is `old`; returns what was there. Not under a spin lock.
pub fn compare_exchange(addr: usize, old: u32, new: u32) -> Result<u32> {
    user::check(addr, 4)?;
    // SAFETY: in the program's range.
    unsafe { arch::user::compare_exchange(addr, old, new) }.ok_or(Errno::EFAULT)
}
