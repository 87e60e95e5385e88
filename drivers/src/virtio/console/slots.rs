//! A queue and its buffers, which are of one size and in one piece of memory.

use crate::dma::DmaBuf;
use crate::virtio::queue::{Queue, Segment};

/// A queue whose device fills the buffers.
pub(super) struct Inbox {
    pub queue: Queue,
    /// None before [`Self::prepare`].
    buf: Option<DmaBuf>,
    len: usize,
}

/// A buffer that the device filled and that was not given back.
pub(super) struct Filled {
    slot: u16,
    len: usize,
}

impl Inbox {
    /// For buffers of `len` bytes.
    pub fn new(queue: Queue, len: usize) -> Self {
        Self { queue, buf: None, len }
    }

    /// Allocates at most `most` buffers and gives them to the device, which sees them at its next notification. `None`
    /// when memory is short.
    pub fn prepare(&mut self, most: u16) -> Option<()> {
        let slots = most.min(self.queue.size());
        self.buf = Some(DmaBuf::new(usize::from(slots) * self.len, 64)?);
        (0..slots).for_each(|slot| self.give(Filled { slot, len: 0 }));
        Some(())
    }

    /// The next buffer that has data.
    pub fn next(&mut self) -> Option<Filled> {
        self.queue.pop().map(|(slot, written)| Filled { slot, len: self.len.min(written as usize) })
    }

    /// The data in a buffer.
    pub fn bytes(&self, filled: &Filled) -> &[u8] {
        let Some(buf) = &self.buf else { return &[] };
        // SAFETY: the buffer was popped and not given back, so the device is done with it.
        unsafe { buf.slice(usize::from(filled.slot) * self.len, filled.len) }
    }

    /// Gives a buffer back to the device, which sees it at its next notification.
    pub fn give(&mut self, filled: Filled) {
        let Some(buf) = &self.buf else { return };
        let addr = buf.phys() + u64::from(filled.slot) * self.len as u64;
        let segment = Segment { addr, len: self.len as u32, device_writes: true };
        // SAFETY: the memory lives until the device was reset; the buffer is read only after `pop`. There is room: the
        // queue has at least as many entries as there are buffers.
        let _ = unsafe { self.queue.add(&[segment], filled.slot) };
    }
}

/// A queue whose device reads the buffers.
pub(super) struct Outbox {
    pub queue: Queue,
    /// None before [`Self::prepare`].
    buf: Option<DmaBuf>,
    len: usize,
    /// Bit n: buffer n is free.
    free: u32,
}

impl Outbox {
    /// For buffers of `len` bytes. Interrupts are off.
    pub fn new(mut queue: Queue, len: usize) -> Self {
        queue.disable_interrupt();
        Self { queue, buf: None, len, free: 0 }
    }

    /// Allocates at most `most` buffers, of 32. `None` when memory is short.
    pub fn prepare(&mut self, most: u16) -> Option<()> {
        let slots = most.min(self.queue.size());
        self.buf = Some(DmaBuf::new(usize::from(slots) * self.len, 64)?);
        self.free = u32::MAX >> (32 - u32::from(slots));
        Some(())
    }

    /// Whether it was prepared.
    pub fn is_ready(&self) -> bool {
        self.buf.is_some()
    }

    /// Whether [`Self::add`] would take something, after [`Self::reclaim`].
    pub fn has_room(&self) -> bool {
        self.free != 0 || self.queue.pending()
    }

    /// Takes back the buffers that the device has read.
    pub fn reclaim(&mut self) {
        while let Some((slot, _)) = self.queue.pop() {
            self.free |= 1 << slot;
        }
    }

    /// Copies `bytes`, which fit into a buffer, into a free one, and queues it. `false`: there is none.
    pub fn add(&mut self, bytes: &[u8]) -> bool {
        let Some(buf) = self.buf.as_mut().filter(|_| self.free != 0) else { return false };
        let slot = self.free.trailing_zeros();
        let at = slot as usize * self.len;
        // SAFETY: the buffer is free, so the device does not look at it.
        unsafe { buf.slice_mut(at, bytes.len()) }.copy_from_slice(bytes);
        let segment = Segment { addr: buf.phys() + at as u64, len: bytes.len() as u32, device_writes: false };
        // SAFETY: the memory lives until the device was reset; the buffer is not written to before `pop`.
        let added = unsafe { self.queue.add(&[segment], slot as u16) }.is_ok();
        if added {
            self.free &= !(1 << slot);
        }
        added
    }

    /// Whether the device has read everything, or never will.
    pub fn is_drained(&self) -> bool {
        self.queue.outstanding() == 0 || self.queue.broken()
    }
}
