//! The sender.

use super::config::{Agreed, ETHERNET_HEADER, Info, Options};
use super::header::TxMeta;
use crate::dma::{DmaBuf, phys_of};
use crate::virtio::queue::{Full, Queue, Segment};
use alloc::vec::Vec;
use libos_base::memory::with_room;

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxError {
    /// All buffers are with the device. An interrupt comes when there is room again.
    Full,
    /// No buffer is that long.
    TooLong,
}

/// Smallest size of the large buffers that is worthwhile.
const LEAST_LARGE: usize = 8 << 10;

/// Buffers of one size.
struct Pool {
    buffers: Vec<DmaBuf>,
    free: Vec<u16>,
    len: usize,
    /// Number of its first buffer among all.
    first: u16,
}

impl Pool {
    /// `None` when memory is short.
    fn new(count: u16, len: usize, first: u16) -> Option<Self> {
        let n = usize::from(count);
        let (mut buffers, mut free) = (with_room(n).ok()?, with_room(n).ok()?);
        for i in 0..count {
            buffers.push(DmaBuf::new(len, 64)?);
            free.push(first + i);
        }
        Some(Self { buffers, free, len, first })
    }

    fn at(&self, buffer: u16) -> *mut u8 {
        self.buffers[usize::from(buffer - self.first)].ptr()
    }
}

/// The sending half of a card.
pub struct Tx {
    queue: Queue,
    small: Pool,
    large: Pool,
    header_len: usize,
    split_header: bool,
    /// An interrupt was asked for because a frame found no buffer.
    waiting: bool,
}

impl Tx {
    pub(super) fn new(mut queue: Queue, agreed: Agreed, info: &Info, options: &Options) -> Option<Self> {
        let header_len = agreed.header_len();
        let small_len = (usize::from(info.mtu) + ETHERNET_HEADER + header_len).next_multiple_of(2048);
        let per_frame = if agreed.split_header() { 2 } else { 1 };
        let room = queue.size() / per_frame;
        let large_count = if info.tso4 || info.tso6 { options.tx_large.min(room / 2) } else { 0 };
        let small = Pool::new(options.tx_buffers.min(room - large_count).max(1), small_len, 0)?;
        let large = Self::large_pool(large_count, options.large_size.min(64 << 10), small.buffers.len() as u16)?;
        queue.disable_interrupt();
        Some(Self { queue, small, large, header_len, split_header: agreed.split_header(), waiting: false })
    }

    /// There may be no contiguous 64 KiB: smaller ones still save work.
    fn large_pool(count: u16, mut len: usize, first: u16) -> Option<Pool> {
        while count > 0 && len >= LEAST_LARGE {
            if let Some(p) = Pool::new(count, len, first) {
                return Some(p);
            }
            len /= 2;
        }
        Pool::new(0, 0, first)
    }

    /// Longest frame (Ethernet header included) that [`Self::transmit`] takes.
    pub fn max_frame(&self) -> usize {
        self.small.len.max(self.large.len) - self.header_len
    }

    fn pool(&mut self, len: usize) -> Option<&mut Pool> {
        let need = len + self.header_len;
        if need <= self.small.len {
            Some(&mut self.small)
        } else if need <= self.large.len {
            Some(&mut self.large)
        } else {
            None
        }
    }

    /// Takes back the buffers that the device is done with.
    fn reclaim(&mut self) {
        while let Some((buffer, _)) = self.queue.pop() {
            self.put_back(buffer);
        }
    }

    fn put_back(&mut self, buffer: u16) {
        let pool = if buffer < self.large.first { &mut self.small } else { &mut self.large };
        pool.free.push(buffer);
    }

    /// Whether a frame of `len` bytes would be taken now. If not, what was added so far is on its way and an interrupt
    /// comes when there may be room. (For a length that is never taken it returns `false` without an interrupt.)
    #[inline]
    pub fn ready(&mut self, len: usize) -> bool {
        match self.pool(len) {
            Some(pool) if pool.free.is_empty() => self.make_ready(len),
            pool => pool.is_some(),
        }
    }

    #[inline(never)]
    fn make_ready(&mut self, len: usize) -> bool {
        self.reclaim();
        // Loops in case the device completes chains meanwhile; each turn empties the ring.
        loop {
            if self.pool(len).is_some_and(|p| !p.free.is_empty()) {
                if core::mem::replace(&mut self.waiting, false) {
                    self.queue.disable_interrupt();
                }
                return true;
            }
            if self.queue.broken() {
                return false;
            }
            // The device completes only what it knows of.
            self.queue.kick();
            self.waiting = true;
            // Half of the ring is a good enough reason to wake up.
            if !self.queue.enable_interrupt_after(self.queue.outstanding() / 2) {
                return false;
            }
            self.reclaim();
        }
    }

    /// Queues a frame of `len` bytes (Ethernet header included) that `fill` writes in place, saying what to do with it;
    /// never waits. The device is notified at [`Self::flush`].
    pub fn transmit(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> TxMeta) -> Result<(), TxError> {
        let h = self.header_len;
        let mut pool = self.pool(len).ok_or(TxError::TooLong)?;
        if pool.free.is_empty() {
            self.ready(len);
            pool = self.pool(len).ok_or(TxError::TooLong)?;
        }
        let buffer = pool.free.pop().ok_or(TxError::Full)?;
        let at = pool.at(buffer);
        // SAFETY: the buffer was free, so the device does not access it; `h + len` fits, as `pool` checked.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at, h + len) };
        let meta = fill(&mut bytes[h..]);
        meta.write(&mut bytes[..h]);
        let addr = phys_of(at);
        let segment = |addr, len: usize| Segment { addr, len: len as u32, device_writes: false };
        // SAFETY: the buffer lives until the device was reset and is not written to before `pop` returned it.
        let added = unsafe {
            if self.split_header {
                self.queue.add(&[segment(addr, h), segment(addr + h as u64, len)], buffer)
            } else {
                self.queue.add_one(&segment(addr, h + len), buffer)
            }
        };
        added.map_err(|Full| {
            self.put_back(buffer);
            TxError::Full
        })
    }

    /// Notifies the device of everything queued: once, or not at all while the device is awake anyway.
    pub fn flush(&mut self) {
        self.queue.kick();
    }
}
