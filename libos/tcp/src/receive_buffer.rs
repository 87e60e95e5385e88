//! Data that has arrived and was not read, with holes where something is missing.

use crate::chunk::{Chunk, Pool, SIZE};
use crate::send_buffer::SendBuffer;
use crate::short::Short;

/// See the module.
#[derive(Default)]
pub struct ReceiveBuffer {
    /// `None`: nothing has arrived for this chunk.
    chunks: Short<Option<Chunk>>,
    /// Where in the first chunk the data begins.
    head: usize,
    /// Bytes without a hole from there.
    ready: usize,
}

impl ReceiveBuffer {
    /// Bytes that can be read.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Stores up to `most` bytes `offset` bytes behind what can be read: `fill` writes into the piece it is given and
    /// returns how many bytes it wrote; if not all, that was the last piece. Returns how much found memory.
    pub fn store(
        &mut self,
        pool: &mut Pool,
        offset: usize,
        most: usize,
        fill: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> usize {
        let mut at = self.head + self.ready + offset;
        let mut stored = 0;
        while stored < most {
            let index = at / SIZE;
            while self.chunks.len() <= index {
                if self.chunks.reserve().is_err() {
                    return stored;
                }
                self.chunks.push_back(None);
            }
            let Some(slot) = self.chunks.get_mut(index) else { return stored };
            if slot.is_none() {
                *slot = pool.take(self.ready == 0 && offset == 0 && stored == 0);
            }
            let Some(chunk) = slot else { return stored };
            let to = &mut chunk[at % SIZE..];
            let n = to.len().min(most - stored);
            let filled = fill(&mut to[..n]);
            at += filled;
            stored += filled;
            if filled < n {
                break;
            }
        }
        stored
    }

    /// Where in a chunk the next byte would lie.
    pub fn place(&self) -> usize {
        (self.head + self.ready) % SIZE
    }

    /// Appends up to `most` bytes from a sender's buffer. A chunk that would lie here as it lies there changes hands;
    /// otherwise its bytes are copied. There must be no holes.
    pub fn take_over(&mut self, from: &mut SendBuffer, most: usize, pool: &mut Pool) -> usize {
        if self.chunks.is_empty() {
            self.head = from.place();
        }
        let mut total = 0;
        while total < most {
            let (whole, fresh) = (from.front().len(), self.chunks.len() * SIZE <= self.head + self.ready);
            let n = whole.min(most - total);
            let moved = if fresh && n == whole && self.place() == from.place() && self.chunks.reserve().is_ok() {
                self.chunks.push_back(from.pop());
                n
            } else {
                let piece = from.front();
                let mut at = 0;
                let copied = self.store(pool, 0, n, &mut |to| {
                    to.copy_from_slice(&piece[at..at + to.len()]);
                    at += to.len();
                    to.len()
                });
                from.consume(copied, pool);
                copied
            };
            if moved == 0 {
                break;
            }
            self.ready += moved;
            total += moved;
        }
        if from.len() == 0 {
            // A write that stopped at a chunk's beginning has left it there.
            from.clear(pool);
        }
        total
    }

    /// The next `n` bytes have no hole any more.
    pub fn advance(&mut self, n: usize) {
        self.ready += n;
    }

    /// Passes what can be read to `take`, piece by piece, until it does not take the whole of one. `gaps`: something is
    /// stored behind a hole. Returns the number of bytes taken.
    pub fn read(&mut self, pool: &mut Pool, gaps: bool, mut take: impl FnMut(&[u8]) -> usize) -> usize {
        let mut total = 0;
        while self.ready > 0 {
            let Some(Some(chunk)) = self.chunks.front() else { break };
            let piece = &chunk[self.head..SIZE.min(self.head + self.ready)];
            let n = take(piece).min(piece.len());
            let whole = n == piece.len();
            self.head += n;
            self.ready -= n;
            total += n;
            if self.head == SIZE {
                self.head = 0;
                if let Some(Some(chunk)) = self.chunks.pop_front() {
                    pool.give(chunk);
                }
            }
            if !whole {
                break;
            }
        }
        if self.ready == 0 && !gaps {
            self.clear(pool);
        }
        total
    }

    /// Copies the first bytes without consuming them.
    pub fn peek(&self, to: &mut [u8]) -> usize {
        let most = to.len().min(self.ready);
        let mut done = 0;
        for (i, chunk) in self.chunks.iter().enumerate() {
            let Some(chunk) = chunk.as_ref().filter(|_| done < most) else { break };
            let from = &chunk[if i == 0 { self.head } else { 0 }..];
            let n = from.len().min(most - done);
            to[done..done + n].copy_from_slice(&from[..n]);
            done += n;
        }
        done
    }

    /// Drops everything.
    pub fn clear(&mut self, pool: &mut Pool) {
        (self.head, self.ready) = (0, 0);
        self.chunks.drain(|chunk| {
            if let Some(chunk) = chunk {
                pool.give(chunk);
            }
        });
    }
}
