//! Where the image lies, and the parts of it that are the kernel's and closed to the program.

use crate::arch::image::*;
use core::ops::Range;
use libos_base::layout::{PROGRAM_END, PROGRAM_START};

/// The whole image, `.bss` included.
pub fn image() -> Range<usize> {
    &raw const __image_start as usize..&raw const __image_end as usize
}

/// The kernel's parts of the image.
pub fn kernel_parts() -> [Range<usize>; 4] {
    let r = |start: *const u8, end: *const u8| start as usize..end as usize;
    [
        r(&raw const __ktext_start, &raw const __ktext_end),
        r(&raw const __krodata_start, &raw const __krodata_end),
        r(&raw const __krelro_start, &raw const __krelro_end),
        r(&raw const __kdata_start, &raw const __kdata_end),
    ]
}

/// Whether `addr .. addr + len` may hold program data: it is program memory, and no part of the kernel's image.
#[inline]
pub fn program_range(addr: usize, len: usize) -> bool {
    surely_program(addr, len) || between_kernel_parts(addr, len)
}

/// The same, found out quickly: false means no more than that it is not obvious.
#[inline(always)]
pub fn surely_program(addr: usize, len: usize) -> bool {
    let within = |from: usize, to: usize| addr >= from && addr <= to && len <= to - addr;
    // The program's variables are the last part of the image; above it are stacks, and below it the heap.
    within(&raw const __data_start as usize, PROGRAM_END) || within(PROGRAM_START, image().start)
}

#[inline(never)]
fn between_kernel_parts(addr: usize, len: usize) -> bool {
    let within = |start: usize, end: *const u8| {
        let end = end as usize;
        addr >= start && addr <= end && len <= end - addr
    };
    // In the order of unibody.ld: the kernel's constants with its code right behind them, then its relocated constants
    // with its variables right behind those. What is before the first two, and between the two pairs, is the program's.
    within(PROGRAM_START, &raw const __krodata_start)
        || within(&raw const __ktext_end as usize, &raw const __krelro_start)
}
