//! One end of an AF_UNIX connection, or a datagram socket.

use super::dgram::Charge;
use super::rights::Rights;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use libos_base::abi::{Ucred, sock};
use libos_base::file::FileLike;
use libos_base::poll::{Events, Pollee};
use libos_base::sync::{Mutex, class};
use libos_base::{Errno, Result, memory};

/// Most bytes waiting in an inbox, unless the sender's SO_SNDBUF says otherwise.
pub const LIMIT: usize = crate::sockopts::BUF_DEFAULT as usize;
/// Charged for each packet in addition to its data.
pub const OVERHEAD: usize = 64;
/// Stream data is gathered in pieces of this size.
const PIECE: usize = 16 << 10;
/// Memory of this size is kept for the next packet.
const SPARE: usize = 1024;

/// Data in flight.
pub struct Packet {
    pub data: Vec<u8>,
    /// How much of it a stream reader has consumed.
    pub at: usize,
    pub files: Rights,
    pub from: Option<Vec<u8>>,
    pub creds: Ucred,
    /// When it was sent, if the receiver wants to know.
    pub time: u64,
    /// It holds more than one write to a stream.
    pub merged: bool,
    /// What a datagram is charged to its sender until it is taken.
    pub _charge: Option<Charge>,
}

impl Packet {
    /// Whether it has no memory except for its bytes.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.files.is_nothing() && self.from.is_none() && self._charge.is_none()
    }
    /// Bytes that no reader has taken yet.
    pub fn left(&self) -> usize {
        self.data.len() - self.at
    }
}

/// The state of a listening socket.
pub struct Backlog {
    pub limit: usize,
    /// Somebody is waiting for room in it.
    pub short: bool,
    pub queue: VecDeque<Arc<Core>>,
}

#[derive(Default)]
pub struct State {
    pub name: Option<Vec<u8>>,
    pub peer: Option<Weak<Core>>,
    /// The peer's name, for getpeername after it is gone.
    pub peer_name: Option<Vec<u8>>,
    pub was_connected: bool,
    pub inbox: VecDeque<Packet>,
    /// The memory of a small packet that was taken, for the next one.
    pub spare: Vec<u8>,
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
    pub peer_creds: Option<Ucred>,
    /// The peer found the inbox full.
    pub peer_waits: bool,
    /// The peer's `edges`.
    pub peer_edges: bool,
    /// Senders of datagrams that found the queue full.
    pub waiting: Vec<Weak<Core>>,
}

impl State {
    /// Called after a read, `whole` if it consumed the rest of a write. Returns the peer if it should be notified of
    /// the room.
    pub fn peer_gets_room(&mut self, whole: bool) -> Option<Weak<Core>> {
        if !(self.peer_waits || self.peer_edges && whole) {
            return None;
        }
        let peer = self.peer.as_ref().filter(|p| p.upgrade().is_some_and(|p| self.bytes * 4 <= p.limit()))?;
        self.peer_waits = false;
        Some(peer.clone())
    }

    /// Takes the first packet out, of which nothing is left but memory for the next one: it [is plain](Packet::is_plain).
    #[inline(always)]
    pub fn take_plain(&mut self) {
        self.bytes = self.bytes.saturating_sub(OVERHEAD);
        if let Some(packet) = self.inbox.front_mut() {
            let mut data = core::mem::take(&mut packet.data);
            data.clear();
            if data.capacity() <= SPARE {
                self.spare = data;
            }
        }
        // So there is nothing to drop.
        core::mem::forget(self.inbox.pop_front());
    }

    /// Adds bytes of a stream to the last packet, if that comes from the same sender, or else as a packet of their own.
    /// False: no memory.
    #[inline(always)]
    pub fn add(&mut self, bytes: &[u8], creds: Ucred) -> bool {
        let joins = |p: &&mut Packet| p.files.is_empty() && p.data.len() + bytes.len() <= PIECE && p.creds == creds;
        if let Some(p) = self.inbox.back_mut().filter(joins) {
            if !grow(&mut p.data, bytes.len()) {
                return false;
            }
            p.data.extend_from_slice(bytes);
            p.merged = true;
            self.bytes += bytes.len();
            return true;
        }
        let mut data = core::mem::take(&mut self.spare);
        let full = self.inbox.len() == self.inbox.capacity();
        if !grow(&mut data, bytes.len()) || full && self.inbox.try_reserve(1).is_err() {
            return false;
        }
        data.extend_from_slice(bytes);
        let (files, from, time, merged, _charge) = (Rights::none(), None, 0, false, None);
        self.inbox.push_back(Packet { data, at: 0, files, from, creds, time, merged, _charge });
        self.bytes += bytes.len() + OVERHEAD;
        true
    }

    /// Keeps the memory of a packet that was taken, if it is small.
    pub fn keep_spare(&mut self, packet: &mut Packet) {
        if packet.data.capacity() <= SPARE {
            self.spare = core::mem::take(&mut packet.data);
            self.spare.clear();
        }
    }

    /// Whether `c` is the peer.
    pub fn is_peer(&self, c: &Arc<Core>) -> bool {
        self.peer.as_ref().is_some_and(|p| core::ptr::eq(p.as_ptr(), Arc::as_ptr(c)))
    }
}

/// Makes room for `n` more bytes. False: no memory, but for the kernel's reserve.
#[inline]
fn grow(data: &mut Vec<u8>, n: usize) -> bool {
    data.capacity() - data.len() >= n || memory::check().is_ok() && data.try_reserve(n).is_ok()
}

/// See the module.
pub struct Core {
    pub kind: u32,
    pub pollee: Pollee,
    /// SO_SNDBUF: how much a sender may leave in an inbox.
    pub sndbuf: AtomicUsize,
    /// What a datagram socket has sent that nobody has taken yet; and whether it is waiting for that to shrink.
    pub sent: AtomicUsize,
    pub short: AtomicBool,
    /// Watchers of room at this end are notified each time something was taken: [`Core::tell_edges`].
    pub edges: AtomicBool,
    pub state: Mutex<State>,
}

impl Core {
    /// An unconnected one.
    pub fn new(kind: u32) -> Arc<Self> {
        Arc::new(Self {
            kind,
            pollee: Pollee::new(),
            sndbuf: AtomicUsize::new(LIMIT),
            sent: AtomicUsize::new(0),
            short: AtomicBool::new(false),
            edges: AtomicBool::new(false),
            state: Mutex::new(class::UNIX_SOCKET, State::default()),
        })
    }

    /// Connects two cores.
    pub fn join(a: &Arc<Core>, b: &Arc<Core>, creds: Ucred) {
        for (x, y) in [(a, b), (b, a)] {
            let mut s = x.state.lock();
            s.peer = Some(Arc::downgrade(y));
            s.peer_creds = Some(creds);
            s.was_connected = true;
        }
    }

    /// The other end. ENOTCONN: there never was one; EPIPE or ECONNREFUSED: it is gone.
    pub fn peer(self: &Arc<Self>) -> Result<Arc<Core>> {
        let s = self.state.lock();
        let peer = s.peer.as_ref().ok_or(Errno::ENOTCONN)?.upgrade();
        if peer.is_none() && self.kind == sock::DGRAM {
            if s.tx_shut {
                return Err(Errno::EPIPE);
            }
            // Reported once: after that it is not connected.
            drop(s);
            self.set_peer(None, None);
            return Err(Errno::ECONNREFUSED);
        }
        peer.ok_or(Errno::EPIPE)
    }

    /// SO_SNDBUF.
    pub fn limit(&self) -> usize {
        self.sndbuf.load(Ordering::Relaxed)
    }

    /// Puts a packet, or as much of a stream as fits, into this inbox. `None`: it is full; the sender will be notified
    /// when that changes. `fill` writes the data.
    pub fn deliver(
        self: &Arc<Self>,
        from: &Arc<Core>,
        len: usize,
        files: Option<Vec<Arc<dyn FileLike>>>,
        name: Option<Vec<u8>>,
        creds: Ucred,
        fill: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Option<Result<usize>> {
        // Declared before the lock is taken, so that it is dropped after the lock.
        let files = match Rights::new(files.unwrap_or_default()) {
            Ok(f) => f,
            Err(e) => return Some(Err(e)),
        };
        let mut s = self.state.lock();
        let (dgram, stream) = (self.kind == sock::DGRAM, self.kind == sock::STREAM);
        // A socket with a peer takes datagrams from nobody else.
        if dgram && s.peer.is_some() && !s.is_peer(from) {
            return Some(Err(Errno::EPERM));
        }
        if s.rx_shut || (!dgram && s.hung_up) {
            return Some(Err(Errno::EPIPE));
        }
        let n = if stream { len.min(from.limit().saturating_sub(s.bytes)).min(PIECE) } else { len };
        if dgram {
            if from.owes_too_much(len) || s.queue_full(from) {
                return None;
            }
        } else if (stream && n == 0 && len > 0)
            || (s.bytes > 0 && s.bytes + if stream { 0 } else { n } + OVERHEAD > from.limit())
        {
            s.peer_waits = true;
            return None;
        }
        let append = stream
            && files.is_empty()
            && s.inbox.back().is_some_and(|p| p.files.is_empty() && p.data.len() + n <= PIECE && p.creds == creds);
        let mut fresh = if append { Vec::new() } else { core::mem::take(&mut s.spare) };
        let (data, old) = if append {
            let p = s.inbox.back_mut()?;
            let old = p.data.len();
            p.merged = true;
            (&mut p.data, old)
        } else {
            (&mut fresh, 0)
        };
        if !grow(data, n) {
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
            cost += OVERHEAD;
            let charge = dgram.then(|| Charge::new(from, cost));
            s.inbox.push_back(Packet {
                data: fresh,
                at: 0,
                files,
                from: name,
                creds,
                time,
                merged: false,
                _charge: charge,
            });
        }
        s.bytes += cost;
        drop(s);
        self.pollee.notify(Events::IN | Events::RDNORM);
        Some(Ok(got))
    }

    /// Notifies a sender that there is room.
    pub fn tell(sender: &Weak<Core>) {
        if let Some(c) = sender.upgrade() {
            c.pollee.notify(Events::OUT | Events::WRNORM);
        }
    }

    /// FIONREAD: what is waiting here; of datagrams only the next one.
    pub fn unread(&self) -> Result<usize> {
        let s = self.state.lock();
        if s.backlog.is_some() {
            return Err(Errno::EINVAL);
        }
        Ok(if self.kind == sock::DGRAM {
            s.inbox.front().map_or(0, Packet::left)
        } else {
            s.inbox.iter().map(Packet::left).sum()
        })
    }

    /// TIOCOUTQ: what was sent and not taken yet.
    pub fn untaken(&self) -> usize {
        if self.kind == sock::DGRAM {
            return self.sent.load(Ordering::SeqCst);
        }
        let peer = self.state.lock().peer.as_ref().and_then(Weak::upgrade);
        peer.map_or(0, |p| p.state.lock().bytes)
    }

    /// From now on, watchers of this end are notified whenever something it sent was taken, even if there was room
    /// before: edge-triggered programs that alternate between writing and waiting rely on that.
    pub fn tell_edges(&self) {
        self.edges.store(true, Ordering::SeqCst);
        let peer = self.state.lock().peer.as_ref().and_then(Weak::upgrade);
        if let Some(p) = peer {
            p.state.lock().peer_edges = true;
        }
    }

    /// Closes this end or, with `only_writing`, ends its writing.
    pub fn leave(&self, only_writing: bool) {
        // Dropped at the end: a socket in the inbox may be this one's own peer, which takes this lock when it is
        // closed.
        let mut inbox = VecDeque::new();
        let (peer, unread, backlog, waiting, name) = {
            let mut s = self.state.lock();
            let peer = s.peer.as_ref().and_then(Weak::upgrade);
            if only_writing {
                (peer, false, None, Vec::new(), None)
            } else {
                s.rx_shut = true;
                s.tx_shut = true;
                // An empty packet at the front counts as read (Linux's unix_release_sock()).
                let first = s.inbox.front().is_some_and(|p| p.left() == 0);
                let unread = s.inbox.len() > usize::from(first);
                core::mem::swap(&mut inbox, &mut s.inbox);
                (peer, unread, s.backlog.take(), core::mem::take(&mut s.waiting), s.name.clone())
            }
        };
        if let Some(n) = name {
            super::name::release(&n);
        }
        if let Some(p) = peer
            && self.kind != sock::DGRAM
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
        waiting.iter().for_each(Self::tell);
        // Connections waiting to be accepted are refused.
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
