//! One end of an AF_UNIX connection, or a datagram socket.

use super::dgram::Charge;
use super::packet::{Extras, PIECE, Packet};
use super::rights::Rights;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use libos_base::abi::{Ucred, sock};
use libos_base::file::FileLike;
use libos_base::io::Source;
use libos_base::poll::{Events, Pollee};
use libos_base::sync::{Mutex, class};
use libos_base::{Errno, Result};

/// Most bytes waiting in an inbox, unless the sender's SO_SNDBUF says otherwise.
pub const LIMIT: usize = crate::sockopts::BUF_DEFAULT as usize;
/// Charged for each packet in addition to its data.
pub const OVERHEAD: usize = 64;

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
    pub inbox: VecDeque<Box<Packet>>,
    /// A packet that was taken, for the next bytes.
    pub spare: Option<Box<Packet>>,
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
    #[inline]
    pub fn peer_gets_room(&mut self, whole: bool) -> Option<Weak<Core>> {
        if self.peer_waits || self.peer_edges && whole { self.waiting_peer() } else { None }
    }
    fn waiting_peer(&mut self) -> Option<Weak<Core>> {
        let peer = self.peer.as_ref().filter(|p| p.upgrade().is_some_and(|p| self.bytes * 4 <= p.limit()))?;
        self.peer_waits = false;
        Some(peer.clone())
    }

    /// Takes the first packet out, whose bytes have been read, and returns what else it had.
    pub fn take_first(&mut self) -> Option<Extras> {
        let mut packet = self.inbox.pop_front()?;
        let extras = core::mem::replace(&mut packet.extras, Extras::none());
        packet.keep(&mut self.spare);
        Some(extras)
    }

    /// The same for one that [is plain](Packet::is_plain).
    #[inline(always)]
    pub fn take_plain(&mut self) {
        self.bytes = self.bytes.saturating_sub(OVERHEAD);
        if let Some(packet) = self.inbox.pop_front() {
            packet.keep(&mut self.spare);
        }
    }

    /// Adds the next `n` bytes of a stream to the last packet, if that comes from the same sender, or else as a packet
    /// of their own. ENOBUFS; EFAULT: none were added.
    #[inline(always)]
    pub fn add(&mut self, src: &mut Source<'_>, n: usize, creds: Ucred) -> Result<()> {
        if let Some(p) = self.inbox.back_mut()
            && p.joins(n, &creds)
        {
            p.add(src, n)?;
            p.merged = true;
            self.bytes += n;
            return Ok(());
        }
        let mut p = self.empty_packet(creds)?;
        p.add(src, n)?;
        self.inbox.push_back(p);
        self.bytes += n + OVERHEAD;
        Ok(())
    }

    /// An empty packet, for which there is a place in the inbox. ENOBUFS.
    #[inline(always)]
    pub fn empty_packet(&mut self, creds: Ucred) -> Result<Box<Packet>> {
        if self.inbox.len() == self.inbox.capacity() {
            self.inbox.try_reserve(1).map_err(|_| Errno::ENOBUFS)?;
        }
        Packet::empty(&mut self.spare, creds)
    }

    /// Whether `c` is the peer.
    pub fn is_peer(&self, c: &Arc<Core>) -> bool {
        self.peer.as_ref().is_some_and(|p| core::ptr::eq(p.as_ptr(), Arc::as_ptr(c)))
    }
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
        let joins = |p: &mut Box<Packet>| stream && files.is_empty() && p.joins(n, &creds);
        let (got, cost) = if let Some(p) = s.inbox.back_mut()
            && joins(p)
        {
            p.merged = true;
            match p.fill(n, fill) {
                Ok(got) => (got, got),
                Err(e) => return Some(Err(e)),
            }
        } else {
            let mut p = match s.empty_packet(creds) {
                Ok(p) => p,
                Err(e) => return Some(Err(e)),
            };
            let got = match p.fill(n, fill) {
                Ok(got) => got,
                Err(e) => return Some(Err(e)),
            };
            p.time = if s.stamp != 0 { libos_base::time::realtime_ns() } else { 0 };
            p.extras = Extras { files, from: name, charge: dgram.then(|| Charge::new(from, got + OVERHEAD)) };
            s.inbox.push_back(p);
            (got, got + OVERHEAD)
        };
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
            s.inbox.front().map_or(0, |p| p.left())
        } else {
            s.inbox.iter().map(|p| p.left()).sum()
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
