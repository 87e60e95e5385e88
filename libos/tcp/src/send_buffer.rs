//! Data that the program has written and the peer has not acknowledged.

use crate::chunk::{Chunk, Pool, SIZE};
use crate::short::Short;

/// See the module.
#[derive(Default)]
pub struct SendBuffer {
    chunks: Short<Chunk>,
    /// Where in the first chunk the data begins.
    head: usize,
    len: usize,
}

impl SendBuffer {
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends up to `most` bytes: `fill` writes into the piece it is given and returns how many bytes it wrote; if not
    /// all, that was the last piece.
    pub fn append(&mut self, pool: &mut Pool, most: usize, mut fill: impl FnMut(&mut [u8]) -> usize) -> usize {
        let mut total = 0;
        while total < most {
            let end = self.head + self.len;
            if end >= self.chunks.len() * SIZE {
                if self.chunks.reserve().is_err() {
                    break;
                }
                let Some(chunk) = pool.take(self.len == 0) else { break };
                self.chunks.push_back(chunk);
            }
            let Some(last) = self.chunks.back_mut() else { break };
            let at = end % SIZE;
            let n = (SIZE - at).min(most - total);
            let filled = fill(&mut last[at..at + n]);
            self.len += filled;
            total += filled;
            if filled < n {
                break;
            }
        }
        if self.len == 0 {
            self.clear(pool);
        }
        total
    }

    /// An empty buffer begins at this place in its first chunk.
    pub fn begin(&mut self, place: usize) {
        if self.len == 0 {
            self.head = place;
        }
    }
    /// Where in its chunk the first byte lies.
    pub fn place(&self) -> usize {
        self.head
    }
    /// The bytes in the first chunk.
    pub fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |chunk| &chunk[self.head..SIZE.min(self.head + self.len)])
    }
    /// Takes the first chunk out, with the bytes in it.
    pub fn pop(&mut self) -> Option<Chunk> {
        self.len -= self.front().len();
        self.head = 0;
        self.chunks.pop_front()
    }

    /// Copies the bytes from `offset` on.
    pub fn copy(&self, offset: usize, mut to: &mut [u8]) {
        let mut at = self.head + offset;
        while !to.is_empty() {
            let Some(chunk) = self.chunks.get(at / SIZE) else { return };
            let from = &chunk[at % SIZE..];
            let n = from.len().min(to.len());
            let (now, rest) = to.split_at_mut(n);
            now.copy_from_slice(&from[..n]);
            to = rest;
            at += n;
        }
    }

    /// Drops the first `n` bytes.
    pub fn consume(&mut self, n: usize, pool: &mut Pool) {
        self.len -= n.min(self.len);
        if self.len == 0 {
            return self.clear(pool);
        }
        self.head += n;
        while self.head >= SIZE {
            self.head -= SIZE;
            if let Some(chunk) = self.chunks.pop_front() {
                pool.give(chunk);
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self, pool: &mut Pool) {
        (self.head, self.len) = (0, 0);
        self.chunks.drain(|chunk| pool.give(chunk));
    }
}
