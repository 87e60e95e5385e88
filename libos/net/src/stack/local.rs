//! Connections between two sockets of this host: data goes straight to where the reader finds it
//! ([`libos_tcp`]'s `local`), so it is copied twice, from the writer and to the reader. Segments carry the rest:
//! beginnings and ends, and data that arrives at an end that nobody reads. Those without data need no frames.

use super::Stack;
use super::conn::{Change, Moved};
use super::interface::InterfaceId;
use crate::frame::{Tcp, Tuple};
use alloc::collections::VecDeque;
use libos_base::io::Source;
use libos_tcp::{Segment, Transmit};

/// What a segment without data counts as: its headers.
pub const BARE: usize = 40;

/// Segments without data on their way to a connection, or a listening socket, of this host. They are older than any frame
/// on the loopback wire.
#[derive(Default)]
pub struct Wire(VecDeque<(Tuple, Transmit)>);

impl Wire {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a segment of the connection `from`. False: there is no memory.
    pub fn push(&mut self, from: &Tuple, t: &Transmit) -> bool {
        let room = self.0.try_reserve(1).is_ok();
        if room {
            self.0.push_back((from.back(), *t));
        }
        room
    }
}

impl Stack {
    /// Delivers the oldest of these segments. False: there are none.
    pub fn deliver_bare(&mut self) -> bool {
        let Some((tuple, t)) = self.wire.0.pop_front() else { return false };
        let Transmit { seq, ack, flags, window, .. } = t;
        let segment = Segment { seq, ack, flags, window, options: t.options.bytes(), data: &[] };
        self.stats.lo += 1;
        self.stats.lo_bytes += BARE as u64;
        let hash = self.connections.hash(&tuple);
        self.tcp_in(InterfaceId::Lo, &[], &Tcp { tuple, hash, segment });
        true
    }

    /// The other end of a connection, if it is on this host.
    fn other_end(&self, id: u32) -> Option<u32> {
        let c = self.connections.get(id).filter(|c| c.ifc == InterfaceId::Lo)?;
        self.connections.find(&c.tuple.back()).filter(|&other| other != id)
    }

    /// Where the next bytes of a connection may go, how many fit there, and how many of those queued may go.
    fn reader(&self, id: u32) -> Option<(u32, usize, usize)> {
        let (seq, queued) = self.connections.get(id)?.tcp().passes(self.now)?;
        let other = self.other_end(id)?;
        let reader = self.connections.get(other)?;
        let room = if reader.unread() { 0 } else { reader.tcp().takes(seq) };
        (room > 0).then_some((other, room, queued))
    }

    /// A program writes: passes what the reader has room for.
    pub fn write_through(&mut self, id: u32, src: &mut Source<'_>) -> Moved {
        let idle = self.connections.get(id).is_some_and(|c| c.ifc == InterfaceId::Lo && c.tcp().send_queue() == 0);
        let reader = if idle { self.reader(id) } else { None };
        let Some((other, room, _)) = reader else { return Moved::default() };
        let Self { connections, memory, now, .. } = self;
        let Some(reader) = connections.get_mut(other) else { return Moved::default() };
        let mut stopped = false;
        let most = room.min(src.left());
        let bytes = reader.tcp_mut().take(&mut memory.pool, *now, most, &mut |to| {
            stopped = !src.take_present(to);
            if stopped { 0 } else { to.len() }
        });
        self.passed(id, other, bytes);
        Moved { bytes, stopped }
    }

    /// Passes what is queued, as far as the reader has room.
    pub fn pass_queued(&mut self, id: u32) {
        let Some((other, room, queued)) = self.reader(id) else { return };
        let Self { connections, memory, now, .. } = self;
        let Some(mut queue) = connections.get_mut(id).map(|c| c.tcp_mut().lend()) else { return };
        let bytes = connections
            .get_mut(other)
            .map_or(0, |reader| reader.tcp_mut().take_queued(&mut memory.pool, *now, room.min(queued), &mut queue));
        if let Some(c) = connections.get_mut(id) {
            c.tcp_mut().give_back(queue);
        }
        self.passed(id, other, bytes);
    }

    /// Both ends take note, and whoever waits for the data is woken.
    fn passed(&mut self, id: u32, other: u32, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let Self { connections, wakes, stats, now, .. } = self;
        let Some(reader) = connections.get_mut(other) else { return };
        let position = reader.tcp_mut().position();
        let place = reader.tcp().place();
        let events = reader.news(Change::None);
        if let Some(shared) = reader.shared.as_ref().filter(|_| !events.is_empty()) {
            wakes.add(shared, events);
        }
        if let Some(c) = connections.get_mut(id) {
            c.tcp_mut().passed(*now, bytes, position);
            c.tcp_mut().lie_as(place);
        }
        stats.tx += 1;
        stats.lo += 1;
        stats.tx_bytes += bytes as u64;
        stats.lo_bytes += bytes as u64;
    }

    /// Reading has made room: the writer has to know.
    pub fn opened(&mut self, id: u32) {
        let other = self.other_end(id);
        let Some(position) = self.connections.get_mut(id).map(|c| c.tcp_mut().position()) else { return };
        let Some(writer) = other.and_then(|other| self.connections.get_mut(other)) else {
            return self.announce(id);
        };
        if !writer.tcp_mut().told(position) {
            self.announce(id);
        } else if writer.tcp().send_queue() > 0
            && let Some(other) = other
        {
            self.connections.touch(other);
        }
    }

    /// By a segment.
    fn announce(&mut self, id: u32) {
        if let Some(c) = self.connections.get_mut(id) {
            c.tcp_mut().announce();
            self.connections.touch(id);
        }
    }
}
