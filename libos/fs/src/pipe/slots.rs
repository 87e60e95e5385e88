//! The content of a pipe.

use super::{DEFAULT_SIZE, PIPE_BUF};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::io::{Sink, Source};

/// A page's worth of bytes, some of them read already.
pub(crate) struct Slot {
    pub(super) data: Box<[u8]>,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Bytes in order, in page-sized slots as on Linux, so that the same writes fit (a write of up to PIPE_BUF joins the
/// last slot or takes a new one, so it is never split).
pub(super) struct Slots {
    pub(super) slots: VecDeque<Slot>,
    pub(super) max: usize,
    /// Kept so that small messages do not allocate.
    pub(super) spare: Option<Box<[u8]>>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { slots: VecDeque::new(), max: DEFAULT_SIZE / PIPE_BUF, spare: None }
    }
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
    /// Memory for a slot.
    pub(super) fn memory(&mut self) -> Result<Box<[u8]>> {
        self.slots.try_reserve(1)?;
        match self.spare.take() {
            Some(d) => Ok(d),
            None => {
                let mut v = Vec::new();
                v.try_reserve_exact(PIPE_BUF)?;
                v.resize(PIPE_BUF, 0);
                Ok(v.into_boxed_slice())
            }
        }
    }
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.max
    }
    pub(super) fn bytes(&self) -> usize {
        self.slots.iter().map(|s| s.end - s.start).sum()
    }
    /// Moves bytes out; a fault after some bytes is a short read.
    pub(super) fn read(&mut self, dst: &mut Sink<'_>) -> Result<usize> {
        let mut total = 0;
        while let Some(s) = self.slots.front_mut() {
            if dst.left() == 0 {
                break;
            }
            let n = match dst.put(&s.data[s.start..s.end]) {
                Ok(n) => n,
                Err(e) if total == 0 => return Err(e),
                Err(_) => break,
            };
            total += n;
            s.start += n;
            if s.start < s.end {
                break;
            }
            self.spare = self.slots.pop_front().map(|s| s.data);
        }
        Ok(total)
    }
    /// The first step of a write: the part beyond whole pages joins the last slot, if it fits there.
    pub(super) fn join(&mut self, src: &mut Source<'_>) -> Result<usize> {
        let over = src.left() % PIPE_BUF;
        let Some(s) = self.slots.back_mut().filter(|s| over > 0 && s.end + over <= PIPE_BUF) else { return Ok(0) };
        let n = src.take(&mut s.data[s.end..s.end + over])?;
        s.end += n;
        Ok(n)
    }
    /// Fills free slots.
    pub(super) fn fill(&mut self, src: &mut Source<'_>) -> Result<usize> {
        let mut total = 0;
        while src.left() > 0 && !self.is_full() {
            let mut data = self.memory()?;
            match src.take(&mut data) {
                Ok(end) => {
                    total += end;
                    self.slots.push_back(Slot { data, start: 0, end });
                }
                Err(e) if total == 0 => return Err(e),
                Err(_) => break,
            }
        }
        Ok(total)
    }
}

impl Slot {
    /// Its unread bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }
}
