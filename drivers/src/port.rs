//! x86 I/O ports.
//!
//! A port access can reset the machine or stop a timer, but it cannot break memory safety by itself except through
//! devices that do DMA; these functions are therefore `unsafe` and each caller says which device it talks to.

use core::arch::asm;

/// Reads a byte.
///
/// # Safety
/// Reading the port must have no effect that breaks memory safety.
#[inline]
pub unsafe fn in8(port: u16) -> u8 {
    let v: u8;
    // SAFETY: the caller's.
    unsafe { asm!("in al, dx", out("al") v, in("dx") port, options(nomem, nostack, preserves_flags)) };
    v
}

/// Reads 16 bits.
///
/// # Safety
/// As [`in8`].
#[inline]
pub unsafe fn in16(port: u16) -> u16 {
    let v: u16;
    // SAFETY: the caller's.
    unsafe { asm!("in ax, dx", out("ax") v, in("dx") port, options(nomem, nostack, preserves_flags)) };
    v
}

/// Reads 32 bits.
///
/// # Safety
/// As [`in8`].
#[inline]
pub unsafe fn in32(port: u16) -> u32 {
    let v: u32;
    // SAFETY: the caller's.
    unsafe { asm!("in eax, dx", out("eax") v, in("dx") port, options(nomem, nostack, preserves_flags)) };
    v
}

/// Writes a byte. The compiler may not move memory accesses across it: the device may read what was stored before.
///
/// # Safety
/// Writing the port must have no effect that breaks memory safety.
#[inline]
pub unsafe fn out8(port: u16, v: u8) {
    // SAFETY: the caller's.
    unsafe { asm!("out dx, al", in("dx") port, in("al") v, options(nostack, preserves_flags)) };
}

/// Writes 16 bits.
///
/// # Safety
/// As [`out8`].
#[inline]
pub unsafe fn out16(port: u16, v: u16) {
    // SAFETY: the caller's.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") v, options(nostack, preserves_flags)) };
}

/// Writes 32 bits.
///
/// # Safety
/// As [`out8`].
#[inline]
pub unsafe fn out32(port: u16, v: u32) {
    // SAFETY: the caller's.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") v, options(nostack, preserves_flags)) };
}
