//! The buddy allocator: pure logic over an arena of frames.
//!
//! Free blocks are powers of two frames, naturally aligned, in LIFO lists whose links live in the free frames
//! themselves: only the first frame of a free block is ever touched, so a guest with much memory boots without the
//! host backing it. Besides, there is one byte per frame: the order of the free block that starts there, plus one.

use libos_base::layout::PAGE_SIZE;

/// Largest block: 1 GiB.
pub const MAX_ORDER: usize = 18;
/// End of a list. Frame 0 is never managed.
const NONE: u64 = 0;

struct Links {
    next: u64,
    prev: u64,
}

/// The allocator. Addresses are physical; `offset + physical` is where the frame can be touched.
pub struct Buddy {
    offset: usize,
    state: *mut u8,
    frames: usize,
    heads: [u64; MAX_ORDER + 1],
    free: usize,
}

// SAFETY: it owns the free frames and the state bytes that its pointers lead to.
unsafe impl Send for Buddy {}

/// Smallest order whose block holds `pages` frames.
pub fn order_for(pages: usize) -> usize {
    pages.next_power_of_two().trailing_zeros() as usize
}

impl Buddy {
    /// Manages nothing yet.
    pub const fn new() -> Self {
        Self { offset: 0, state: core::ptr::null_mut(), frames: 0, heads: [NONE; MAX_ORDER + 1], free: 0 }
    }

    /// Sets up for frames `1 .. frames`; all of them count as taken until [`Buddy::release`].
    ///
    /// # Safety
    /// `state` points at `frames` bytes that only this allocator uses. Every frame that is released later is unused
    /// memory, writable at `offset + physical`.
    pub unsafe fn init(&mut self, offset: usize, state: *mut u8, frames: usize) {
        // SAFETY: the caller's.
        unsafe { state.write_bytes(0, frames) };
        (self.offset, self.state, self.frames) = (offset, state, frames);
    }

    /// Free frames.
    pub fn free_frames(&self) -> usize {
        self.free
    }

    /// A block of `2^order` frames.
    pub fn alloc(&mut self, order: usize) -> Option<u64> {
        let mut o = (order..=MAX_ORDER).find(|&o| self.heads[o] != NONE)?;
        let block = self.heads[o];
        self.unlink(block, o);
        while o > order {
            o -= 1;
            self.link(block + ((PAGE_SIZE as u64) << o), o);
        }
        self.free -= 1 << order;
        Some(block)
    }

    /// Exactly `pages` consecutive frames, aligned to `2^align_order` frames.
    pub fn alloc_exact(&mut self, pages: usize, align_order: usize) -> Option<u64> {
        let order = order_for(pages).max(align_order);
        if order > MAX_ORDER {
            return None;
        }
        let block = self.alloc(order)?;
        self.release(block + (pages * PAGE_SIZE) as u64, (1 << order) - pages);
        Some(block)
    }

    /// Gives a block back.
    pub fn free(&mut self, mut block: u64, mut order: usize) {
        debug_assert!(block != NONE && (block / PAGE_SIZE as u64).trailing_zeros() as usize >= order);
        debug_assert!(self.state(block) == 0, "frame {block:#x} freed twice");
        self.free += 1 << order;
        while order < MAX_ORDER {
            let buddy = block ^ (PAGE_SIZE as u64) << order;
            if self.state(buddy) as usize != order + 1 {
                break;
            }
            self.unlink(buddy, order);
            block = block.min(buddy);
            order += 1;
        }
        self.link(block, order);
    }

    /// Gives back `pages` consecutive frames of any alignment.
    pub fn release(&mut self, mut start: u64, mut pages: usize) {
        while pages > 0 {
            let align = (start / PAGE_SIZE as u64).trailing_zeros() as usize;
            let order = align.min(pages.ilog2() as usize).min(MAX_ORDER);
            self.free(start, order);
            start += (PAGE_SIZE as u64) << order;
            pages -= 1 << order;
        }
    }

    fn state(&self, block: u64) -> u8 {
        let i = (block / PAGE_SIZE as u64) as usize;
        // SAFETY: checked to be inside the state bytes.
        if i < self.frames { unsafe { *self.state.add(i) } } else { 0 }
    }

    fn set_state(&mut self, block: u64, v: u8) {
        let i = (block / PAGE_SIZE as u64) as usize;
        assert!(i < self.frames);
        // SAFETY: checked to be inside the state bytes.
        unsafe { *self.state.add(i) = v };
    }

    fn links(&self, block: u64) -> *mut Links {
        (self.offset + block as usize) as *mut Links
    }

    fn link(&mut self, block: u64, order: usize) {
        let next = self.heads[order];
        // SAFETY: both are the first frames of free blocks, which are this allocator's.
        unsafe {
            self.links(block).write(Links { next, prev: NONE });
            if next != NONE {
                (*self.links(next)).prev = block;
            }
        }
        self.heads[order] = block;
        self.set_state(block, order as u8 + 1);
    }

    fn unlink(&mut self, block: u64, order: usize) {
        // SAFETY: as in `link`.
        unsafe {
            let Links { next, prev } = self.links(block).read();
            if prev == NONE {
                self.heads[order] = next;
            } else {
                (*self.links(prev)).next = next;
            }
            if next != NONE {
                (*self.links(next)).prev = prev;
            }
        }
        self.set_state(block, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Physical 0 is at the start of the vector's aligned part.
    fn arena(frames: usize) -> (Vec<u8>, Vec<u8>, Buddy) {
        let mut mem = vec![0u8; (frames + 1) * PAGE_SIZE];
        let mut state = vec![0xffu8; frames];
        let mut b = Buddy::new();
        let base = (mem.as_mut_ptr() as usize).next_multiple_of(PAGE_SIZE);
        // SAFETY: both vectors outlive the allocator in every test.
        unsafe { b.init(base, state.as_mut_ptr(), frames) };
        (mem, state, b)
    }

    #[test]
    fn splits_and_merges_back() {
        let (_m, _s, mut b) = arena(1024);
        b.release(PAGE_SIZE as u64, 1023);
        assert_eq!(b.free_frames(), 1023);
        let big = b.alloc(9).unwrap();
        assert_eq!(big, 512 * PAGE_SIZE as u64);
        assert!(b.alloc(9).is_none());
        let mut all: Vec<u64> = std::iter::from_fn(|| b.alloc(0)).collect();
        assert_eq!(all.len(), 511);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 511);
        for p in all {
            b.free(p, 0);
        }
        b.free(big, 9);
        assert_eq!(b.free_frames(), 1023);
        assert_eq!(b.alloc(9), Some(big));
        assert!(b.alloc(8).is_some());
    }

    #[test]
    fn exact_sizes_do_not_waste() {
        let (_m, _s, mut b) = arena(256);
        b.release(PAGE_SIZE as u64, 255);
        let p = b.alloc_exact(33, 0).unwrap();
        assert_eq!(b.free_frames(), 255 - 33);
        let q = b.alloc_exact(3, 4).unwrap();
        assert_eq!(q % (16 * PAGE_SIZE as u64), 0);
        b.release(p, 33);
        b.release(q, 3);
        assert_eq!(b.free_frames(), 255);
        assert!(b.alloc(7).is_some());
        assert_eq!(b.alloc_exact(1 << 20, 0), None);
    }

    #[test]
    fn random_work_never_overlaps_and_loses_nothing() {
        let (_m, _s, mut b) = arena(2048);
        b.release(3 * PAGE_SIZE as u64, 500);
        b.release(700 * PAGE_SIZE as u64, 1000);
        let mut live: BTreeMap<u64, usize> = BTreeMap::new();
        let mut seed = 7u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let r = (seed >> 33) as usize;
            if r & 1 == 0 || live.is_empty() {
                let n = 1 + r / 2 % 40;
                if let Some(p) = b.alloc_exact(n, 0) {
                    let end = p + (n * PAGE_SIZE) as u64;
                    if let Some((&q, &m)) = live.range(..end).next_back() {
                        assert!(q + (m * PAGE_SIZE) as u64 <= p);
                    }
                    live.insert(p, n);
                }
            } else {
                let k = *live.keys().nth(r / 2 % live.len()).unwrap();
                b.release(k, live.remove(&k).unwrap());
            }
            assert_eq!(b.free_frames() + live.values().sum::<usize>(), 1500);
        }
    }
}
