//! The content of a pipe.

use super::{DEFAULT_SIZE, PIPE_BUF};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use libos_base::io::{Sink, Source};
use libos_base::{Errno, Result};

/// A page's worth of bytes, some of them read already.
pub(crate) struct Slot {
    pub(super) data: Box<[u8; PIPE_BUF]>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where its bytes begin when there are none: 0, or the end of the page for a packet, which no write can join.
    begin: usize,
}

/// Bytes in order, in page-sized slots as on Linux, so that the same writes fit (a write of up to PIPE_BUF joins the
/// last slot or takes a new one, so it is never split).
pub(super) struct Slots {
    /// The last one stays when it has been read, for what comes next. So one without bytes is the only one.
    pub(super) slots: VecDeque<Slot>,
    pub(super) max: usize,
    /// Kept so that large messages do not allocate each time.
    pub(super) spare: Option<Box<[u8; PIPE_BUF]>>,
    /// The slot that was taken off the list last was a packet.
    was_packet: bool,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::new(), max: DEFAULT_SIZE / PIPE_BUF, spare: None, was_packet: false }
    }
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.front().is_none_or(|s| s.start == s.end)
    }
    /// Slots with bytes.
    #[inline]
    pub(super) fn used(&self) -> usize {
        if self.is_empty() { 0 } else { self.slots.len() }
    }
    /// Memory for a slot, and a place for it in the list.
    pub(super) fn memory(&mut self) -> Result<Box<[u8; PIPE_BUF]>> {
        self.clear_empty();
        if self.slots.len() == self.slots.capacity() {
            self.slots.try_reserve(1)?;
        }
        self.spare.take().map_or_else(fresh, Ok)
    }
    /// Adds a slot with bytes; there is a place for it.
    pub(super) fn push(&mut self, slot: Slot) {
        self.clear_empty();
        self.slots.push_back(slot);
    }
    fn clear_empty(&mut self) {
        if self.is_empty()
            && let Some(slot) = self.slots.pop_front()
        {
            self.spare = Some(slot.data);
        }
    }
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.max && !self.is_empty()
    }
    pub(super) fn bytes(&self) -> usize {
        self.slots.iter().map(|s| s.end - s.start).sum()
    }
    /// Moves bytes out; a fault after some slots is a short read. As on Linux, no part of a slot is read then.
    #[inline(always)]
    pub(super) fn read(&mut self, dst: &mut Sink<'_>) -> Result<usize> {
        let first = self.read_slot(dst)?;
        Ok(if dst.left() == 0 || self.is_empty() { first } else { first + self.read_rest(dst) })
    }
    #[cold]
    fn read_rest(&mut self, dst: &mut Sink<'_>) -> usize {
        let mut total = 0;
        // A read ends with a packet.
        while !self.was_packet && dst.left() > 0 && !self.is_empty() {
            let Ok(n) = self.read_slot(dst) else { break };
            total += n;
        }
        total
    }
    #[inline(always)]
    fn read_slot(&mut self, dst: &mut Sink<'_>) -> Result<usize> {
        let last = self.slots.len() == 1;
        let Some(s) = self.slots.front_mut() else { return Ok(0) };
        let n = dst.put_fitting(s.bytes())?;
        s.start += n;
        // What is left of a packet is lost.
        if s.start == s.end || s.begin > 0 {
            if last {
                (s.start, s.end) = (s.begin, s.begin);
            } else if let Some(s) = self.slots.pop_front() {
                self.was_packet = s.begin > 0;
                self.spare = Some(s.data);
            }
        }
        Ok(n)
    }
    /// A write of less than a page that joins the last slot. False: it does not, or it faults; nothing was written.
    #[inline(always)]
    pub(super) fn join_whole(&mut self, src: &mut Source<'_>) -> bool {
        let n = src.left();
        let Some(s) = self.slots.back_mut() else { return false };
        if n >= PIPE_BUF || s.end + n > PIPE_BUF || src.take_whole(&mut s.data[s.end..s.end + n]).is_err() {
            return false;
        }
        s.end += n;
        true
    }
    /// The first step of a write: the part beyond whole pages joins the last slot, if it fits there.
    pub(super) fn join(&mut self, src: &mut Source<'_>) -> Result<usize> {
        let over = src.left() % PIPE_BUF;
        // One without bytes counts as a free slot, which whole pages would come to first.
        let joins = |s: &&mut Slot| over > 0 && s.end + over <= PIPE_BUF && (s.start < s.end || over == src.left());
        let Some(s) = self.slots.back_mut().filter(joins) else { return Ok(0) };
        src.take_whole(&mut s.data[s.end..s.end + over])?;
        s.end += over;
        Ok(over)
    }
    /// Fills free slots, of which there is one; a fault after some slots is a short write. As on Linux, no part of a slot
    /// is written then.
    #[inline(never)]
    pub(super) fn fill(&mut self, src: &mut Source<'_>) -> Result<usize> {
        let first = self.fill_slot(src)?;
        Ok(if src.left() == 0 { first } else { first + self.fill_rest(src) })
    }
    #[cold]
    fn fill_rest(&mut self, src: &mut Source<'_>) -> usize {
        let mut total = 0;
        while src.left() > 0 && !self.is_full() {
            let Ok(n) = self.fill_slot(src) else { break };
            total += n;
        }
        total
    }
    #[inline(always)]
    fn fill_slot(&mut self, src: &mut Source<'_>) -> Result<usize> {
        let mut data = self.memory()?;
        let end = src.left().min(PIPE_BUF);
        src.take_whole(&mut data[..end])?;
        self.push(Slot::new(data, end));
        Ok(end)
    }
    /// The same for one packet.
    #[cold]
    pub(super) fn fill_packet(&mut self, src: &mut Source<'_>) -> Result<usize> {
        let mut data = self.memory()?;
        let start = PIPE_BUF - src.left().min(PIPE_BUF);
        src.take_whole(&mut data[start..])?;
        self.push(Slot { data, start, end: PIPE_BUF, begin: PIPE_BUF });
        Ok(PIPE_BUF - start)
    }
}

#[cold]
fn fresh() -> Result<Box<[u8; PIPE_BUF]>> {
    let mut v = Vec::new();
    v.try_reserve_exact(PIPE_BUF)?;
    v.resize(PIPE_BUF, 0);
    v.into_boxed_slice().try_into().map_err(|_| Errno::ENOMEM)
}

impl Slot {
    /// With its first `end` bytes.
    pub(super) fn new(data: Box<[u8; PIPE_BUF]>, end: usize) -> Self {
        Self { data, start: 0, end, begin: 0 }
    }
    /// Its unread bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }
}
