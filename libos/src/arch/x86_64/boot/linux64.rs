//! The Linux 64-bit boot protocol's zero page (Documentation/arch/x86/zero-page.rst): Firecracker before 1.12, crosvm.

use crate::arch::boot_info::{BootInfo, Range};

/// Reads the zero page at `addr`.
///
/// # Safety
/// `addr` is a zero page in the first GiB, which is mapped one to one.
pub unsafe fn parse(addr: u64, boot: &mut BootInfo) {
    let at = |off: u64| addr + off;
    // SAFETY: the caller's; the offsets are the protocol's.
    unsafe {
        let u8_at = |off| (at(off) as *const u8).read_unaligned();
        let u32_at = |off| (at(off) as *const u32).read_unaligned();
        let u64_at = |off| (at(off) as *const u64).read_unaligned();
        boot.reserve(addr, 4096);
        for i in 0..u8_at(0x1e8) as u64 {
            let e = 0x2d0 + i * 20;
            super::add_region(boot, u64_at(e), u64_at(e + 8), u32_at(e + 16));
        }
        let (start, len) = (u32_at(0x218) as u64, u32_at(0x21c) as u64);
        if len != 0 {
            boot.initrd = Some(Range::at(start, len));
            boot.reserve(start, len);
        }
        if u64_at(0x70) != 0 {
            boot.rsdp = Some(u64_at(0x70));
        }
        if u32_at(0x228) != 0 {
            super::take_command_line(u32_at(0x228) as u64, boot);
        }
    }
}
