//! One notification of the card for several answers.
//!
//! A notification leaves the guest, which costs as much as a small request. A server that is given several ready
//! connections at once answers them one after the other and then waits again: it is enough to send when half of them are
//! answered, so that the peers have something to do, and when the server waits. One that is given a single connection
//! writes a header, then what follows it, and perhaps closes: that is sent when it waits or turns to another one. Nobody
//! can know that it will not compute for long instead, so an answer is put off only if
//! [`Hooks::later`](crate::config::Hooks::later) is going to see to it, and only for the thread that epoll gave the
//! connections to.
//!
//! Segments are made when they are sent, so an answer in several writes and the end of its connection are one.

use crate::net::Net;
use crate::sleeper::LATER;
use crate::stack::Stack;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::poll;
use libos_base::thread;

/// Most answers held back.
const MOST: usize = 8;

/// See the module.
pub(crate) struct Batch {
    /// The thread that serves what was ready.
    server: AtomicUsize,
    /// After how many answers it sends; 0: nobody does.
    every: AtomicUsize,
}

impl Batch {
    pub const fn new() -> Self {
        Self { server: AtomicUsize::new(0), every: AtomicUsize::new(0) }
    }
}

fn me() -> usize {
    Arc::as_ptr(&thread::current()).cast::<()>() as usize
}

impl Net {
    /// See [`poll::Front::serve`].
    pub fn serve(&self, ready: usize) {
        let every = if ready > 0 { (ready / 2).clamp(1, MOST) } else { 0 };
        if every > 0 {
            self.batch.server.store(me(), Relaxed);
        }
        self.batch.every.store(every, Relaxed);
    }

    /// See [`poll::Front::holds`].
    pub fn holds(&self) -> bool {
        self.batch.every.load(Relaxed) > 0 && self.batch.server.load(Relaxed) == me() && self.hooks().later(LATER)
    }

    /// After a call: whether what there is to send waits for the answers to come.
    pub(crate) fn puts_off(&self, stack: &mut Stack) -> bool {
        let (every, dirty) = (self.batch.every.load(Relaxed), stack.connections.dirty_len());
        if every == 0 || stack.hurries() {
            return false;
        }
        let yes = match stack.connections.touched() {
            // Its next call may add to the same connection's segment.
            true => dirty <= every && poll::holds(),
            false => dirty < every && stack.egress.put_off,
        };
        stack.egress.put_off = yes;
        yes
    }
}
