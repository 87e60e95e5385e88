//! Atomic access to a word of the program that survives a bad address.

use libos_base::{Errno, Result, user};

/// The word's value now. Under a spin lock `None` means that the page is not present; otherwise it means EFAULT.
pub fn load(addr: usize) -> Option<u32> {
    user::check(addr, 4).ok()?;
    #[cfg(unibody_kernel)]
    {
        // SAFETY: in the program's range.
        unsafe { crate::arch::user::load(addr) }
    }
    #[cfg(not(unibody_kernel))]
    // SAFETY: host tests pass real, aligned words.
    Some(
        unsafe { core::sync::atomic::AtomicU32::from_ptr(addr as *mut u32) }.load(core::sync::atomic::Ordering::SeqCst),
    )
}

/// Stores `new` if the word is `old`; returns what was there. Not under a spin lock.
pub fn compare_exchange(addr: usize, old: u32, new: u32) -> Result<u32> {
    user::check(addr, 4)?;
    #[cfg(unibody_kernel)]
    {
        // SAFETY: in the program's range.
        unsafe { crate::arch::user::compare_exchange(addr, old, new) }.ok_or(Errno::EFAULT)
    }
    #[cfg(not(unibody_kernel))]
    {
        use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
        let _ = Errno::EFAULT;
        // SAFETY: host tests pass real, aligned words.
        let word = unsafe { AtomicU32::from_ptr(addr as *mut u32) };
        Ok(word.compare_exchange(old, new, SeqCst, SeqCst).unwrap_or_else(|v| v))
    }
}
