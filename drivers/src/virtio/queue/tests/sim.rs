//! A device in the host's memory, for tests: it sees a queue's rings as a real one does.

use crate::dma::DmaBuf;
use crate::mmio::Mmio;
use crate::virtio::queue::{Queue, layout, passed};
use crate::virtio::transport::Notifier;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering, fence};

const QUIET: u16 = 0xffff;

/// The device's end of one queue.
pub struct Sim {
    base: usize,
    size: u16,
    avail: usize,
    used: usize,
    event_idx: bool,
    doorbell: &'static AtomicU16,
    /// Available chains consumed, used elements written.
    pub seen: u16,
    pub done: u16,
    /// Used index when the driver's request for interrupts was last checked.
    told: u16,
}

/// Address, length, whether the device writes.
pub type Piece = (u64, u32, bool);

/// A queue and its device.
pub fn pair(size: u16, legacy: bool, event_idx: bool) -> (Queue, Sim) {
    let (avail, used, total) = layout(size.into(), legacy);
    let mem = DmaBuf::new(total, 4096).unwrap();
    let base = mem.ptr() as usize;
    let doorbell: &'static AtomicU16 = Box::leak(Box::new(AtomicU16::new(QUIET)));
    // SAFETY: a leaked cell.
    let register = unsafe { Mmio::new(doorbell.as_ptr() as usize, 2) };
    let queue = Queue::over(mem, 0, size, legacy, event_idx, Notifier::Mmio16(register, 0)).unwrap();
    (queue, Sim { base, size, avail, used, event_idx, doorbell, seen: 0, done: 0, told: 0 })
}

impl Sim {
    fn cell(&self, off: usize) -> &AtomicU16 {
        // SAFETY: inside the rings, which live as long as the test's queue.
        unsafe { &*((self.base + off) as *const AtomicU16) }
    }

    /// Whether the driver notified since the last call.
    pub fn rung(&self) -> bool {
        self.doorbell.swap(QUIET, Ordering::SeqCst) != QUIET
    }

    /// Whether something is available.
    pub fn waiting(&self) -> bool {
        self.cell(self.avail + 2).load(Ordering::Acquire) != self.seen
    }

    /// The next available chain: its head and segments as (address, length, device writes).
    pub fn take(&mut self) -> Option<(u16, Vec<Piece>)> {
        if !self.waiting() {
            return None;
        }
        let slot = usize::from(self.seen % self.size);
        let head = self.cell(self.avail + 4 + 2 * slot).load(Ordering::Relaxed);
        self.seen = self.seen.wrapping_add(1);
        let (mut at, mut chain) = (head, Vec::new());
        loop {
            assert!(at < self.size && chain.len() < self.size.into());
            let d = self.base + 16 * usize::from(at);
            // SAFETY: a descriptor of the table.
            let (addr, len, flags, next) = unsafe {
                (*(d as *const u64), *((d + 8) as *const u32), *((d + 12) as *const u16), *((d + 14) as *const u16))
            };
            chain.push((addr, len, flags & 2 != 0));
            if flags & 1 == 0 {
                return Some((head, chain));
            }
            at = next;
        }
    }

    /// Writes a used element, without showing it yet.
    pub fn give(&mut self, head: u32, len: u32) {
        let at = self.base + self.used + 4 + 8 * usize::from(self.done % self.size);
        // SAFETY: an element of the used ring.
        unsafe {
            (at as *mut u32).write_volatile(head);
            ((at + 4) as *mut u32).write_volatile(len);
        }
        self.done = self.done.wrapping_add(1);
    }

    /// Shows the used elements; returns whether to interrupt the driver.
    pub fn publish(&mut self) -> bool {
        self.cell(self.used + 2).store(self.done, Ordering::Release);
        fence(Ordering::SeqCst);
        let old = core::mem::replace(&mut self.told, self.done);
        if old == self.done {
            return false;
        }
        if self.event_idx {
            let event = self.cell(self.avail + 4 + 2 * usize::from(self.size)).load(Ordering::Relaxed);
            passed(event, self.done, old)
        } else {
            self.cell(self.avail).load(Ordering::Relaxed) & 1 == 0
        }
    }

    /// Goes to sleep: asks for a notification. `false`: something arrived meanwhile, stay awake.
    pub fn sleep(&mut self) -> bool {
        if self.event_idx {
            self.cell(self.used + 4 + 8 * usize::from(self.size)).store(self.seen, Ordering::Relaxed);
        } else {
            self.cell(self.used).store(0, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        !self.waiting()
    }

    /// Stays awake: wants no notifications.
    pub fn wake(&mut self) {
        if !self.event_idx {
            self.cell(self.used).store(1, Ordering::Relaxed);
        }
    }

    /// Completes everything available, each chain with `len` bytes written; returns whether to interrupt.
    pub fn complete_all(&mut self, len: u32) -> bool {
        while let Some((head, _)) = self.take() {
            self.give(head.into(), len);
        }
        self.publish()
    }
}
