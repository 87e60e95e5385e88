//! PVH start info (Xen public/arch-x86/hvm/start_info.h). Also what QEMU's microvm, Firecracker and Cloud
//! Hypervisor pass.

use crate::arch::boot_info::{BootInfo, Range};

#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    nr_modules: u32,
    modlist: u64,
    cmdline: u64,
    rsdp: u64,
    memmap: u64,
    memmap_entries: u32,
    reserved: u32,
}

#[repr(C)]
struct Module {
    start: u64,
    size: u64,
    cmdline: u64,
    reserved: u64,
}

#[repr(C)]
struct MemoryEntry {
    start: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336e_c578;

/// Reads the start info at `addr`.
///
/// # Safety
/// `addr` is a start info in the first GiB, which is mapped one to one.
pub unsafe fn parse(addr: u64, boot: &mut BootInfo) {
    // SAFETY: the caller's; every structure below is where the loader says. QEMU's microvm aligns none of them.
    unsafe {
        let s = (addr as *const StartInfo).read_unaligned();
        if s.magic != MAGIC {
            crate::arch::cpu::stop();
        }
        boot.reserve(addr, size_of::<StartInfo>() as u64);
        if s.version >= 1 {
            for i in 0..s.memmap_entries as usize {
                let e = (s.memmap as *const MemoryEntry).add(i).read_unaligned();
                super::add_region(boot, e.start, e.size, e.kind);
            }
        }
        if s.nr_modules > 0 {
            let m = (s.modlist as *const Module).read_unaligned();
            boot.initrd = Some(Range::at(m.start, m.size));
            boot.reserve(m.start, m.size);
        }
        if s.rsdp != 0 {
            boot.rsdp = Some(s.rsdp);
        }
        if s.cmdline != 0 {
            super::take_command_line(s.cmdline, boot);
        }
    }
}
