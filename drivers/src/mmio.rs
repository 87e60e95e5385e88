//! Memory-mapped registers: volatile accesses of the stated width, bounds-checked.

use crate::platform;

/// A mapped range of registers. Copies name the same registers.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    base: usize,
    len: usize,
}

macro_rules! access {
    ($($read:ident $write:ident $t:ty;)*) => { $(
        /// Reads a register. Panics when out of range or misaligned.
        #[inline]
        pub fn $read(&self, off: usize) -> $t {
            // SAFETY: `at` checked range and alignment; `new` vouched for the registers.
            unsafe { (self.at(off, size_of::<$t>()) as *const $t).read_volatile() }
        }
        /// Writes a register. Panics when out of range or misaligned.
        #[inline]
        pub fn $write(&self, off: usize, v: $t) {
            // SAFETY: as for reading.
            unsafe { (self.at(off, size_of::<$t>()) as *mut $t).write_volatile(v) }
        }
    )* };
}

impl Mmio {
    /// Registers at a virtual address.
    ///
    /// # Safety
    /// `base .. base + len` must stay mapped and hold registers (or memory) that nothing else uses as Rust objects.
    pub const unsafe fn new(base: usize, len: usize) -> Self {
        Self { base, len }
    }

    /// Maps registers through the kernel; `None` when it refuses.
    ///
    /// # Safety
    /// `phys .. phys + len` must be device registers, not RAM.
    pub unsafe fn map(phys: u64, len: usize) -> Option<Self> {
        phys.checked_add(len as u64)?;
        let base = platform::map_mmio(phys, len)?;
        // SAFETY: the platform's mappings are never removed; registers by the caller's promise.
        Some(unsafe { Self::new(base, len) })
    }

    /// Bytes in the range.
    pub fn size(&self) -> usize {
        self.len
    }

    /// A part of the range; `None` when it does not lie inside.
    pub fn part(&self, off: usize, len: usize) -> Option<Self> {
        (off <= self.len && len <= self.len - off).then(|| Self { base: self.base + off, len })
    }

    #[inline]
    fn at(&self, off: usize, size: usize) -> usize {
        assert!(off <= self.len && size <= self.len - off && (self.base + off).is_multiple_of(size));
        self.base + off
    }

    access! {
        read8 write8 u8;
        read16 write16 u16;
        read32 write32 u32;
        read64 write64 u64;
    }
}
