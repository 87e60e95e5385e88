//! Device interrupts: vectors are handed out here, handlers run here with interrupts off.

use super::idt::vector;
use super::{apic, ioapic, percpu};
use crate::arch::upcall;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use drivers::platform::Message;
use drivers::port::out8;
use drivers::topology::Topology;
use libos_base::sync::check::Interrupt;
use libos_base::{Errno, Result};

/// A device's handler. It runs with interrupts off and must only note, acknowledge and wake.
pub type Handler = Box<dyn Fn() + Send + Sync>;

const COUNT: usize = (vector::DEVICE_LAST - vector::DEVICE_FIRST) as usize + 1;
/// Handlers by vector. A vector that level-triggered devices share holds all of theirs.
static HANDLERS: [AtomicPtr<Vec>; COUNT] = [const { AtomicPtr::new(core::ptr::null_mut()) }; COUNT];
static NEXT: AtomicUsize = AtomicUsize::new(0);
type Vec = alloc::vec::Vec<Handler>;

/// Silences the legacy 8259 pair, moving it off the exception vectors first, since a masked chip's spurious interrupt
/// still arrives. To be called before the local APIC masks its line from them.
pub(super) fn disable_legacy() {
    const COMMANDS: [u16; 2] = [0x20, 0xa0];
    for (i, &port) in COMMANDS.iter().enumerate() {
        let data = port + 1;
        // SAFETY: the 8259s' initialisation sequence (ICW1 to ICW4), then all lines masked.
        unsafe {
            out8(port, 0x11);
            out8(data, 0x20 + 8 * i as u8);
            out8(data, if i == 0 { 4 } else { 2 });
            out8(data, 1);
            out8(data, 0xff);
        }
    }
}

/// Finds the controllers of wired interrupts, and masks all of their pins; `map` makes registers reachable.
pub fn init_wired(topology: &Topology, map: fn(u64, usize) -> usize) {
    let mut next_gsi = 0;
    for (i, io) in topology.ioapics.iter().enumerate() {
        // An MP table does not say where the later ones begin.
        let first = if i > 0 && io.gsi_base == 0 { next_gsi } else { io.gsi_base };
        next_gsi = first + ioapic::add(map(io.address, 0x20), first);
    }
}

/// Routes a wired interrupt to a vector on this CPU. False when no controller has it.
pub fn route(gsi: u32, v: u8, level: bool, active_low: bool) -> bool {
    ioapic::route(gsi, v, apic::id(), level, active_low)
}

/// What a device writes, and where, for an interrupt with that vector on this CPU.
pub fn message(v: u8) -> Message {
    Message { address: 0xfee0_0000 | (apic::id() as u64) << 12, data: v as u32 }
}

/// Allocates a vector for `handler` alone.
pub fn allocate(handler: Handler) -> Result<u8> {
    let i = NEXT.fetch_add(1, Ordering::Relaxed);
    if i >= COUNT {
        return Err(Errno::ENOSPC);
    }
    set(i, alloc::vec![handler]);
    Ok(vector::DEVICE_FIRST + i as u8)
}

/// Adds a handler to a vector from [`allocate`]. At boot only: the old list is not freed, since a CPU may be
/// walking it.
pub fn share(v: u8, handler: Handler) {
    let i = (v - vector::DEVICE_FIRST) as usize;
    let old = HANDLERS[i].load(Ordering::Acquire);
    let mut list = alloc::vec![handler];
    if !old.is_null() {
        // SAFETY: lists are never freed once published; each handler is moved to exactly one live list because the
        // old list is leaked and unreachable afterwards except to a CPU that is walking it, which only reads.
        unsafe {
            for h in &*old {
                list.push(core::ptr::read(h));
            }
        }
    }
    set(i, list);
}

fn set(i: usize, list: Vec) {
    HANDLERS[i].store(Box::leak(Box::new(list)), Ordering::Release);
}

/// Runs a vector's handlers and acknowledges the controller. Interrupts are off.
pub(super) fn run(v: u8) {
    let head = percpu::head();
    head.preempt_count.fetch_add(1, Ordering::Relaxed);
    let checked = Interrupt::begin();
    match v {
        vector::TIMER => {
            apic::acknowledge();
            upcall::timer_interrupt();
        }
        vector::RESCHEDULE => {
            apic::acknowledge();
            upcall::reschedule_interrupt();
        }
        vector::TLB_FLUSH => {
            apic::acknowledge();
            upcall::flush_interrupt();
        }
        vector::SPURIOUS => {}
        vector::DEVICE_FIRST..=vector::DEVICE_LAST => {
            let list = HANDLERS[(v - vector::DEVICE_FIRST) as usize].load(Ordering::Acquire);
            if !list.is_null() {
                // SAFETY: published lists live forever.
                for h in unsafe { &*list } {
                    h();
                }
            }
            apic::acknowledge();
        }
        // The legacy controllers are masked; anything that still comes from them is noise.
        _ => {}
    }
    checked.end();
    head.preempt_count.fetch_sub(1, Ordering::Relaxed);
}
