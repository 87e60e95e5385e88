//! One end of an AF_UNIX connection, or a datagram socket.

use super::rights::Rights;
use crate::socket::{Creds, SOCK_DGRAM, SOCK_STREAM};
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use libos_base::file::FileLike;
use libos_base::poll::{Events, Pollee};
use libos_base::sync::Mutex;
use libos_base::{Errno, Result};

/// What may wait in an inbox, unless SO_SNDBUF of the sender says otherwise.
pub const LIMIT: usize = crate::sockopts::BUF_DEFAULT as usize;
/// Charged for each packet beside its data.
pub const OVERHEAD: usize = 64;
/// net.unix.max_dgram_qlen: for senders that the receiver is not connected to.
const QUEUE: usize = 10;
/// Stream data is gathered in pieces of this size.
const PIECE: usize = 16 << 10;

/// Data in flight.
pub struct Packet {
    pub data: Vec<u8>,
    /// How much of it a stream reader has taken.
    pub at: usize,
    pub files: Rights,
    pub from: Option<Vec<u8>>,
    pub creds: Creds,
    /// When it was sent, if the receiver wants to know.
    pub time: u64,
}

/// A listener's part.
pub struct Backlog {
    pub limit: usize,
    pub queue: VecDeque<Arc<Core>>,
}

/// What the lock protects.
#[derive(Default)]
pub struct State {
    pub name: Option<Vec<u8>>,
    pub peer: Option<Weak<Core>>,
    /// The peer's name, for getpeername after it has gone.
    pub peer_name: Option<Vec<u8>>,
    pub was_connected: bool,
    pub inbox: VecDeque<Packet>,
    pub bytes: usize,
    pub backlog: Option<Backlog>,
    pub rx_shut: bool,
    pub tx_shut: bool,
    /// The peer has closed or shut its writing side.
    pub ended: bool,
    /// The peer has closed.
    pub hung_up: bool,
    pub error: Option<Errno>,
    pub pass_creds: bool,
    /// Which SO_TIMESTAMP option is on; 0: none.
    pub stamp: u8,
    pub peer_creds: Option<Creds>,
    /// Senders that found the inbox full.
    pub waiting: Vec<Weak<Core>>,
}

/// See the module.
pub struct Core {
    pub kind: u32,
    pub pollee: Pollee,
    /// SO_SNDBUF: what a sender may leave in an inbox.
    pub sndbuf: AtomicUsize,
    pub state: Mutex<State>,
}

impl Core {
    /// An unconnected one.
    pub fn new(kind: u32) -> Arc<Self> {
        let sndbuf = AtomicUsize::new(LIMIT);
        Arc::new(Self { kind, pollee: Pollee::new(), sndbuf, state: Mutex::new(State::default()) })
    }

    /// Joins two.
    pub fn join(a: &Arc<Core>, b: &Arc<Core>, creds: Creds) {
        for (x, y) in [(a, b), (b, a)] {
            let mut s = x.state.lock();
            s.peer = Some(Arc::downgrade(y));
            s.peer_creds = Some(creds);
            s.was_connected = true;
        }
    }

    /// The other end. ENOTCONN: never had one; EPIPE or ECONNREFUSED: it has gone.
    pub fn peer(&self) -> Result<Arc<Core>> {
        let mut s = self.state.lock();
        let peer = s.peer.as_ref().ok_or(Errno::ENOTCONN)?.upgrade();
        if peer.is_none() && self.kind == SOCK_DGRAM {
            if s.tx_shut {
                return Err(Errno::EPIPE);
            }
            // Said once: afterwards it is not connected.
            s.peer = None;
            return Err(Errno::ECONNREFUSED);
        }
        peer.ok_or(Errno::EPIPE)
    }

    /// Whether this inbox takes another packet from `from`.
    fn full_for(&self, s: &State, from: &Arc<Core>, more: usize) -> bool {
        if s.bytes > 0 && s.bytes + more + OVERHEAD > from.limit() {
            return true;
        }
        let mutual = s.peer.as_ref().is_some_and(|p| core::ptr::eq(p.as_ptr(), Arc::as_ptr(from)));
        self.kind == SOCK_DGRAM && !mutual && s.inbox.len() > QUEUE
    }

    /// SO_SNDBUF.
    pub fn limit(&self) -> usize {
        self.sndbuf.load(Ordering::Relaxed)
    }

    /// Puts a packet, or as much of a stream as fits, into this inbox. `None`: full; the sender will be told when
    /// that changes. `fill` writes the data.
    pub fn deliver(
        self: &Arc<Self>,
        from: &Arc<Core>,
        len: usize,
        files: Option<Vec<Arc<dyn FileLike>>>,
        name: Option<Vec<u8>>,
        creds: Creds,
        fill: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Option<Result<usize>> {
        // Before the lock, so that it is dropped after it.
        let files = match Rights::new(files.unwrap_or_default()) {
            Ok(f) => f,
            Err(e) => return Some(Err(e)),
        };
        let mut s = self.state.lock();
        if s.rx_shut || (self.kind != SOCK_DGRAM && s.hung_up) {
            return Some(Err(Errno::EPIPE));
        }
        let stream = self.kind == SOCK_STREAM;
        let n = if stream { len.min(from.limit().saturating_sub(s.bytes)).min(PIECE) } else { len };
        if (stream && n == 0 && len > 0) || self.full_for(&s, from, if stream { 0 } else { len }) {
            if s.waiting.try_reserve(1).is_ok()
                && !s.waiting.iter().any(|w| core::ptr::eq(w.as_ptr(), Arc::as_ptr(from)))
            {
                s.waiting.push(Arc::downgrade(from));
            }
            return None;
        }
        let append = stream
            && files.is_empty()
            && s.inbox.back().is_some_and(|p| p.files.is_empty() && p.data.len() + n <= PIECE && p.creds == creds);
        let mut fresh = Vec::new();
        let (data, old) = if append {
            let p = s.inbox.back_mut()?;
            let old = p.data.len();
            (&mut p.data, old)
        } else {
            (&mut fresh, 0)
        };
        if data.try_reserve(n).is_err() {
            return Some(Err(Errno::ENOBUFS));
        }
        data.resize(old + n, 0);
        let got = match fill(&mut data[old..]) {
            Ok(got) => got,
            Err(e) => {
                data.truncate(old);
                return Some(Err(e));
            }
        };
        data.truncate(old + got);
        let mut cost = got;
        if !append {
            if s.inbox.try_reserve(1).is_err() {
                return Some(Err(Errno::ENOBUFS));
            }
            let time = if s.stamp != 0 { libos_base::time::realtime_ns() } else { 0 };
            s.inbox.push_back(Packet { data: fresh, at: 0, files, from: name, creds, time });
            cost += OVERHEAD;
        }
        s.bytes += cost;
        drop(s);
        self.pollee.notify(Events::IN | Events::RDNORM);
        Some(Ok(got))
    }

    /// After a reader has taken from the inbox: whom to tell about the room.
    pub fn freed(s: &mut State) -> Vec<Weak<Core>> {
        if s.bytes * 4 <= LIMIT { core::mem::take(&mut s.waiting) } else { Vec::new() }
    }

    /// Tells senders that there is room.
    pub fn tell(waiting: Vec<Weak<Core>>) {
        for w in waiting.iter().filter_map(Weak::upgrade) {
            w.pollee.notify(Events::OUT | Events::WRNORM);
        }
    }

    /// This end is closed (or, with `only_writing`, will write no more).
    pub fn leave(&self, only_writing: bool) {
        // Dropped at the end: a socket in the inbox may be this one's own peer, which takes this lock when it is closed.
        let mut inbox = VecDeque::new();
        let (peer, unread, backlog, waiting, name) = {
            let mut s = self.state.lock();
            let peer = s.peer.as_ref().and_then(Weak::upgrade);
            if only_writing {
                (peer, false, None, Vec::new(), None)
            } else {
                s.rx_shut = true;
                s.tx_shut = true;
                let unread = !s.inbox.is_empty();
                core::mem::swap(&mut inbox, &mut s.inbox);
                (peer, unread, s.backlog.take(), core::mem::take(&mut s.waiting), s.name.clone())
            }
        };
        if let Some(n) = name {
            super::name::release(&n);
        }
        if let Some(p) = peer
            && self.kind != SOCK_DGRAM
        {
            let mut s = p.state.lock();
            s.ended = true;
            if !only_writing {
                s.hung_up = true;
                if unread {
                    s.error = Some(Errno::ECONNRESET);
                }
            }
            drop(s);
            p.pollee.notify(Events::IN | Events::OUT | Events::RDHUP | Events::HUP);
        }
        Self::tell(waiting);
        // Whoever waits to be accepted is turned away.
        for c in backlog.into_iter().flat_map(|b| b.queue) {
            if let Ok(p) = c.peer() {
                let mut s = p.state.lock();
                (s.ended, s.hung_up, s.error) = (true, true, Some(Errno::ECONNRESET));
                drop(s);
                p.pollee.notify(Events::IN | Events::OUT | Events::RDHUP | Events::HUP);
            }
        }
    }
}
