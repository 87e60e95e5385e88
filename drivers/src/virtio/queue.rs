//! The split virtqueue (virtio 1.2, 2.7; legacy layout 2.7.2).
//!
//! Its correctness depends on the order of memory accesses:
//! * descriptors and the available ring are written before `avail.idx` (release store);
//! * between publishing `avail.idx` and reading what the device wants (`used.flags` or `avail_event`) there is a full
//!   fence, and so is one between asking for an interrupt and checking `used.idx` again: x86 lets a load pass
//!   an older store, and if either fence is missing a wake-up is lost (2.7.13.4.1, 2.7.14.1);
//! * used elements are read after `used.idx` (acquire load).
//!
//! Nothing that the device writes is trusted: heads are checked against what is outstanding, and chains are walked
//! in our own copy.

use super::transport::{LEGACY_ALIGN, Notifier, VirtioTransport};
use crate::dma::DmaBuf;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering};
use libos_base::memory::{filled, with_room};
use virtio_drivers::transport::Transport;

const F_NEXT: u16 = 1;
const F_WRITE: u16 = 2;
/// `used.flags`: the device wants no notifications.
const NO_NOTIFY: u16 = 1;
/// `avail.flags`: the driver wants no interrupts.
const NO_INTERRUPT: u16 = 1;

/// A piece of memory given to the device.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Physical address.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// Whether the device writes to it (otherwise it reads).
    pub device_writes: bool,
}

/// No room for the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A split virtqueue. The owner serialises calls.
pub struct Queue {
    index: u16,
    size: u16,
    event_idx: bool,
    mem: DmaBuf,
    /// Byte offsets of the available and used rings in `mem`.
    avail: usize,
    used: usize,
    notifier: Notifier,
    /// Per descriptor: the next one, free or in its chain.
    next: Vec<u16>,
    /// Per head: descriptors of the outstanding chain, 0 when it is not outstanding.
    chain: Vec<u16>,
    /// Per head: what the driver calls the chain.
    label: Vec<u16>,
    free_head: u16,
    free: u16,
    /// Index after the last chain added, after the last one published, and as of the last check of what the device
    /// wants.
    added: u16,
    published: u16,
    kicked: u16,
    /// Used elements consumed.
    last_used: u16,
    interrupts: bool,
    broken: bool,
}

/// Orders all earlier stores before all later loads, as devices see them.
///
/// QEMU before 8.1, for a guest with one processor, translates MFENCE and locked instructions to nothing of the kind,
/// as if its devices did not run in other threads: a store to the ring is then still on its way when the device's
/// request for notifications is read, and a wake-up is lost for good. POPF ends a translated block and passes through
/// QEMU's own loop, which has a barrier. It costs a real processor some twenty cycles.
#[inline]
pub(super) fn device_fence() {
    core::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(unibody_kernel)]
    // SAFETY: the flags stay what they are.
    unsafe {
        core::arch::asm!("pushfq", "popfq");
    }
}

/// Sizes and offsets of a ring: (available ring, used ring, total).
pub(super) const fn layout(size: usize, legacy: bool) -> (usize, usize, usize) {
    let avail = 16 * size;
    let end = avail + 6 + 2 * size;
    let align = if legacy { LEGACY_ALIGN } else { 4 };
    let used = end.next_multiple_of(align);
    (avail, used, used + 6 + 8 * size)
}

/// Whether moving an index from `old` to `new` passed `event` (2.7.10, wrap-safe).
#[inline]
pub(super) fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

impl Queue {
    /// Sets up queue `index` with at most `want` entries (exactly the device's size on legacy PCI). `None` when the
    /// device has no such queue or memory is short.
    pub fn new(t: &mut VirtioTransport, index: u16, want: u16, event_idx: bool) -> Option<Self> {
        // 2.7: at most 32768, and a power of two for split queues.
        let max = t.max_queue_size(index).min(32768) as u16;
        if max == 0 || !max.is_power_of_two() || t.queue_used(index) {
            return None;
        }
        let size = if t.queue_size_adjustable() { want.next_power_of_two().min(max) } else { max };
        let legacy = t.requires_legacy_layout();
        let (avail, used, total) = layout(size.into(), legacy);
        let mem = DmaBuf::new(total, if legacy { LEGACY_ALIGN } else { 64 })?;
        let phys = mem.phys();
        t.queue_set(index, size.into(), phys, phys + avail as u64, phys + used as u64);
        // Modern PCI finds the notification register by selecting the queue, so this comes after setting it.
        let notifier = t.notifier(index)?;
        Self::over(mem, index, size, legacy, event_idx, notifier)
    }

    /// A queue over zeroed memory.
    pub(super) fn over(
        mem: DmaBuf,
        index: u16,
        size: u16,
        legacy: bool,
        event_idx: bool,
        notifier: Notifier,
    ) -> Option<Self> {
        let (avail, used, _) = layout(size.into(), legacy);
        let mut next = with_room(size.into()).ok()?;
        next.extend(1..=size);
        Some(Self {
            index,
            size,
            event_idx,
            mem,
            avail,
            used,
            notifier,
            next,
            chain: filled(size.into(), 0).ok()?,
            label: filled(size.into(), 0).ok()?,
            free_head: 0,
            free: size,
            added: 0,
            published: 0,
            kicked: 0,
            last_used: 0,
            interrupts: true,
            broken: false,
        })
    }

    /// Its number in the device.
    pub fn index(&self) -> u16 {
        self.index
    }
    /// Entries.
    pub fn size(&self) -> u16 {
        self.size
    }
    /// Descriptors not in use.
    pub fn free(&self) -> u16 {
        self.free
    }
    /// Chains that the device has not returned, or that were not popped yet. Only exact with one descriptor per chain.
    pub fn outstanding(&self) -> u16 {
        self.added.wrapping_sub(self.last_used)
    }
    /// Whether the device broke the protocol; such a queue accepts and returns nothing more.
    pub fn broken(&self) -> bool {
        self.broken
    }

    #[inline]
    fn index_at(&self, off: usize) -> &AtomicU16 {
        debug_assert!(off + 2 <= self.mem.size() && off.is_multiple_of(2));
        // SAFETY: inside the ring memory (all callers use fixed offsets of `layout`), aligned, lives as long as `self`;
        // shared with the device, hence atomic.
        unsafe { &*self.mem.ptr().add(off).cast::<AtomicU16>() }
    }
    fn avail_flags(&self) -> &AtomicU16 {
        self.index_at(self.avail)
    }
    fn avail_idx(&self) -> &AtomicU16 {
        self.index_at(self.avail + 2)
    }
    fn used_event(&self) -> &AtomicU16 {
        self.index_at(self.avail + 4 + 2 * usize::from(self.size))
    }
    fn used_flags(&self) -> &AtomicU16 {
        self.index_at(self.used)
    }
    fn used_idx(&self) -> &AtomicU16 {
        self.index_at(self.used + 2)
    }
    fn avail_event(&self) -> &AtomicU16 {
        self.index_at(self.used + 4 + 8 * usize::from(self.size))
    }

    /// Adds a chain, which [`Self::pop`] returns by its label. The device sees it at the next [`Self::kick`] (or
    /// [`Self::publish`]). Segments that the device reads come before those it writes (2.7.4.2).
    ///
    /// # Safety
    /// The memory must stay valid, and untouched while the device may write to it, until [`Self::pop`] returns the label.
    pub unsafe fn add(&mut self, segments: &[Segment], label: u16) -> Result<(), Full> {
        let n = segments.len() as u16;
        if self.broken || n == 0 || n > self.free {
            return Err(Full);
        }
        let head = self.free_head;
        let mut at = head;
        for (i, s) in segments.iter().enumerate() {
            let last = i + 1 == segments.len();
            let flags = if s.device_writes { F_WRITE } else { 0 } | if last { 0 } else { F_NEXT };
            let next = self.next[usize::from(at)];
            // SAFETY: descriptor `at` is inside the table and free, so the device does not look at it.
            unsafe { self.describe(at, s, flags, if last { 0 } else { next }) };
            at = next;
        }
        self.free_head = at;
        self.offer(head, n, label);
        Ok(())
    }

    /// [`add`](Self::add) for a chain of one segment, as most are.
    ///
    /// # Safety
    /// As for [`Self::add`].
    #[inline]
    pub unsafe fn add_one(&mut self, s: &Segment, label: u16) -> Result<(), Full> {
        let head = self.free_head;
        if self.broken || self.free == 0 {
            return Err(Full);
        }
        self.free_head = self.next[usize::from(head)];
        // SAFETY: descriptor `head` is inside the table and free, so the device does not look at it.
        unsafe { self.describe(head, s, if s.device_writes { F_WRITE } else { 0 }, 0) };
        self.offer(head, 1, label);
        Ok(())
    }

    /// Writes a descriptor.
    ///
    /// # Safety
    /// `at` must be inside the table, and not with the device.
    #[inline]
    unsafe fn describe(&self, at: u16, s: &Segment, flags: u16, next: u16) {
        // SAFETY: inside the table, as the caller says.
        unsafe {
            let d = self.mem.ptr().add(16 * usize::from(at));
            d.cast::<u64>().write_volatile(s.addr);
            d.add(8).cast::<u32>().write_volatile(s.len);
            d.add(12).cast::<u16>().write_volatile(flags);
            d.add(14).cast::<u16>().write_volatile(next);
        }
    }

    /// Puts a chain of `n` descriptors into the available ring.
    #[inline]
    fn offer(&mut self, head: u16, n: u16, label: u16) {
        self.free -= n;
        self.chain[usize::from(head)] = n;
        self.label[usize::from(head)] = label;
        let slot = usize::from(self.added & (self.size - 1));
        self.index_at(self.avail + 4 + 2 * slot).store(head, Ordering::Relaxed);
        self.added = self.added.wrapping_add(1);
    }

    /// Shows the device what was added, without notifying it.
    pub fn publish(&mut self) {
        if self.published != self.added {
            self.published = self.added;
            self.avail_idx().store(self.added, Ordering::Release);
        }
    }

    /// Publishes and, if the device asks for it, notifies: once, however many chains were added.
    pub fn kick(&mut self) {
        if let Some(n) = self.prepare_kick() {
            n.notify();
        }
    }

    /// Publishes; returns what the caller must notify if the device asks for it. A notification leaves the guest, so it
    /// is better done with no lock held.
    #[must_use]
    pub fn prepare_kick(&mut self) -> Option<Notifier> {
        self.publish();
        if self.kicked == self.published {
            return None;
        }
        // Orders the store of avail.idx before the load of what the device wants.
        device_fence();
        let old = core::mem::replace(&mut self.kicked, self.published);
        let wanted = if self.event_idx {
            passed(self.avail_event().load(Ordering::Relaxed), self.published, old)
        } else {
            self.used_flags().load(Ordering::Relaxed) & NO_NOTIFY == 0
        };
        wanted.then_some(self.notifier)
    }

    /// Asks for a single interrupt when everything added so far is completed. Returns whether that is possible: it
    /// needs EVENT_IDX, and the device must have nothing else and not know of any of it yet.
    pub fn interrupt_when_all_done(&mut self) -> bool {
        let can = self.event_idx && self.published == self.last_used;
        if can {
            self.used_event().store(self.added.wrapping_sub(1), Ordering::Relaxed);
        }
        can
    }

    /// Whether a completed chain is waiting.
    #[inline]
    pub fn pending(&self) -> bool {
        !self.broken && self.used_idx().load(Ordering::Acquire) != self.last_used
    }

    /// The next completed chain: its label and the bytes that the device says it wrote. The caller caps that number.
    pub fn pop(&mut self) -> Option<(u16, u32)> {
        if !self.pending() {
            return None;
        }
        let at = self.used + 4 + 8 * usize::from(self.last_used & (self.size - 1));
        // SAFETY: inside the used ring; the acquire load of used.idx came before.
        let (id, len) = unsafe {
            let e = self.mem.ptr().add(at).cast::<u32>();
            (e.read_volatile(), e.add(1).read_volatile())
        };
        let n = self.chain.get_mut(id as usize).map_or(0, core::mem::take);
        if n == 0 {
            self.stop();
            return None;
        }
        let head = id as u16;
        let mut last = head;
        for _ in 1..n {
            last = self.next[usize::from(last)];
        }
        self.next[usize::from(last)] = self.free_head;
        self.free_head = head;
        self.free += n;
        self.last_used = self.last_used.wrapping_add(1);
        Some((self.label[usize::from(head)], len))
    }

    /// The device has broken the protocol.
    #[cold]
    #[inline(never)]
    fn stop(&mut self) {
        self.broken = true;
        libos_base::error!("virtio: device returned a buffer it did not have; queue {} stopped", self.index);
    }

    /// Asks for an interrupt after the next completion. Returns whether something is already completed: then no
    /// interrupt may come and the caller must continue popping.
    #[must_use]
    pub fn enable_interrupt(&mut self) -> bool {
        self.enable_interrupt_after(0)
    }

    /// Asks for an interrupt once more than `skip` further chains are completed (without EVENT_IDX: after the next).
    /// Returns whether that is already so.
    #[must_use]
    pub fn enable_interrupt_after(&mut self, skip: u16) -> bool {
        let skip = if self.event_idx { skip } else { 0 };
        let at = self.last_used.wrapping_add(skip);
        if !self.interrupts || self.event_idx && self.used_event().load(Ordering::Relaxed) != at {
            self.interrupts = true;
            if self.event_idx {
                self.used_event().store(at, Ordering::Relaxed);
            } else {
                self.avail_flags().store(0, Ordering::Relaxed);
            }
            // Orders the request before the check: the device does the reverse, so one of the two sees the other. A
            // request that still stands was ordered before this check when it was made.
            device_fence();
        }
        self.used_idx().load(Ordering::Acquire).wrapping_sub(self.last_used) > skip
    }

    /// Asks for no interrupts. A hint: one may still come (2.7.7).
    pub fn disable_interrupt(&mut self) {
        if core::mem::replace(&mut self.interrupts, false) && !self.event_idx {
            self.avail_flags().store(NO_INTERRUPT, Ordering::Relaxed);
        }
        if self.event_idx {
            // The index that is passed last: not before 65535 more completions.
            self.used_event().store(self.last_used.wrapping_sub(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
pub mod tests;
