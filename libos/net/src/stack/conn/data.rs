//! Data between the calls of a program and the connection.

use super::Conn;
use crate::stack::memory::Memory;
use libos_base::io::Source;

/// What a read or a write moved.
#[derive(Clone, Copy, Default)]
pub struct Moved {
    pub bytes: usize,
    /// There would be more, but the program's page is not present.
    pub stopped: bool,
}

impl Conn {
    /// Whether a third of the buffer is free: what Linux calls writable.
    pub fn writable(&self) -> bool {
        self.tcp.room() * 3 >= self.tcp.send_capacity()
    }

    /// Takes what there is room for, straight from the program. `more`: it has announced more.
    pub fn write(&mut self, src: &mut Source<'_>, room: usize, now: u64, more: bool, memory: &mut Memory) -> Moved {
        let mut stopped = false;
        let most = room.min(src.left());
        let bytes = self.tcp.write(&mut memory.pool, now, most, more, |to| {
            stopped = !src.take_present(to);
            if stopped { 0 } else { to.len() }
        });
        Moved { bytes, stopped }
    }

    /// Passes the received data to `take`, piece by piece, until it does not take the whole of one. Returns whether the
    /// peer has to be told.
    pub fn read(&mut self, now: u64, memory: &mut Memory, take: impl FnMut(&[u8]) -> usize) -> bool {
        self.tcp.read(&mut memory.pool, now, take);
        self.seen = self.tcp.recv_queue();
        self.tcp.window_opened()
    }

    /// Whether there is more to read than at the last poll, or it is news that nothing more will come.
    pub fn arrived(&mut self) -> bool {
        let (queued, ended) = (self.tcp.recv_queue(), self.tcp.ended());
        let more = queued > core::mem::replace(&mut self.seen, queued);
        more | (ended && !core::mem::replace(&mut self.fin_told, true))
    }

    /// Whether data that arrives can never be read, because the socket was closed or both its directions were shut down.
    /// RFC 1122 section 4.2.2.13 wants a reset as the answer, and Linux sends it: otherwise the peer keeps writing
    /// without noticing.
    pub fn unread(&self) -> bool {
        self.owner == super::Owner::Orphan || self.shut_read && self.shut_write
    }
}
