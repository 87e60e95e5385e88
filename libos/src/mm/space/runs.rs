//! Frames that are unmapped and wait for the flush after which they may be freed.

use super::super::frames;
use super::super::table_frames::unseal;
use crate::arch::page::{ADDRESS, SEALED};

/// How many runs are collected before a flush.
const ROOM: usize = 128;
/// Most frames of a run; one less fits below the address.
const LONGEST: u64 = 512;

/// Runs of consecutive frames. Each is the address of the first, [`SEALED`] if that holds for it, and how many follow.
pub struct Runs {
    list: [u64; ROOM],
    len: usize,
    frames: usize,
}

impl Runs {
    /// None.
    pub fn new() -> Self {
        Self { list: [0; ROOM], len: 0, frames: 0 }
    }

    /// Frames that were added since the start.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether they must be freed before more are added.
    pub fn is_full(&self) -> bool {
        self.len == ROOM
    }

    /// Adds `count` frames, which begin at the address in a page table entry.
    #[inline]
    pub fn add(&mut self, entry: u64, count: usize) {
        self.frames += count;
        let run = entry & (ADDRESS | SEALED);
        let last = self.len.wrapping_sub(1);
        if let Some(r) = self.list.get_mut(last)
            && *r & SEALED == 0
            && *r & (LONGEST - 1) < LONGEST - count as u64
            && (*r & ADDRESS) + (((*r & (LONGEST - 1)) + 1) << 12) == run
        {
            *r += count as u64;
            return;
        }
        self.list[self.len] = run | (count as u64 - 1);
        self.len += 1;
    }

    /// Frees all.
    ///
    /// # Safety
    /// Nothing refers to the frames any more, and every CPU has flushed.
    pub unsafe fn free(&mut self) {
        for r in &self.list[..core::mem::take(&mut self.len)] {
            let (frame, count) = (r & ADDRESS, (r & (LONGEST - 1)) as usize + 1);
            if r & SEALED != 0 {
                unseal(frame);
            }
            // SAFETY: the caller's; frames may be freed in other pieces than they were allocated in.
            unsafe { frames::free_exact(frame, count) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_frames_are_one_run() {
        let mut r = Runs::new();
        for i in 0..600 {
            r.add((0x20_0000 + (i << 12)) | 0x223, 1);
        }
        assert_eq!(r.list[..r.len], [0x20_0000 | 511, (0x20_0000 + (512 << 12)) | 87]);
        // A frame that is sealed stays alone, and so does one before it.
        r.add(0x80_0000 | SEALED, 1);
        r.add(0x80_1000, 1);
        r.add(0x7f_f000, 1);
        r.add(0xa0_0000, 512);
        r.add(0xc0_0000, 512);
        assert_eq!(r.len, 7);
        assert_eq!(r.frames(), 600 + 3 + 1024);
        assert_eq!(r.list[2], 0x80_0000 | SEALED);
    }
}
