//! From a loader to the kernel's `start`: the first instructions, the boot protocols, the first page tables.

mod early;
mod entry;
mod linux64;
mod multiboot2;
mod pvh;

pub use early::drop_identity;

use super::super::boot_info::{BootInfo, Range};
use super::{apic, cpu, idt, interrupts, percpu, timer};

/// The boot CPU's registers and tables, before anything can fault.
pub fn init_cpu() {
    cpu::setup_control_registers();
    idt::build();
    // SAFETY: this is the boot CPU, once.
    percpu::install(unsafe { percpu::boot_block() }, 0);
    idt::load();
}

/// Sets up the boot CPU's interrupts, which stay off, and its timer, once the clock runs; `map` makes device registers
/// reachable.
pub fn init_interrupts(map: fn(u64, usize) -> usize) {
    interrupts::disable_legacy();
    apic::init(map);
    percpu::set_boot_apic_id(apic::id());
    timer::calibrate();
    timer::init_cpu();
}

/// Bottom and top of the stack that the boot CPU runs on.
pub fn stack() -> (usize, usize) {
    unsafe extern "C" {
        static LIBOS_BOOT_STACK: u8;
        static LIBOS_BOOT_STACK_END: u8;
    }
    (&raw const LIBOS_BOOT_STACK as usize, &raw const LIBOS_BOOT_STACK_END as usize)
}

/// Adds an entry of an E820 map: type 1 is RAM.
fn add_region(boot: &mut BootInfo, start: u64, len: u64, e820_type: u32) {
    boot.add_region(start, len, e820_type == 1);
}

/// Records where the NUL-terminated command line is.
///
/// # Safety
/// `addr` is such a string in the first GiB, which is mapped one to one.
unsafe fn take_command_line(addr: u64, boot: &mut BootInfo) {
    const MAX: u64 = 64 << 10;
    let mut n = 0;
    // SAFETY: the caller's.
    while n < MAX && unsafe { ((addr + n) as *const u8).read_volatile() } != 0 {
        n += 1;
    }
    boot.command_line = Some(Range::at(addr, n));
    boot.reserve(addr, n + 1);
}
