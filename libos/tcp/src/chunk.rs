//! Memory for data: chunks of one page, which a connection takes when data comes and gives back when it goes, so that an
//! idle connection has none.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bytes in a chunk.
pub const SIZE: usize = 4096;
/// Most chunks kept for the next one who needs one.
const SPARE: usize = 64;

/// See the module.
pub type Chunk = Box<[u8; SIZE]>;

/// The budget that connections share.
pub struct Pool {
    budget: usize,
    used: usize,
    spare: Vec<Chunk>,
}

impl Pool {
    pub fn new(budget: usize) -> Self {
        Self { budget, used: 0, spare: Vec::new() }
    }
    /// Bytes that may be used, and that are.
    pub fn budget(&self) -> usize {
        self.budget
    }
    pub fn used(&self) -> usize {
        self.used
    }

    /// Takes `n` bytes from the budget. False: they are not there.
    pub fn charge(&mut self, n: usize) -> bool {
        let fits = self.used + n <= self.budget;
        if fits {
            self.used += n;
        }
        fits
    }
    /// Takes `n` bytes whether they are there or not.
    pub fn add(&mut self, n: usize) {
        self.used += n;
    }
    /// Gives `n` bytes back.
    pub fn release(&mut self, n: usize) {
        self.used = self.used.saturating_sub(n);
    }

    /// A chunk with any content. `essential`: without it a connection could not go on, so the budget does not count.
    pub fn take(&mut self, essential: bool) -> Option<Chunk> {
        if !essential && self.used + SIZE > self.budget {
            return None;
        }
        let chunk = match self.spare.pop() {
            Some(chunk) => chunk,
            None => make()?,
        };
        self.used += SIZE;
        Some(chunk)
    }

    /// Takes a chunk back.
    pub fn give(&mut self, chunk: Chunk) {
        self.release(SIZE);
        if self.spare.len() < SPARE && self.spare.try_reserve(1).is_ok() {
            self.spare.push(chunk);
        }
    }
}

#[cold]
fn make() -> Option<Chunk> {
    let mut v = Vec::new();
    v.try_reserve_exact(SIZE).ok()?;
    v.resize(SIZE, 0u8);
    v.into_boxed_slice().try_into().ok()
}
