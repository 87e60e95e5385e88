//! What lies in an inbox: bytes, and what came with them.

use super::dgram::Charge;
use super::rights::Rights;
use alloc::boxed::Box;
use alloc::vec::Vec;
use libos_base::abi::Ucred;
use libos_base::io::Source;
use libos_base::{Errno, Result, memory};

/// Stream data is gathered in pieces of this size.
pub const PIECE: usize = 16 << 10;
/// A packet with up to this much memory is kept for the next bytes.
const SPARE: usize = 1024;

/// What few packets have besides bytes. It is dropped with no core locked: that closes files and notifies senders.
pub struct Extras {
    pub files: Rights,
    pub from: Option<Vec<u8>>,
    /// What a datagram is charged to its sender until it is taken.
    pub charge: Option<Charge>,
}

impl Extras {
    pub const fn none() -> Self {
        Self { files: Rights::none(), from: None, charge: None }
    }
}

/// Data in flight. It stays where it is: queues hold boxes.
pub struct Packet {
    /// The bytes are those from `at` to `end`. What is behind them has been cleared or used before: there is no need to
    /// clear it again for the next bytes.
    memory: Vec<u8>,
    at: usize,
    end: usize,
    pub creds: Ucred,
    /// When it was sent, if the receiver wants to know.
    pub time: u64,
    /// It holds more than one write to a stream.
    pub merged: bool,
    pub extras: Extras,
}

impl Packet {
    /// An empty one: the spare one, if there is one. ENOBUFS.
    #[inline(always)]
    pub fn empty(spare: &mut Option<Box<Self>>, creds: Ucred) -> Result<Box<Self>> {
        match spare.take() {
            Some(mut packet) => {
                packet.creds = creds;
                Ok(packet)
            }
            None => Self::fresh(creds),
        }
    }
    #[cold]
    fn fresh(creds: Ucred) -> Result<Box<Self>> {
        memory::check().map_err(|_| Errno::ENOBUFS)?;
        let extras = Extras::none();
        Ok(Box::new(Self { memory: Vec::new(), at: 0, end: 0, creds, time: 0, merged: false, extras }))
    }
    /// Keeps a packet whose bytes and extras have been taken for the next bytes, unless it is large.
    #[inline(always)]
    pub fn keep(mut self: Box<Self>, spare: &mut Option<Box<Self>>) {
        if self.memory.len() <= SPARE && spare.is_none() {
            (self.at, self.end, self.time, self.merged) = (0, 0, 0, false);
            *spare = Some(self);
        }
    }

    /// Whether it has nothing but bytes.
    #[inline]
    pub fn is_plain(&self) -> bool {
        let Extras { files, from, charge } = &self.extras;
        files.is_nothing() && from.is_none() && charge.is_none()
    }
    /// Whether `n` more bytes from this sender are added to it rather than to a packet of their own.
    #[inline]
    pub fn joins(&self, n: usize, creds: &Ucred) -> bool {
        self.extras.files.is_empty() && self.end + n <= PIECE && self.creds == *creds
    }
    /// Bytes that no reader has taken yet.
    #[inline]
    pub fn unread(&self) -> &[u8] {
        &self.memory[self.at..self.end]
    }
    /// How many those are.
    pub fn left(&self) -> usize {
        self.end - self.at
    }
    /// All of its bytes, those that were taken included.
    pub fn size(&self) -> usize {
        self.end
    }
    /// A reader has taken `n` bytes.
    #[inline]
    pub fn took(&mut self, n: usize) {
        self.at += n;
    }

    /// Adds the next `n` bytes of `src`. ENOBUFS; EFAULT: none were added.
    #[inline(always)]
    pub fn add(&mut self, src: &mut Source<'_>, n: usize) -> Result<()> {
        src.take_whole(self.room(n)?)?;
        self.end += n;
        Ok(())
    }
    /// Adds as many of `n` bytes as `fill` says it has put into the memory for them; returns how many. ENOBUFS.
    pub fn fill(&mut self, n: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize>) -> Result<usize> {
        let got = fill(self.room(n)?)?;
        self.end += got;
        Ok(got)
    }
    /// Memory for `n` more bytes.
    #[inline(always)]
    fn room(&mut self, n: usize) -> Result<&mut [u8]> {
        let end = self.end + n;
        if end > self.memory.len() {
            self.grow(end)?;
        }
        Ok(&mut self.memory[self.end..end])
    }
    #[cold]
    #[inline(never)]
    fn grow(&mut self, to: usize) -> Result<()> {
        let more = to - self.memory.len();
        // Without the kernel's reserve.
        memory::check().and_then(|()| Ok(self.memory.try_reserve(more)?)).map_err(|_| Errno::ENOBUFS)?;
        // All of it, so that many small writes do not come here each.
        self.memory.resize(self.memory.capacity(), 0);
        Ok(())
    }
}
