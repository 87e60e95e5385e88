//! Atomic access to a word of the program that survives a bad address.

use crate::arch;
use libos_base::abi::In;
use libos_base::{Errno, Result, user};

/// A word that may be looked at under a spin lock.
#[derive(Clone, Copy)]
pub struct Word(usize);

impl Word {
    /// EFAULT: there is no program memory.
    #[inline]
    pub fn at(addr: usize) -> Result<Self> {
        user::check(addr, 4).map(|()| Self(addr))
    }
    /// Its value now; `None`: its page is not present.
    #[inline(always)]
    pub fn load(self) -> Option<u32> {
        // SAFETY: in the program's range.
        unsafe { arch::user::load(self.0) }
    }
    /// Stores `new` if it is `old`; returns what was there. `None`: its page is not present, or not writable.
    #[cfg(unibody_kernel)]
    pub fn exchange(self, old: u32, new: u32) -> Option<u32> {
        // SAFETY: in the program's range.
        unsafe { arch::user::compare_exchange(self.0, old, new) }
    }
    /// Where it is.
    #[cfg(unibody_kernel)]
    pub const fn address(self) -> usize {
        self.0
    }
    /// Has its page brought in, with no lock held; EFAULT if it cannot be had.
    #[cold]
    pub fn fault_in(self) -> Result<()> {
        user::read::<u32>(In::new(self.0)).map(|_| ())
    }
}

/// Stores `new` if the word is `old`; returns what was there. Not under a spin lock.
pub fn compare_exchange(addr: usize, old: u32, new: u32) -> Result<u32> {
    user::check(addr, 4)?;
    // SAFETY: in the program's range.
    unsafe { arch::user::compare_exchange(addr, old, new) }.ok_or(Errno::EFAULT)
}
