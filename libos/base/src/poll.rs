//! Readiness: the one mechanism under poll, select, epoll and blocking I/O.
//!
//! A pollable object owns a [`Pollee`]. A waiting thread adds a [`Watcher`] to it and *then* asks for the current
//! events, so that nothing is lost in between. `notify` is called after every change that may make an operation
//! possible.

use crate::sync::{Provider, SpinLock, class};
use crate::{Errno, Result, thread};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

/// The EPOLL* bits; the lower ones are POLL*'s.
pub use libos_abi::constants::EpollEvents as Events;

/// What poll reports of bytes to read and of room to write.
#[inline]
pub fn readiness(input: bool, output: bool) -> Events {
    let bits = |yes: bool, events: Events| if yes { events } else { Events::empty() };
    bits(input, Events::IN | Events::RDNORM) | bits(output, Events::OUT | Events::WRNORM)
}

/// Notified when readiness changes. Called with no lock of the notifying object held except, possibly, the object's own
/// blocking lock: an implementation only sets state and unparks; it never calls back into the file.
pub trait Watcher: Send + Sync {
    /// `events`: what may have become ready.
    fn on_event(&self, events: Events);
    /// How many watchers an event may pass through from this one upwards, itself included, if it notifies others in
    /// turn.
    fn height(&self) -> usize {
        0
    }
}

/// The list of watchers of one object.
pub struct Pollee {
    watchers: SpinLock<Watchers>,
    count: AtomicUsize,
}

/// The watchers: one place that needs no memory, since most objects have one watcher, and those behind it.
struct Watchers {
    first: Option<Weak<dyn Watcher>>,
    more: Vec<Weak<dyn Watcher>>,
}

impl Watchers {
    fn push(&mut self, w: Weak<dyn Watcher>) {
        if self.first.is_none() {
            self.first = Some(w);
        } else {
            self.more.push(w);
        }
    }
    /// Removes those that do not stay. Later ones move towards the front.
    fn retain(&mut self, mut stays: impl FnMut(&Weak<dyn Watcher>) -> bool) {
        self.first.take_if(|w| !stays(w));
        self.more.retain(|w| stays(w));
    }
    fn count(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.len()
    }
    /// Number of places, some of which may be free.
    fn places(&self) -> usize {
        1 + self.more.len()
    }
    /// The watcher in a place.
    fn at(&self, place: usize) -> Option<Arc<dyn Watcher>> {
        if place == 0 { self.first.as_ref() } else { self.more.get(place - 1) }.and_then(Weak::upgrade)
    }
}

impl Pollee {
    /// An empty list.
    pub const fn new() -> Self {
        let none = Watchers { first: None, more: Vec::new() };
        Self { watchers: SpinLock::new(class::POLLEE, none), count: AtomicUsize::new(0) }
    }

    /// Adds a watcher; it stays until dropped or removed.
    pub fn add(&self, w: &Arc<dyn Watcher>) {
        let mut list = self.watchers.lock();
        list.retain(|x| x.strong_count() > 0);
        list.push(Arc::downgrade(w));
        self.count.store(list.count(), Ordering::SeqCst);
    }

    /// Removes a watcher.
    pub fn remove(&self, w: &Arc<dyn Watcher>) {
        let mut list = self.watchers.lock();
        let gone = Arc::as_ptr(w).cast::<()>();
        list.retain(|x| x.strong_count() > 0 && x.as_ptr().cast::<()>() != gone);
        self.count.store(list.count(), Ordering::SeqCst);
    }

    /// The greatest [`Watcher::height`] of the watchers.
    pub fn height(&self) -> usize {
        let (mut i, mut most) = (self.watchers.lock().places(), 0);
        // Outside the lock, as below.
        while i > 0 {
            i -= 1;
            let w = self.watchers.lock().at(i);
            most = most.max(w.map_or(0, |w| w.height()));
        }
        most
    }

    /// Notifies every watcher. Cheap if there are none. Callable from any context but interrupts.
    #[inline]
    pub fn notify(&self, events: Events) {
        core::sync::atomic::fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) > 0 {
            self.notify_all(events);
        }
    }

    #[inline(never)]
    fn notify_all(&self, events: Events) {
        // One at a time, outside the lock: a watcher may take locks of its own and drop the last reference. Starting at
        // the end, because the list may change meanwhile: a removal moves later watchers towards the front, so one may
        // be notified twice but none is missed. (Those added meanwhile ask for the state themselves.)
        let mut i = self.watchers.lock().places();
        while i > 0 {
            i -= 1;
            let w = self.watchers.lock().at(i);
            if let Some(w) = w {
                w.on_event(events);
            }
        }
    }
}

impl Default for Pollee {
    fn default() -> Self {
        Self::new()
    }
}

/// A watcher that wakes the thread that made it.
pub struct ThreadWatcher {
    thread: Arc<dyn thread::Park>,
    fired: AtomicBool,
}

impl ThreadWatcher {
    /// A watcher for the running thread.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), fired: AtomicBool::new(false) })
    }
    /// Whether an event arrived since the last call.
    pub fn take(&self) -> bool {
        self.fired.swap(false, Ordering::SeqCst)
    }
}

impl Watcher for ThreadWatcher {
    fn on_event(&self, _: Events) {
        self.fired.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// The network, where it is linked. A thread that waits for readiness serves it before it sleeps, so that under load
/// no other thread stands between the card and the reader.
pub trait Front: Sync {
    /// Takes in what has arrived.
    fn look(&self);
    /// [`thread::park`], interruptibly, by a thread that also wakes and looks when something arrives.
    fn park(&self, deadline_ns: u64) -> thread::Wake;
    /// The running thread is given this many ready files, and will wait again when it has served them.
    fn serve(&self, ready: usize);
    /// Whether the running thread is serving so many that a notification of a device may wait for [`settle`], which
    /// then comes when it waits, and soon in any case.
    fn holds(&self) -> bool;
    /// Sends the notifications that were held back.
    fn settle(&self);
}

/// Filled by the network.
pub static FRONT: Provider<&dyn Front> = Provider::new();
/// Whether a notification is held back: [`NONE`], [`SOME`], or since before the last [`aged`].
static HELD: AtomicU8 = AtomicU8::new(NONE);
const NONE: u8 = 0;
const SOME: u8 = 1;
const AGED: u8 = 2;

/// See [`Front::serve`].
pub fn serve(ready: usize) {
    if let Some(front) = FRONT.get() {
        front.serve(ready);
    }
}

/// See [`Front::holds`].
pub fn holds() -> bool {
    let Some(front) = FRONT.get() else { return false };
    // Asked again once it is known that something is held: who was going to settle that may just have found nothing.
    front.holds() && (HELD.compare_exchange(NONE, SOME, Ordering::SeqCst, Ordering::SeqCst).is_err() || front.holds())
}

/// See [`Front::settle`].
#[inline]
pub fn settle() {
    if HELD.load(Ordering::SeqCst) != NONE
        && HELD.swap(NONE, Ordering::SeqCst) != NONE
        && let Some(front) = FRONT.get()
    {
        front.settle();
    }
}

/// For who sees to it that nothing is held back for long, now and then: `None` if nothing is, otherwise whether the same
/// was when this was called before. Called in interrupts, too.
pub fn aged() -> Option<bool> {
    match HELD.compare_exchange(SOME, AGED, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Some(false),
        Err(NONE) => None,
        Err(_) => Some(true),
    }
}

/// For a thread that has found nothing ready and is about to wait: takes in what has arrived.
pub fn look() {
    if let Some(front) = FRONT.get() {
        front.look();
    }
}

/// Waits for a watcher's notification: [`thread::park`], interruptibly, with the network being served.
pub fn park(deadline_ns: u64) -> thread::Wake {
    match FRONT.get() {
        Some(front) => front.park(deadline_ns),
        None => thread::park(deadline_ns, true),
    }
}

/// Blocks the running thread until `attempt` returns `Some`, watching `pollee`. Otherwise EAGAIN if `nonblock`,
/// `timeout` at the deadline, ERESTARTSYS on a signal.
pub fn block_on<T>(
    pollee: &Pollee,
    nonblock: bool,
    deadline_ns: u64,
    timeout: Errno,
    attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    block_by(|| thread::park(deadline_ns, true), pollee, nonblock, timeout, attempt)
}

/// [`block_on`] with another way to park.
pub fn block_by<T>(
    park: impl FnMut() -> thread::Wake,
    pollee: &Pollee,
    nonblock: bool,
    timeout: Errno,
    mut attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    match attempt() {
        Some(r) => r,
        None if nonblock => Err(Errno::EAGAIN),
        None => watch_by(park, pollee, timeout, attempt),
    }
}

/// The rest of it, after an attempt in vain. This is the one loop behind every blocking read, write, accept and connect.
pub fn watch_by<T>(
    mut park: impl FnMut() -> thread::Wake,
    pollee: &Pollee,
    timeout: Errno,
    mut attempt: impl FnMut() -> Option<Result<T>>,
) -> Result<T> {
    let w = ThreadWatcher::new();
    let dynw: Arc<dyn Watcher> = w.clone();
    pollee.add(&dynw);
    let r = loop {
        if let Some(r) = attempt() {
            break r;
        }
        match park() {
            thread::Wake::Token => {}
            thread::Wake::Timeout => break attempt().unwrap_or(Err(timeout)),
            thread::Wake::Interrupted => break attempt().unwrap_or(Err(Errno::ERESTARTSYS)),
        }
    };
    pollee.remove(&dynw);
    r
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Watched = (Arc<Pollee>, Arc<dyn Watcher>);

    /// Removes another watcher when it is notified.
    struct Remover(Mutex<Option<Watched>>, AtomicUsize);
    impl Watcher for Remover {
        fn on_event(&self, _: Events) {
            self.1.fetch_add(1, Ordering::SeqCst);
            if let Some((p, w)) = self.0.lock().unwrap().take() {
                p.remove(&w);
            }
        }
    }

    #[test]
    fn none_is_missed_while_others_leave() {
        let p = Arc::new(Pollee::new());
        let all: Vec<_> = (0..4).map(|_| Arc::new(Remover(Mutex::new(None), AtomicUsize::new(0)))).collect();
        all.iter().for_each(|w| p.add(&(w.clone() as Arc<dyn Watcher>)));
        // Each of the last two removes one of the first two.
        for (i, j) in [(2, 0), (3, 1)] {
            *all[i].0.lock().unwrap() = Some((p.clone(), all[j].clone() as Arc<dyn Watcher>));
        }
        p.notify(Events::IN);
        assert!(all[2..].iter().all(|w| w.1.load(Ordering::SeqCst) > 0));
        // And one at the front leaves before those after it are notified.
        let (q, first, second) = (Arc::new(Pollee::new()), all[2].clone(), all[3].clone());
        q.add(&(first.clone() as Arc<dyn Watcher>));
        q.add(&(second.clone() as Arc<dyn Watcher>));
        *first.0.lock().unwrap() = Some((q.clone(), first.clone() as Arc<dyn Watcher>));
        let before = second.1.load(Ordering::SeqCst);
        q.notify(Events::IN);
        assert!(second.1.load(Ordering::SeqCst) > before);
    }

    /// The timer that was to settle expires just before it is known that something is held.
    struct Expiring(AtomicUsize);
    impl Front for Expiring {
        fn look(&self) {}
        fn park(&self, deadline_ns: u64) -> thread::Wake {
            thread::park(deadline_ns, true)
        }
        fn serve(&self, _: usize) {}
        fn holds(&self) -> bool {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                settle();
            }
            true
        }
        fn settle(&self) {}
    }

    #[test]
    fn nothing_is_held_without_someone_to_settle_it() {
        static EXPIRING: Expiring = Expiring(AtomicUsize::new(0));
        static IT: &dyn Front = &EXPIRING;
        FRONT.provide(&IT);
        assert!(holds());
        assert_eq!(EXPIRING.0.load(Ordering::SeqCst), 2, "asked again: the timer is set again");
        settle();
        assert_eq!(aged(), None);
        assert!(holds());
        assert_eq!(aged(), Some(false));
        assert!(holds(), "which does not make it younger");
        assert_eq!(aged(), Some(true));
        settle();
        assert!(holds());
        assert_eq!((aged(), aged()), (Some(false), Some(true)));
    }

    #[test]
    fn block_on_wakes_when_notified() {
        let state = Arc::new((Pollee::new(), Mutex::new(None)));
        let s2 = state.clone();
        let t = std::thread::spawn(move || {
            block_on(&s2.0, false, thread::FOREVER, Errno::EAGAIN, || s2.1.lock().unwrap().take().map(Ok))
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        *state.1.lock().unwrap() = Some(7);
        state.0.notify(Events::IN);
        assert_eq!(t.join().unwrap(), Ok(7));
        let r: Result<()> = block_on(&state.0, true, 0, Errno::EAGAIN, || None);
        assert_eq!(r, Err(Errno::EAGAIN));
    }
}
