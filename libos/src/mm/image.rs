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
pub fn program_range(addr: usize, len: usize) -> bool {
    let Some(end) = addr.checked_add(len) else { return false };
    if addr < PROGRAM_START || end > PROGRAM_END {
        return false;
    }
    let image = image();
    let outside = |r: &Range<usize>| end <= r.start || addr >= r.end;
    outside(&image) || kernel_parts().iter().all(outside)
}
