//! From the first Rust code at the image's base to the program's `main`.

pub mod info;
#[cfg(unibody_kernel)]
pub mod linux64;
#[cfg(unibody_kernel)]
pub mod multiboot2;
pub mod params;
#[cfg(unibody_kernel)]
pub mod pvh;
#[cfg(unibody_kernel)]
mod start;

#[cfg(unibody_kernel)]
pub use start::{parameters, start};

/// Notes where the NUL-terminated command line is.
///
/// # Safety
/// `addr` is such a string in the first GiB, which is mapped one to one.
#[cfg(unibody_kernel)]
unsafe fn take_command_line(addr: u64, boot: &mut info::BootInfo) {
    const MAX: u64 = 64 << 10;
    let mut n = 0;
    // SAFETY: the caller's.
    while n < MAX && unsafe { ((addr + n) as *const u8).read_volatile() } != 0 {
        n += 1;
    }
    boot.command_line = Some(info::Range::at(addr, n));
    boot.reserve(addr, n + 1);
}
