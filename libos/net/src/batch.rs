//! One notification of the card for several answers.
//!
//! A notification leaves the guest, which costs as much as a small request. A server that is given several ready
//! connections at once answers them one after the other and then waits again: it is enough to notify the card when half
//! of them are answered, so that the peers have something to do, and when the server waits. Nobody can know that it will
//! not compute for long instead, so an answer is held back only if [`Hooks::later`](crate::config::Hooks::later) is
//! going to see to it, and only for the thread that epoll gave the connections to.

use crate::device::NetDevice;
use crate::net::Net;
use crate::sleeper::LATER;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::poll;
use libos_base::thread;

/// Most answers held back.
const MOST: usize = 8;

/// See the module.
pub(crate) struct Batch {
    /// The thread that serves several connections.
    server: AtomicUsize,
    /// After how many answers it notifies the card, and how many of these it has given.
    every: AtomicUsize,
    given: AtomicUsize,
}

impl Batch {
    pub const fn new() -> Self {
        Self { server: AtomicUsize::new(0), every: AtomicUsize::new(1), given: AtomicUsize::new(0) }
    }
}

fn me() -> usize {
    Arc::as_ptr(&thread::current()).cast::<()>() as usize
}

impl Net {
    /// See [`poll::Front::serve`].
    pub fn serve(&self, ready: usize) {
        let every = (ready / 2).clamp(1, MOST);
        if every > 1 {
            self.batch.server.store(me(), Relaxed);
        }
        self.batch.every.store(every, Relaxed);
        self.batch.given.store(0, Relaxed);
    }

    /// See [`poll::Front::holds`].
    pub fn holds(&self) -> bool {
        self.batch.every.load(Relaxed) > 1 && self.batch.server.load(Relaxed) == me() && self.hooks().later(LATER)
    }

    /// After a call: notifies the card, unless that can wait. `sent`: the call has sent something.
    pub(crate) fn tell_card(&self, card: &mut dyn NetDevice, sent: bool) {
        let given = self.batch.given.load(Relaxed) + usize::from(sent);
        let hold = given > 0 && given < self.batch.every.load(Relaxed) && (!sent || poll::holds());
        self.batch.given.store(if hold { given } else { 0 }, Relaxed);
        if hold {
            card.show();
        } else {
            card.flush();
        }
    }
}
