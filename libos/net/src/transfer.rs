//! TCP data between the program and smoltcp's buffers: one attempt each, under the stack's lock. Bytes are copied once.

use crate::socket::Msg;
use crate::stack::Stack;
use crate::stack::conn::Conn;
use crate::stack::sock::Kind;
use crate::tcp::conn_of;
use alloc::vec::Vec;
use libos_base::io::{Sink, Source};
use libos_base::{Errno, Result};
use smoltcp::socket::tcp::State;

/// Reads the first bytes of a receive buffer without taking them.
fn peek(c: &mut Conn, dst: &mut Sink<'_>) -> Result<usize> {
    let mut chunk = [0u8; 2048];
    let mut data = Vec::new();
    let want = dst.left().min(c.tcp().recv_queue());
    let buf = if want <= chunk.len() {
        &mut chunk[..want]
    } else {
        data.try_reserve_exact(want)?;
        data.resize(want, 0);
        &mut data[..]
    };
    let n = c.tcp_mut().peek_slice(buf).unwrap_or(0);
    dst.put(&buf[..n])
}

/// The error of a socket that has no connection any more, once.
fn pending(st: &mut Stack, sid: u32) -> Option<Errno> {
    st.sock(sid).ok()?.error.take()
}

/// What is read without a connection.
fn unconnected(st: &mut Stack, sid: u32) -> Result<usize> {
    let s = st.sock(sid)?;
    match s.error.take() {
        Some(e) => Err(e),
        None if s.shut.0 && matches!(s.kind, Kind::Idle) => Ok(0),
        None => Err(Errno::ENOTCONN),
    }
}

/// One attempt to receive. `None`: nothing yet.
pub(crate) fn try_recv(st: &mut Stack, sid: u32, dst: &mut Sink<'_>, flags: Msg) -> Option<Result<usize>> {
    let Some((id, c)) = conn_of(st, sid) else { return Some(unconnected(st, sid)) };
    let before = c.tcp().recv_queue();
    if before > 0 && !matches!(c.tcp().state(), State::SynReceived) {
        if dst.left() == 0 {
            return Some(Ok(0));
        }
        if flags.contains(Msg::PEEK) {
            return Some(peek(c, dst));
        }
        let mut total = 0;
        let mut error = None;
        while dst.left() > 0 && c.tcp().recv_queue() > 0 {
            let n = c.tcp_mut().recv(|data| {
                let r = if flags.contains(Msg::TRUNC) { Ok(data.len().min(dst.left())) } else { dst.put(data) };
                let n = r.unwrap_or(0);
                error = r.err();
                if flags.contains(Msg::TRUNC) {
                    dst.limit(dst.left() - n);
                }
                (n, n)
            });
            match n {
                Ok(n) if n > 0 => total += n,
                _ => break,
            }
        }
        c.has_read();
        // The window may have grown enough to be worth telling.
        if before * 4 >= c.tcp().recv_capacity() {
            st.connections.touch(id);
        }
        return Some(match error {
            Some(e) if total == 0 => Err(e),
            _ => Ok(total),
        });
    }
    // EPIPE: it was reset after the peer's FIN. The stream has ended all the same, and the error stays for writers.
    if c.error == Some(Errno::EPIPE) {
        return Some(Ok(0));
    }
    if let Err(e) = c.take_error() {
        return Some(Err(e));
    }
    match c.tcp().state() {
        _ if c.receive.shut => Some(Ok(0)),
        State::SynSent | State::SynReceived => None,
        _ if c.rx_ended() => Some(Ok(0)),
        _ => None,
    }
}

/// One attempt to send. `None`: no room.
pub(crate) fn try_send(st: &mut Stack, sid: u32, src: &mut Source<'_>, more: bool) -> Option<Result<usize>> {
    let now = st.now;
    let Some((id, c)) = conn_of(st, sid) else { return Some(Err(pending(st, sid).unwrap_or(Errno::EPIPE))) };
    if let Err(e) = c.take_error() {
        return Some(Err(e));
    }
    match c.tcp().state() {
        State::SynSent | State::SynReceived => {
            c.send.want_room = true;
            return None;
        }
        _ if c.send.shut || !c.tcp().may_send() => return Some(Err(Errno::EPIPE)),
        _ => {}
    }
    if src.left() == 0 {
        return Some(Ok(0));
    }
    c.owes_from(now);
    let room = c.room();
    if room == 0 {
        c.send.want_room = true;
        return None;
    }
    let r = c.write(src, room, now, more);
    if src.left() > 0 {
        c.send.want_room = true;
    }
    st.connections.touch(id);
    Some(r)
}
