//! Atomic access to a word of the program that survives a bad address.

use libos_base::{Errno, Result, user};

/// The word as it is now. Under a spin lock: `None` when the page is not present. Else `None` is EFAULT.
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

/// Puts `new` there if it is `old`; what was there. Not under a spin lock.
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
