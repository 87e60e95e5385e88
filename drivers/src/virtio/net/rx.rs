//! The receiver.

use super::config::{Agreed, ETHERNET_HEADER, Info, Options, feature};
use super::header::{self, checksum_good};
use crate::dma::{DmaBuf, phys_of};
use crate::virtio::queue::{Queue, Segment};
use alloc::vec::Vec;
use libos_base::memory::with_room;

/// Buffers per allocation: enough to waste nothing, few enough to be found in fragmented memory.
const CHUNK: usize = 8;
/// Buffers given back before the device is notified.
const BATCH: u16 = 16;
/// Longest frame that merged buffers may make: a 64 KiB IP packet and its Ethernet header.
const MAX_MERGED: usize = 65535 + ETHERNET_HEADER;

/// The receiving half of a card.
pub struct Rx {
    queue: Queue,
    chunks: Vec<DmaBuf>,
    buf_len: usize,
    header_len: usize,
    split_header: bool,
    mergeable: bool,
    /// Buffers added since the device was notified.
    batched: u16,
    /// A frame that spans several buffers, and how many of them are still to come.
    merged: Vec<u8>,
    missing: u16,
    merged_flags: u8,
    /// Frames that had to be thrown away (no memory, or longer than allowed).
    dropped: u64,
}

/// A received frame. Its buffer goes back to the device when this is dropped.
pub struct RxFrame<'a> {
    rx: &'a mut Rx,
    /// The buffer, where the frame begins in it and its length; `None`: the frame is in `rx.merged`.
    buffer: Option<(u16, *const u8, usize)>,
    /// The checksums inside need not be verified.
    pub checksum_good: bool,
}

impl Rx {
    pub(super) fn new(queue: Queue, agreed: Agreed, info: &Info, options: &Options) -> Option<Self> {
        let mergeable = agreed.has(feature::MRG_RXBUF);
        let header_len = agreed.header_len();
        // Mergeable buffers may be of any size; without them one must hold a whole frame.
        let buf_len = match mergeable {
            true => 2048,
            false => (usize::from(info.mtu) + ETHERNET_HEADER + header_len).next_multiple_of(2048),
        };
        let per_frame = if agreed.split_header() { 2 } else { 1 };
        let buffers = options.rx_buffers.min(queue.size() / per_frame).max(1);
        let mut chunks = with_room(usize::from(buffers).div_ceil(CHUNK)).ok()?;
        let mut left = usize::from(buffers);
        while left > 0 {
            let n = left.min(CHUNK);
            chunks.push(DmaBuf::new(n * buf_len, 64)?);
            left -= n;
        }
        let mut rx = Self {
            queue,
            chunks,
            buf_len,
            header_len,
            split_header: agreed.split_header(),
            mergeable,
            batched: 0,
            merged: Vec::new(),
            missing: 0,
            merged_flags: 0,
            dropped: 0,
        };
        for b in 0..buffers {
            rx.give(b);
        }
        Some(rx)
    }

    /// Shows the buffers to the device.
    pub(super) fn start(&mut self) {
        self.batched = 0;
        self.queue.kick();
    }

    fn at(&self, buffer: u16) -> *mut u8 {
        let i = usize::from(buffer);
        // SAFETY: buffer `i` lies in its chunk: numbers come from `new` only.
        unsafe { self.chunks[i / CHUNK].ptr().add(i % CHUNK * self.buf_len) }
    }

    fn give(&mut self, buffer: u16) {
        let (addr, len) = (phys_of(self.at(buffer)), self.buf_len as u32);
        let h = self.header_len as u32;
        let segment = |addr, len| Segment { addr, len, device_writes: true };
        // SAFETY: the chunks live until the device was reset, and this buffer is given once and looked at again only
        // after `pop` returned it.
        let added = unsafe {
            if self.split_header {
                self.queue.add(&[segment(addr, h), segment(addr + u64::from(h), len - h)], buffer)
            } else {
                self.queue.add_one(&segment(addr, len), buffer)
            }
        };
        // Only a broken queue is full: there are no more buffers than room.
        if added.is_ok() {
            self.batched += 1;
            if self.batched >= BATCH {
                self.start();
            }
        }
    }

    /// The next frame (Ethernet header first). `None`: nothing is there now, and the device has all free buffers.
    pub fn receive(&mut self) -> Option<RxFrame<'_>> {
        loop {
            let Some((buffer, written)) = self.queue.pop() else {
                if self.batched > 0 {
                    self.start();
                }
                return None;
            };
            let written = (written as usize).min(self.buf_len);
            if self.missing > 0 {
                self.append(buffer, 0, written);
                if self.missing == 0
                    && let Some(good) = self.merged_done()
                {
                    return Some(RxFrame { rx: self, buffer: None, checksum_good: good });
                }
                continue;
            }
            if written < self.header_len {
                self.dropped += 1;
                self.give(buffer);
                continue;
            }
            let at = self.at(buffer);
            // SAFETY: `pop` returned the buffer, so the device is done with it.
            let h = unsafe { core::slice::from_raw_parts(at, header::MAX) };
            let (flags, count) = (h[0], if self.mergeable { u16::from_le_bytes([h[10], h[11]]) } else { 1 });
            if count > 1 {
                self.merged.clear();
                self.merged_flags = flags;
                self.missing = count;
                self.append(buffer, self.header_len, written);
                continue;
            }
            let len = written - self.header_len;
            // SAFETY: at least a header was written, and the buffer is longer.
            let frame = unsafe { at.add(self.header_len) };
            return Some(RxFrame { rx: self, buffer: Some((buffer, frame, len)), checksum_good: checksum_good(flags) });
        }
    }

    /// Adds a buffer's bytes `from .. to` to the merged frame and gives the buffer back.
    fn append(&mut self, buffer: u16, from: usize, to: usize) {
        self.missing -= 1;
        let room = self.merged.len() + (to - from) <= MAX_MERGED && self.merged.try_reserve(to - from).is_ok();
        if room {
            // SAFETY: `pop` returned the buffer, and `to` is at most its length.
            let bytes = unsafe { core::slice::from_raw_parts(self.at(buffer).add(from), to - from) };
            self.merged.extend_from_slice(bytes);
        } else {
            // Mark it as lost: a frame is never delivered with a hole.
            self.merged.clear();
            self.merged_flags = 0xff;
        }
        self.give(buffer);
    }

    /// `Some(checksum is good)` if the merged frame is complete.
    fn merged_done(&mut self) -> Option<bool> {
        if self.merged_flags == 0xff {
            self.dropped += 1;
            return None;
        }
        Some(checksum_good(self.merged_flags))
    }

    /// Asks for an interrupt when the next frame arrives. `true`: frames are already there, and as they may never cause
    /// an interrupt, the caller must continue receiving. After `false`, the next frame interrupts.
    #[must_use]
    pub fn enable_interrupt(&mut self) -> bool {
        if self.batched > 0 {
            self.start();
        }
        self.queue.enable_interrupt()
    }

    /// Asks for no interrupts while the kernel polls. One may still come.
    pub fn disable_interrupt(&mut self) {
        self.queue.disable_interrupt();
    }

    /// Frames thrown away.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl RxFrame<'_> {
    /// The frame, Ethernet header first.
    pub fn bytes(&self) -> &[u8] {
        match self.buffer {
            // SAFETY: the device is done with the buffer, and it is given back only on drop.
            Some((_, frame, len)) => unsafe { core::slice::from_raw_parts(frame, len) },
            None => &self.rx.merged,
        }
    }
}

impl Drop for RxFrame<'_> {
    fn drop(&mut self) {
        if let Some((b, ..)) = self.buffer {
            self.rx.give(b);
        }
    }
}
