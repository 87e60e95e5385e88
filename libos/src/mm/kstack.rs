//! Kernel stacks: one per thread, with unmapped memory below, so that an overflow faults instead of corrupting.
//!
//! A stack that is given back stays mapped and is reused first. Slots are never unmapped: `free` is called where
//! waiting is forbidden, and unmapping waits for all CPUs.

use super::frames::{self, Level};
use super::kernel::{self, DATA};
use core::sync::atomic::Ordering::Relaxed;
use libos_base::layout::{KSTACK_AREA, MMIO_AREA, PAGE_SIZE};
use libos_base::sync::{IrqSpinLock, class};
use libos_base::{Errno, Result};

/// Usable bytes.
pub const SIZE: usize = 32 << 10;
/// Distance between two stacks; the rest of a slot is guard.
const SLOT: usize = 64 << 10;
const _: () = assert!(SLOT >= SIZE + PAGE_SIZE);

/// A stack: `bottom .. top`, growing down from `top`. Give it back with [`free`].
#[derive(Debug)]
pub struct KStack {
    /// Lowest usable address.
    pub bottom: usize,
    /// Where it starts.
    pub top: usize,
}

struct Slots {
    /// Stacks to reuse, linked through their lowest word. 0: none.
    unused: usize,
    /// Where the next new slot is. 0: nowhere yet.
    next: usize,
    /// How many are mapped, used or not.
    mapped: usize,
}

static SLOTS: IrqSpinLock<Slots> = IrqSpinLock::new(class::KERNEL_STACKS, Slots { unused: 0, next: 0, mapped: 0 });

/// Allocates a stack; ENOMEM when there is no memory.
pub fn alloc() -> Result<KStack> {
    let top = {
        let mut s = SLOTS.lock();
        if s.unused != 0 {
            let bottom = s.unused;
            // SAFETY: unused stacks are mapped and start with the link.
            s.unused = unsafe { *(bottom as *const usize) };
            return Ok(KStack { bottom, top: bottom + SIZE });
        }
        if s.next == 0 {
            s.next = KSTACK_AREA + kernel::random_offset(SLOT);
        }
        if s.next + SLOT > MMIO_AREA {
            return Err(Errno::ENOMEM);
        }
        s.next += SLOT;
        s.next
    };
    let bottom = top - SIZE;
    for page in (bottom..top).step_by(PAGE_SIZE) {
        if !map(page) {
            // The slot stays half mapped and is lost: there are plenty of addresses, and next time the frames are taken
            // first.
            for done in (bottom..page).step_by(PAGE_SIZE) {
                unmap_untouched(done);
            }
            return Err(Errno::ENOMEM);
        }
    }
    SLOTS.lock().mapped += 1;
    Ok(KStack { bottom, top })
}

fn map(page: usize) -> bool {
    let Some(frame) = frames::alloc_for(Level::Normal, 0) else { return false };
    match kernel::tables().lock().entry_or_make(page) {
        Some(e) => {
            e.store(frame | DATA, Relaxed);
            true
        }
        None => {
            // SAFETY: allocated above, not mapped.
            unsafe { frames::free(frame, 0) };
            false
        }
    }
}

/// Takes back a page of a stack that was never touched, so that no CPU can have its translation.
fn unmap_untouched(page: usize) {
    let frame = match kernel::tables().lock().entry(page) {
        Some(e) => e.swap(0, Relaxed) & crate::arch::page::ADDRESS,
        None => return,
    };
    super::cpu::invalidate_page(page);
    // SAFETY: mapped by `map` and just unmapped.
    unsafe { frames::free(frame, 0) };
}

/// Gives a stack back. Callable anywhere, also with interrupts off; nothing may run on it any more.
pub fn free(stack: KStack) {
    let mut s = SLOTS.lock();
    // SAFETY: the caller gives up a mapped stack.
    unsafe { *(stack.bottom as *mut usize) = s.unused };
    s.unused = stack.bottom;
}

/// Pages of all stacks, used or not.
pub fn mapped() -> usize {
    SLOTS.lock().mapped * (SIZE / PAGE_SIZE)
}

/// Whether `addr` is in the guard below some kernel stack.
pub fn is_guard(addr: usize) -> bool {
    (KSTACK_AREA..MMIO_AREA).contains(&addr) && (addr - KSTACK_AREA) % SLOT < SLOT - SIZE
}
