//! The image in memory: its parts, as the linker script names them, and its addresses as they are in the ELF file.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

macro_rules! linker_symbols {
    ($($name:ident),*) => {
        #[cfg(unibody_kernel)]
        unsafe extern "C" { $(pub static $name: u8;)* }
    };
}
linker_symbols! {
    __image_start, __image_end, __text_start, __text_end, __ktext_start, __ktext_end, __krodata_start, __krodata_end,
    __relro_start, __relro_end, __krelro_start, __krelro_end, __data_start, __bss_end, __kdata_start, __kdata_end,
    __rela_start, __rela_end, __relr_start, __relr_end
}

/// Difference between run-time and ELF addresses.
static DELTA: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);

/// Sets the base and end at run time, and the address that the image was linked at.
pub fn set(base: usize, end: usize, linked_at: usize) {
    DELTA.store(base - linked_at, Relaxed);
    END.store(end, Relaxed);
}

/// A code address, printed for people and for the host's symboliser.
pub struct Address(pub usize);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delta = DELTA.load(Relaxed);
        if self.0 >= delta && self.0 < END.load(Relaxed) {
            write!(f, "<{:#x}>", self.0 - delta)
        } else {
            write!(f, "{:#x} (outside the image)", self.0)
        }
    }
}

/// Whether an address lies in the kernel's own code.
#[cfg(unibody_kernel)]
pub fn in_kernel_text(addr: usize) -> bool {
    addr >= &raw const __ktext_start as usize && addr < &raw const __ktext_end as usize
}
