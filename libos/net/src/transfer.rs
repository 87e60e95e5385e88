//! TCP data between the program's memory and the connection's buffers.
//!
//! Bytes are copied once, under the stack's lock, since only there do they stay in place. But no page fault may happen
//! there, as it can take as long as a disk: where a page of the program is not present, the copy stops, and the next
//! bytes take a detour through a buffer here, which is copied without the lock. Until that is done no other thread
//! comes in between: the readers of a socket take turns, and so do the writers.

use crate::socket::Msg;
use crate::stack::Stack;
use crate::stack::conn::{Conn, Moved};
use crate::stack::interface::InterfaceId;
use crate::stack::sock::Kind;
use crate::tcp::{TcpSocket, conn_of};
use alloc::vec::Vec;
use libos_base::io::{Sink, Source};
use libos_base::sync::{Mutex, MutexGuard, class};
use libos_base::{Errno, Result};
use libos_tcp::State;

/// Most bytes of one detour. Linux, too, moves all of that many, or nothing if there is no memory for them.
const DETOUR: usize = 32 << 10;

/// Whose turn it is.
pub(crate) struct Turns {
    reading: Mutex<()>,
    writing: Mutex<()>,
}

impl Turns {
    /// Nobody is reading or writing.
    pub fn new() -> Self {
        Self { reading: Mutex::new(class::SOCKET_READ, ()), writing: Mutex::new(class::SOCKET_WRITE, ()) }
    }

    /// Waits until nobody is on a detour: the connection may then be detached from its socket.
    pub fn all(&self) -> [MutexGuard<'_, ()>; 2] {
        [self.reading.lock(), self.writing.lock()]
    }
}

impl TcpSocket {
    /// One attempt to receive. `None`: nothing yet. `begun`: the call has already received something, and leaves a
    /// connection error to the next one.
    pub(crate) fn try_recv(&self, dst: &mut Sink<'_>, flags: Msg, begun: bool) -> Option<Result<usize>> {
        let _turn = self.turns.reading.lock();
        let skip = flags.contains(Msg::TRUNC);
        let straight = |dst: &mut Sink<'_>, begun| self.net.with(|st| recv(st, self.id, dst, skip, begun));
        both_ways(dst, begun, straight, |dst, _| self.recv_absent(dst))
    }

    /// One attempt to send. `None`: no room.
    pub(crate) fn try_send(&self, src: &mut Source<'_>, more: bool, begun: bool) -> Option<Result<usize>> {
        let _turn = self.turns.writing.lock();
        let straight = |src: &mut Source<'_>, begun| self.net.with(|st| send(st, self.id, src, more, begun));
        both_ways(src, begun, straight, |src, begun| self.send_absent(src, more, begun))
    }

    /// Reads the first bytes without consuming them. `None`: there are less than `least`, and more may come.
    #[cold]
    pub(crate) fn peek(&self, dst: &mut Sink<'_>, least: usize) -> Option<Result<usize>> {
        let _turn = self.turns.reading.lock();
        let held = self.net.with(|st| match readable(st, self.id, false) {
            Ok(id) => {
                let c = st.connections.get_mut(id)?;
                let last = c.error.is_some() || c.shut_read || c.tcp().ended();
                (last || c.tcp().recv_queue() >= least).then(|| first(c, dst.left()))
            }
            Err(r) => r.map(|r| r.map(|_| Vec::new())),
        });
        held.map(|held| held.and_then(|held| dst.put_whole(&held).map(|()| held.len())))
    }

    /// Receives by the detour. The bytes are consumed once they are where they belong.
    #[cold]
    #[inline(never)]
    fn recv_absent(&self, dst: &mut Sink<'_>) -> Result<Moved> {
        let held = self.net.with(|st| conn_of(st, self.id).map(|(_, c)| first(c, dst.left().min(DETOUR))));
        let held = held.unwrap_or(Ok(Vec::new()))?;
        dst.put_whole(&held)?;
        let bytes = held.len();
        let left = self.net.with(|st| {
            let mut due = bytes;
            let take = |data: &[u8]| {
                let n = data.len().min(due);
                due -= n;
                n
            };
            conn_of(st, self.id).map(|(id, _)| id).map_or(0, |id| consume(st, id, take))
        });
        Ok(Moved { bytes, stopped: left > 0 && dst.left() > 0 })
    }

    /// Sends by the detour as much as there is room for.
    #[cold]
    #[inline(never)]
    fn send_absent(&self, src: &mut Source<'_>, more: bool, begun: bool) -> Result<Moved> {
        let room = self.net.with(|st| conn_of(st, self.id).map_or(0, |(_, c)| c.tcp().room()));
        let n = room.min(src.left()).min(DETOUR);
        let mut held = Vec::new();
        held.try_reserve_exact(n).map_err(|_| Errno::ENOBUFS)?;
        held.resize(n, 0);
        src.take_whole(&mut held)?;
        let sent = self.net.with(|st| send(st, self.id, &mut Source::kernel(&held), more, begun));
        let bytes = sent.map_or(Ok(0), |moved| moved.map(|moved| moved.bytes))?;
        if bytes < n {
            // The buffer was made smaller meanwhile. What was taken from the program cannot be taken again.
            src.limit(0);
        }
        Ok(Moved { bytes, stopped: src.left() > 0 })
    }
}

/// Moves data directly, by the detour where that stops, and so on.
fn both_ways<M>(
    mem: &mut M,
    begun: bool,
    straight: impl Fn(&mut M, bool) -> Option<Result<Moved>>,
    detour: impl Fn(&mut M, bool) -> Result<Moved>,
) -> Option<Result<usize>> {
    let (mut total, mut absent) = (0, false);
    loop {
        let begun = begun || total > 0;
        match if absent { Some(detour(mem, begun)) } else { straight(mem, begun) } {
            Some(Ok(moved)) => {
                total += moved.bytes;
                if !moved.stopped {
                    return Some(Ok(total));
                }
                absent = !absent;
            }
            _ if total > 0 => return Some(Ok(total)),
            r => return r.map(|r| r.map(|_| 0)),
        }
    }
}

/// The first bytes of a receive buffer.
fn first(c: &mut Conn, most: usize) -> Result<Vec<u8>> {
    let mut held = Vec::new();
    let n = most.min(c.tcp().recv_queue());
    held.try_reserve_exact(n)?;
    held.resize(n, 0);
    let n = c.tcp().peek(&mut held);
    held.truncate(n);
    Ok(held)
}

/// Takes the error of a socket that no longer has a connection.
fn pending(st: &mut Stack, sid: u32) -> Option<Errno> {
    st.sock(sid).ok()?.error.take()
}

/// The result of reading without a connection.
fn unconnected(st: &mut Stack, sid: u32) -> Result<usize> {
    let s = st.sock(sid)?;
    match s.error.take() {
        Some(e) => Err(e),
        None if s.shut.0 && matches!(s.kind, Kind::Idle) => Ok(0),
        None => Err(Errno::ENOTCONN),
    }
}

/// The connection if there is something to read, otherwise the result of reading.
fn readable(st: &mut Stack, sid: u32, begun: bool) -> core::result::Result<u32, Option<Result<usize>>> {
    let Some((id, c)) = conn_of(st, sid) else {
        return Err(Some(if begun { Ok(0) } else { unconnected(st, sid) }));
    };
    let tcp = c.tcp();
    let (queued, state) = (tcp.recv_queue(), tcp.state());
    if queued > 0 && state != State::SynReceived {
        return Ok(id);
    }
    // EPIPE: it was reset after the peer's FIN. To readers the stream has simply ended; the error is left for writers.
    if c.error.is_some_and(|e| begun || e == Errno::EPIPE) {
        return Err(Some(Ok(0)));
    }
    if let Err(e) = c.take_error() {
        return Err(Some(Err(e)));
    }
    Err(match state {
        _ if c.shut_read => Some(Ok(0)),
        State::SynSent | State::SynReceived => None,
        _ if c.tcp().ended() => Some(Ok(0)),
        _ => None,
    })
}

/// Moves the available data, or (`skip`) drops it.
fn recv(st: &mut Stack, sid: u32, dst: &mut Sink<'_>, skip: bool, begun: bool) -> Option<Result<Moved>> {
    let id = match readable(st, sid, begun) {
        Ok(id) => id,
        Err(r) => return r.map(|r| r.map(|bytes| Moved { bytes, stopped: false })),
    };
    if dst.left() == 0 {
        return Some(Ok(Moved::default()));
    }
    let (mut bytes, mut stopped) = (0, false);
    consume(st, id, |data| {
        let most = data.len().min(dst.left());
        if skip {
            dst.limit(dst.left() - most);
        } else if !dst.put_present(&data[..most]) {
            stopped = true;
            return 0;
        }
        bytes += most;
        most
    });
    Some(Ok(Moved { bytes, stopped }))
}

/// Passes received data to `take`, and tells the peer if that has opened its window. Returns the bytes left.
fn consume(st: &mut Stack, id: u32, take: impl FnMut(&[u8]) -> usize) -> usize {
    let (now, memory) = (st.now, &mut st.memory);
    let Some(c) = st.connections.get_mut(id) else { return 0 };
    let opened = c.read(now, memory, take);
    let (left, lo) = (c.tcp().recv_queue(), c.ifc == InterfaceId::Lo);
    match (opened, lo) {
        (true, true) => st.opened(id),
        (true, false) => st.connections.touch(id),
        (false, _) => {}
    }
    left
}

/// Moves as much data as there is room for.
fn send(st: &mut Stack, sid: u32, src: &mut Source<'_>, more: bool, begun: bool) -> Option<Result<Moved>> {
    let now = st.now;
    let (id, more) = match st.sockets.get(sid).map(|s| (&s.kind, s.opts.cork)) {
        Some((&Kind::Conn(id), cork)) => (id, more || cork),
        _ => return Some(Err(pending(st, sid).unwrap_or(Errno::EPIPE))),
    };
    let Some(mut c) = st.connections.get_mut(id) else { return Some(Err(Errno::EPIPE)) };
    if begun && c.error.is_some() {
        return Some(Ok(Moved::default()));
    }
    if let Err(e) = c.take_error() {
        return Some(Err(e));
    }
    let tcp = c.tcp();
    match tcp.state() {
        State::SynSent | State::SynReceived => {
            st.want_room(id);
            return None;
        }
        _ if c.shut_write || !tcp.may_send() => return Some(Err(Errno::EPIPE)),
        _ => {}
    }
    if src.left() == 0 {
        return Some(Ok(Moved::default()));
    }
    let room = c.tcp().room();
    if room == 0 {
        st.want_room(id);
        return None;
    }
    let mut through = 0;
    if c.ifc == InterfaceId::Lo && !more {
        let moved = st.write_through(id, src);
        if moved.stopped || src.left() == 0 {
            return Some(Ok(moved));
        }
        through = moved.bytes;
        let Some(again) = st.connections.get_mut(id) else { return Some(Err(Errno::EPIPE)) };
        c = again;
    }
    let mut moved = c.write(src, room, now, more, &mut st.memory);
    moved.bytes += through;
    let queued = c.tcp().send_queue() > 0;
    if src.left() > 0 {
        st.want_room(id);
    }
    if moved.bytes == 0 && !moved.stopped {
        // No memory. With something in flight, there will be some.
        return if queued { None } else { Some(Err(Errno::ENOBUFS)) };
    }
    if !(more && src.left() == 0 && st.keeps_back(id)) {
        st.connections.touch(id);
    }
    Some(Ok(moved))
}
