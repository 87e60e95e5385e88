//! Words of host tests are real and aligned.

use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use libos_base::{Result, user};

fn word(addr: usize) -> Result<&'static AtomicU32> {
    user::check(addr, 4)?;
    // SAFETY: see the module.
    Ok(unsafe { AtomicU32::from_ptr(addr as *mut u32) })
}

#[derive(Clone, Copy)]
pub struct Word(&'static AtomicU32);

impl Word {
    pub fn at(addr: usize) -> Result<Self> {
        word(addr).map(Self)
    }
    pub fn load(self) -> Option<u32> {
        Some(self.0.load(SeqCst))
    }
    pub fn fault_in(self) -> Result<()> {
        Ok(())
    }
}

pub fn compare_exchange(addr: usize, old: u32, new: u32) -> Result<u32> {
    Ok(word(addr)?.compare_exchange(old, new, SeqCst, SeqCst).unwrap_or_else(|v| v))
}
