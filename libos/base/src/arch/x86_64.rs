//! x86-64: GS points at the per-CPU head.

use crate::percpu::{Head, work};
use core::arch::asm;
use core::mem::offset_of;

/// Adds one to this CPU's preemption count.
#[inline(always)]
pub fn preempt_count_up() {
    // SAFETY: one instruction on this CPU's own counter; GS always points at the per-CPU head in the kernel.
    unsafe { asm!("inc dword ptr gs:[{o}]", o = const offset_of!(Head, preempt_count), options(nostack)) };
}

/// Subtracts one from the count. If it is zero then and a reschedule is due, calls `due`.
#[inline(always)]
pub fn preempt_count_down(due: fn()) {
    // SAFETY: single instructions on this CPU's own words. A switch between them is harmless: the word read is then that of
    // the CPU the thread runs on now.
    unsafe {
        asm!("dec dword ptr gs:[{o}]", "jnz 2f", "test byte ptr gs:[{k}], {resched}", "jnz {due}", "2:",
            o = const offset_of!(Head, preempt_count), k = const offset_of!(Head, work), resched = const work::RESCHED,
            due = label { due() }, options(nostack));
    }
}

/// Turns interrupts off. Returns whether they were on.
#[inline(always)]
pub fn interrupts_off() -> bool {
    let flags: u64;
    // SAFETY: reads the flags and turns interrupts off; restored by the caller.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & 0x200 != 0
}

/// Turns interrupts back on.
#[inline(always)]
pub fn interrupts_on() {
    // SAFETY: they were on when the caller turned them off.
    unsafe { asm!("sti") };
}

/// How many interrupt handlers are running on this CPU, nested in each other.
#[cfg(debug_assertions)]
pub fn interrupt_depth() -> u32 {
    let depth: u32;
    // SAFETY: reads this CPU's word.
    unsafe {
        asm!("mov {:e}, gs:[{}]", out(reg) depth, const offset_of!(Head, in_interrupt), options(nostack, readonly))
    };
    depth
}

/// Adds to the interrupt depth.
#[cfg(debug_assertions)]
pub fn interrupt_depth_add(by: i32) {
    // SAFETY: one instruction on this CPU's own word.
    unsafe { asm!("add dword ptr gs:[{}], {:e}", const offset_of!(Head, in_interrupt), in(reg) by, options(nostack)) };
}

/// The frame pointer, and the bottom and top of the running thread's kernel stack.
#[cfg(debug_assertions)]
#[inline(always)]
pub fn frame_and_stack() -> (usize, usize, usize) {
    let (frame, bottom, top): (usize, usize, usize);
    // SAFETY: reads a register and this CPU's words.
    unsafe {
        asm!("mov {}, rbp", "mov {}, gs:[{b}]", "mov {}, gs:[{t}]", out(reg) frame, out(reg) bottom, out(reg) top,
            b = const offset_of!(Head, kstack_bottom), t = const offset_of!(Head, kstack_top), options(nostack, readonly));
    }
    (frame, bottom, top)
}
