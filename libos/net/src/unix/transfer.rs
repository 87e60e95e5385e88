//! Into an inbox and out of it.
//!
//! Nearly all reads and writes of streams are simple: one message that fits, or the only one there is, without
//! descriptors. They have a way of their own here, which leaves everything else to the general one.

use super::core::{Core, OVERHEAD, State};
use super::name;
use super::ops::UnixSocket;
use super::packet::{Extras, PIECE, Packet};
use crate::addr::Addr;
use crate::socket::{Incoming, Msg};
use crate::sockopts::stamp_message;
use alloc::sync::Weak;
use libos_base::abi::{Ucred, sock};
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_base::{Errno, Result};

/// Puts as much of a packet as there is room for: all of that or, as on Linux, nothing. Where several writes share a
/// packet, which they do not there, what could be put counts.
#[inline(always)]
fn put(dst: &mut Sink<'_>, p: &Packet) -> Result<usize> {
    let bytes = p.unread();
    if p.merged {
        return dst.put(bytes);
    }
    dst.put_fitting(bytes)
}

impl UnixSocket {
    /// Reads the only message of a stream. `None`: it is not that simple.
    #[inline]
    pub(super) fn read_simply(&self, dst: &mut Sink<'_>, low: usize) -> Option<Result<usize>> {
        if self.core.kind != sock::STREAM || low > 1 {
            return None;
        }
        let mut s = self.core.state.lock();
        if s.inbox.len() != 1 || s.pass_creds {
            return None;
        }
        let p = s.inbox.front_mut()?;
        if !p.is_plain() {
            return None;
        }
        let n = match put(dst, p) {
            Ok(n) => n,
            Err(e) => return Some(Err(e)),
        };
        p.took(n);
        let (rest, merged) = (p.left(), p.merged);
        s.bytes = s.bytes.saturating_sub(n);
        if rest == 0 {
            s.take_plain();
        }
        let peer = s.peer_gets_room(merged || rest == 0);
        drop(s);
        if let Some(peer) = peer {
            Core::tell(&peer);
        }
        Some(Ok(n))
    }

    /// Writes a message that fits to a stream. `None`: it is not that simple.
    #[inline]
    pub(super) fn write_simply(&self, src: &mut Source<'_>) -> Option<Result<usize>> {
        let n = src.left();
        if self.core.kind != sock::STREAM || n == 0 || n > PIECE {
            return None;
        }
        let to = {
            let s = self.core.state.lock();
            if s.tx_shut || s.hung_up || s.error.is_some() {
                return None;
            }
            s.peer.as_ref().and_then(Weak::upgrade)?
        };
        let creds = self.host.sender(None).ok()?;
        let mut s = to.state.lock();
        if s.rx_shut || s.hung_up || s.bytes + n + OVERHEAD > self.core.limit() {
            return None;
        }
        // What an error leads to is for the general way to find out: nothing was taken.
        s.add(src, n, creds).ok()?;
        drop(s);
        to.pollee.notify(Events::IN | Events::RDNORM);
        Some(Ok(n))
    }

    /// Bytes read, and whether that was the rest of a write; what a packet had besides goes into `gone`, to be dropped
    /// without locks.
    pub(super) fn recv_once(
        &self,
        s: &mut State,
        dst: &mut Sink<'_>,
        msg: &mut Incoming,
        gone: &mut Option<Extras>,
    ) -> Result<(usize, bool)> {
        let peek = msg.flags.contains(Msg::PEEK);
        let stream = self.core.kind == sock::STREAM;
        let (mut total, mut i, mut whole, mut fault) = (0, 0, false, false);
        let stamp = s.stamp;
        let mut first: Option<Ucred> = None;
        while let Some(p) = s.inbox.get_mut(i) {
            // Descriptors and changes of sender are boundaries in a stream.
            if total > 0 && (!p.extras.files.is_empty() || first.is_some_and(|c| c != p.creds)) {
                break;
            }
            first = Some(p.creds);
            let n = match put(dst, p) {
                Ok(n) => n,
                // As on Linux, what was sent as one is lost as one.
                Err(_) if !stream => {
                    fault = true;
                    0
                }
                Err(e) if total == 0 => return Err(e),
                Err(_) => break,
            };
            total += n;
            whole |= p.merged;
            let files = &mut p.extras.files;
            let has_files = !files.is_empty();
            if has_files {
                msg.files = if peek { files.copy() } else { files.take() };
            }
            let left = p.left() - n;
            if !stream {
                if stamp != 0 {
                    let at = if p.time != 0 { p.time } else { libos_base::time::realtime_ns() };
                    msg.control.push(stamp_message(stamp, at));
                }
                msg.full_len = Some(p.size());
                if left > 0 {
                    msg.out_flags |= Msg::TRUNC;
                    if msg.flags.contains(Msg::TRUNC) {
                        total = p.size();
                    }
                }
                if self.dgram() {
                    msg.from = name::encode(p.extras.from.as_deref());
                    if p.extras.from.is_none() {
                        msg.from = Addr::none();
                    }
                }
            }
            if peek {
                i += 1;
            } else if left == 0 || !stream {
                s.bytes = s.bytes.saturating_sub(p.left() + OVERHEAD);
                *gone = s.take_first();
                whole = true;
            } else {
                p.took(n);
                s.bytes = s.bytes.saturating_sub(n);
            }
            if !stream || has_files || dst.left() == 0 {
                break;
            }
        }
        if s.pass_creds {
            msg.creds = first;
        }
        if fault { Err(Errno::EFAULT) } else { Ok((total, whole)) }
    }
}
