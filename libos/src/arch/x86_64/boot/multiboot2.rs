//! multiboot2 boot information (specification 2.0, 3.6): GRUB on BIOS and UEFI.

use crate::arch::boot_info::{BootInfo, Range};

/// Reads the information at `addr`.
///
/// # Safety
/// `addr` is a multiboot2 information structure in the first GiB, which is mapped one to one.
pub unsafe fn parse(addr: u64, boot: &mut BootInfo) {
    // SAFETY: the caller's; tags are walked by their sizes.
    unsafe {
        let u32_at = |p: u64| (p as *const u32).read_unaligned();
        let u64_at = |p: u64| (p as *const u64).read_unaligned();
        let end = addr + u32_at(addr) as u64;
        boot.reserve(addr, end - addr);
        let mut tag = addr + 8;
        while tag + 8 <= end {
            let (kind, size) = (u32_at(tag), u32_at(tag + 4) as u64);
            if kind == 0 || size < 8 {
                break;
            } else if kind == 1 {
                super::take_command_line(tag + 8, boot);
            } else if kind == 3 && boot.initrd.is_none() {
                let (start, stop) = (u32_at(tag + 8) as u64, u32_at(tag + 12) as u64);
                boot.initrd = Some(Range { start, end: stop });
                boot.reserve(start, stop - start);
            } else if kind == 6 {
                let entry_size = u32_at(tag + 8) as u64;
                let mut e = tag + 16;
                while e + entry_size <= tag + size && entry_size >= 24 {
                    super::add_region(boot, u64_at(e), u64_at(e + 8), u32_at(e + 16));
                    e += entry_size;
                }
            } else if kind == 14 || kind == 15 {
                // A copy of the root pointer; the newer one wins.
                if boot.rsdp.is_none() || kind == 15 {
                    boot.rsdp = Some(tag + 8);
                }
            }
            tag += size.next_multiple_of(8);
        }
    }
}
