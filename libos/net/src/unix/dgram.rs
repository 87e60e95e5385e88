//! What only datagram sockets have: senders are charged for what their receivers have not taken, queues are short, and
//! peers can change.

use super::core::{Core, OVERHEAD, State};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use libos_base::Errno;
use libos_base::abi::sock;
use libos_base::poll::Events;

/// net.unix.max_dgram_qlen: for senders that the receiver is not connected to.
const QUEUE: usize = 10;

/// A datagram's share of its sender's buffer. Given back when the datagram is dropped, wherever that is, but with no
/// core locked, since the sender is notified.
pub struct Charge {
    sender: Weak<Core>,
    cost: usize,
}

impl Charge {
    pub fn new(sender: &Arc<Core>, cost: usize) -> Self {
        sender.sent.fetch_add(cost, Ordering::SeqCst);
        Self { sender: Arc::downgrade(sender), cost }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(c) = self.sender.upgrade() else { return };
        c.sent.fetch_sub(self.cost, Ordering::SeqCst);
        if c.little_sent() && (c.short.swap(false, Ordering::SeqCst) || c.edges.load(Ordering::Relaxed)) {
            c.pollee.notify(Events::OUT | Events::WRNORM);
        }
    }
}

impl State {
    /// Whether the queue accepts nothing more from `from`, which then waits for it to shrink.
    pub fn queue_full(&mut self, from: &Arc<Core>) -> bool {
        let full = self.inbox.len() > QUEUE && !self.is_peer(from);
        if full
            && !self.waiting.iter().any(|w| core::ptr::eq(w.as_ptr(), Arc::as_ptr(from)))
            && self.waiting.try_reserve(1).is_ok()
        {
            self.waiting.push(Arc::downgrade(from));
        }
        full
    }

    /// Whom to notify after something was taken from the queue.
    pub fn queue_shrank(&mut self) -> Vec<Weak<Core>> {
        if self.inbox.len() <= QUEUE { core::mem::take(&mut self.waiting) } else { Vec::new() }
    }
}

impl Core {
    fn little_sent(&self) -> bool {
        self.sent.load(Ordering::SeqCst) * 4 <= self.limit()
    }

    /// Whether it may send, as poll sees it. If not, it is marked as waiting.
    pub fn may_send(&self) -> bool {
        // Checked again, since something may have been taken before the mark was seen.
        self.little_sent() || {
            self.short.store(true, Ordering::SeqCst);
            self.little_sent()
        }
    }

    /// Whether it cannot send `len` more bytes now. If so, it is marked as waiting.
    pub fn owes_too_much(&self, len: usize) -> bool {
        let over = || {
            let sent = self.sent.load(Ordering::SeqCst);
            sent > 0 && sent + len + OVERHEAD > self.limit()
        };
        over() && {
            self.short.store(true, Ordering::SeqCst);
            over()
        }
    }

    /// A datagram went nowhere: notifies edge-triggered watchers that there is room.
    pub fn tell_watchers(&self) {
        if self.kind == sock::DGRAM && self.edges.load(Ordering::Relaxed) && self.little_sent() {
            self.pollee.notify(Events::OUT | Events::WRNORM);
        }
    }

    /// Connects to a peer, or to none. Discards what the old peer sent, and reports that to it if it is still connected
    /// to us.
    pub fn set_peer(self: &Arc<Self>, to: Option<&Arc<Core>>, name: Option<Vec<u8>>) {
        let (old, unread, waiting) = {
            let mut s = self.state.lock();
            s.was_connected |= to.is_some();
            s.peer_name = name;
            let old = core::mem::replace(&mut s.peer, to.map(Arc::downgrade));
            let Some(old) = old.filter(|old| to.is_none_or(|to| !core::ptr::eq(old.as_ptr(), Arc::as_ptr(to)))) else {
                return;
            };
            s.bytes = 0;
            (old, core::mem::take(&mut s.inbox), core::mem::take(&mut s.waiting))
        };
        if !unread.is_empty()
            && let Some(old) = old.upgrade()
        {
            let mut s = old.state.lock();
            if s.is_peer(self) {
                s.error = Some(Errno::ECONNRESET);
                drop(s);
                old.pollee.notify(Events::ERR);
            }
        }
        waiting.iter().for_each(Self::tell);
    }
}
