//! Stage 1: from one-to-one mapped physical addresses to the image's random virtual base.
//!
//! Relocations are applied twice: first for the linked address, so that compiled code may use any static here, then for
//! the random base. It runs once, on the boot CPU, interrupts off.

use super::entry::Protocol;
use crate::arch::boot_info::{self, BootInfo, Kind, Range};
use crate::arch::image::*;
use crate::arch::page::{ACCESSED, ADDRESS, DIRTY, LARGE, LARGE_SIZE, NO_EXEC, PRESENT, WRITE};
use crate::arch::{cpu, upcall};
use libos_base::layout::{self, PAGE_SIZE, direct_map, table_window};

/// A kernel mapping of memory.
const DATA: u64 = PRESENT | WRITE | NO_EXEC | ACCESSED | DIRTY;
const LARGE_PAGE: u64 = LARGE_SIZE as u64;

/// Where the linker put the image; also where it is in physical memory.
const LINKED_AT: u64 = 0x20_0000;

/// Address of a symbol where this code runs. By hand, because the compiler may go through the GOT, whose entries
/// change when relocations are applied.
macro_rules! at {
    ($s:ident) => {{
        let v: u64;
        // SAFETY: computes an address.
        #[allow(unused_unsafe, reason = "some callers stand in an unsafe block")]
        unsafe { core::arch::asm!("lea {}, [rip + {}]", out(reg) v, sym $s, options(pure, nomem, nostack)) };
        v
    }};
}

/// First Rust code. `info` is the boot protocol's structure.
///
/// # Safety
/// Called once by the boot stubs.
pub unsafe extern "C" fn stage1(info: u64, protocol: Protocol) -> ! {
    // SAFETY: the image is mapped where it was linked; `relocate` itself uses no relocated static.
    unsafe { relocate(0) };
    // SAFETY: single-threaded boot; BOOT_INFO is not read before it is handed over.
    let boot = unsafe { &mut *boot_info::storage() };
    boot.image_phys = Range { start: at!(__image_start), end: at!(__image_end) };
    // SAFETY: `info` is the structure that this protocol passes, in the first GiB.
    unsafe {
        match protocol {
            Protocol::Pvh => super::pvh::parse(info, boot),
            Protocol::Multiboot2 => super::multiboot2::parse(info, boot),
            Protocol::Linux64 => super::linux64::parse(info, boot),
        }
    }
    boot.choose_bump();
    // As Linux places a PIE: 28 bits of pages.
    let base = 0x5555_5000_0000 + ((random() & 0x0fff_ffff) << 12);
    layout::choose([random(), random()]);
    boot.image_virt = base;
    let delta = base.wrapping_sub(LINKED_AT);

    let root = boot.bump_page();
    map_direct(root, boot);
    map_image(root, boot, delta);
    hide_image_and_tables(root, boot);
    // One to one, for the jump only.
    // SAFETY: both are page tables in the first GiB.
    unsafe { *(root as *mut u64) = *(at!(LIBOS_BOOT_PML4) as *const u64) };
    boot.root = root;
    let boot_virt = boot as *mut BootInfo as u64 + delta;
    // SAFETY: the last thing that is done at the linked address. Relocations are written through the one-to-one map;
    // then the jump goes to the same code at its virtual base.
    unsafe {
        relocate(delta);
        enter(root, boot_virt, at!(LIBOS_BOOT_STACK_END) + delta, at!(stage2) + delta);
    }
}

unsafe extern "C" {
    static LIBOS_BOOT_PML4: u8;
    static LIBOS_BOOT_STACK_END: u8;
}

/// Switches to the new tables and to the virtual base.
///
/// # Safety
/// `root` maps this code one to one, and `boot`, `stack` and `target` where the image is to run.
unsafe fn enter(root: u64, boot: u64, stack: u64, target: u64) -> ! {
    // SAFETY: the caller's.
    unsafe {
        core::arch::asm!("mov cr3, {r}", "mov rsp, {s}", "xor ebp, ebp", "jmp {t}",
            r = in(reg) root, s = in(reg) stack - 8, t = in(reg) target, in("rdi") boot, options(noreturn));
    }
}

/// At the virtual base, relocated.
extern "C" fn stage2(boot: &'static mut BootInfo) -> ! {
    upcall::start(boot)
}

/// Random bits; callers use the lower ones.
fn random() -> u64 {
    let jitter = || {
        // No generator: mix the little jitter there is. `entropy` warns about this later.
        (0..64).fold(cpu::rdtsc(), |h, _| (h ^ cpu::rdtsc()).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
    };
    cpu::hardware_random().unwrap_or_else(jitter) >> 12
}

/// Maps all RAM at `direct_map()`, never executable; for the table window, makes only the upper tables
/// (`mm::table_frames` relies on them).
fn map_direct(root: u64, boot: &mut BootInfo) {
    map_direct_range(root, boot, 0, LARGE_PAGE);
    for i in 0..boot.regions_len {
        let r = boot.regions[i];
        if r.kind == Kind::Usable {
            map_direct_range(root, boot, r.range.start & !(LARGE_PAGE - 1), r.range.end);
        }
    }
}

fn map_direct_range(root: u64, boot: &mut BootInfo, start: u64, end: u64) {
    for phys in (start..end).step_by(LARGE_SIZE) {
        let slot = second_level(root, boot, direct_map() as u64 + phys);
        // SAFETY: an entry of a page table this code made.
        unsafe { *slot = phys | DATA | LARGE };
        second_level(root, boot, table_window() as u64 + phys);
    }
}

/// Takes the image and the page tables out of the direct map: no address shows executable or read-only memory as writable,
/// and page tables can be written only through their window, which shows nothing else.
fn hide_image_and_tables(root: u64, boot: &mut BootInfo) {
    for phys in (at!(__image_start)..at!(__image_end)).step_by(PAGE_SIZE) {
        let slot = page(root, boot, direct_map() as u64 + phys);
        // SAFETY: an entry of a page table this code made.
        unsafe { *slot = 0 };
    }
    // Tables made on the way are added at the end, so they are reached too.
    let mut phys = boot.first_table();
    while phys < boot.end_of_tables() {
        let slot = page(root, boot, direct_map() as u64 + phys);
        let window = page(root, boot, table_window() as u64 + phys);
        // SAFETY: as above.
        unsafe {
            *slot = 0;
            *window = phys | DATA;
        }
        phys += PAGE_SIZE as u64;
    }
}

/// The second-level entry for `virt`.
fn second_level(root: u64, boot: &mut BootInfo, virt: u64) -> *mut u64 {
    let pdpt = table(entry(root, virt, 39), boot);
    entry(table(entry(pdpt, virt, 30), boot), virt, 21)
}

/// The last-level entry for `virt`; a large page there is split.
fn page(root: u64, boot: &mut BootInfo, virt: u64) -> *mut u64 {
    let slot = second_level(root, boot, virt);
    // SAFETY: entries of page tables this code made.
    unsafe {
        let old = *slot;
        if old & LARGE != 0 {
            *slot = 0;
            let pt = table(slot, boot);
            for i in 0..512 {
                *(pt as *mut u64).add(i) = (old & !LARGE) + (i * PAGE_SIZE) as u64;
            }
        }
    }
    entry(table(slot, boot), virt, 12)
}

/// Maps the image with its final permissions: nothing is ever both writable and executable.
fn map_image(root: u64, boot: &mut BootInfo, delta: u64) {
    let executable = [(at!(__text_start), at!(__text_end)), (at!(__ktext_start), at!(__ktext_end))];
    let writable = [(at!(__data_start), at!(__bss_end)), (at!(__kdata_start), at!(__kdata_end))];
    let within = |ranges: &[(u64, u64); 2], p: u64| ranges.iter().any(|r| p >= r.0 && p < r.1);
    for phys in (at!(__image_start)..at!(__image_end)).step_by(PAGE_SIZE) {
        let virt = phys + delta;
        let mut flags = PRESENT | ACCESSED | DIRTY;
        if !within(&executable, phys) {
            flags |= NO_EXEC;
            if within(&writable, phys) {
                flags |= WRITE;
            }
        }
        let slot = page(root, boot, virt);
        // SAFETY: an entry of a page table this code made.
        unsafe { *slot = phys | flags };
    }
}

fn entry(table: u64, virt: u64, shift: u32) -> *mut u64 {
    (table as *mut u64).wrapping_add((virt >> shift & 511) as usize)
}

/// The table that `slot` points at, made when absent.
fn table(slot: *mut u64, boot: &mut BootInfo) -> u64 {
    // SAFETY: `slot` is an entry of a page table this code made.
    unsafe {
        if *slot == 0 {
            *slot = boot.bump_page() | PRESENT | WRITE;
        }
        *slot & ADDRESS
    }
}

/// Applies the image's relocations (all R_X86_64_RELATIVE; the loader crate checks that on the host) through the
/// one-to-one map.
///
/// # Safety
/// The image must be mapped writable at its linked address; after a `delta` other than 0 only code that uses no
/// relocated static may run until the jump.
#[inline(never)]
unsafe fn relocate(delta: u64) {
    #[repr(C)]
    struct Rela {
        offset: u64,
        info: u64,
        addend: u64,
    }
    let mut r = at!(__rela_start) as *const Rela;
    let end = at!(__rela_end) as *const Rela;
    while r < end {
        // SAFETY: the linker's table; offsets lie in the image.
        unsafe {
            *((*r).offset as *mut u64) = (*r).addend.wrapping_add(delta);
            r = r.add(1);
        }
    }
    // DT_RELR: an even word is the address of one relocation, an odd word a bitmap of the 63 words that follow. The
    // addends lie in place, so this half must see each `delta` other than 0 only once.
    let mut r = at!(__relr_start) as *const u64;
    let end = at!(__relr_end) as *const u64;
    let mut slot = core::ptr::null_mut::<u64>();
    while r < end {
        // SAFETY: as above.
        unsafe {
            let word = *r;
            r = r.add(1);
            if word & 1 == 0 {
                slot = word as *mut u64;
                *slot = (*slot).wrapping_add(delta);
                slot = slot.add(1);
                continue;
            }
            let mut bits = word >> 1;
            while bits != 0 {
                let at = slot.add(bits.trailing_zeros() as usize);
                *at = (*at).wrapping_add(delta);
                bits &= bits - 1;
            }
            slot = slot.add(63);
        }
    }
}

/// Removes the one-to-one map. The boot structures are reached through the direct map from here on.
pub fn drop_identity(root: u64) {
    // SAFETY: the window shows the root table; nothing runs or reads below the image any more.
    unsafe { *((table_window() + root as usize) as *mut u64) = 0 };
    cpu::invalidate_all();
}
