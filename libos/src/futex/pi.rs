//! Locks whose owner is lent the priority of those who wait (futex(2), "Priority-inheritance futexes"; Linux's
//! kernel/futex/pi.c and requeue.c).
//!
//! The word holds the owner's thread ID, and FUTEX_WAITERS when unlocking has to come here. A lock is known here as long
//! as somebody waits for it: with its owner, and those who wait, the most urgent first. It is handed over: whoever
//! unlocks it writes the next owner into the word. When the owner ends, the next one also finds FUTEX_OWNER_DIED there.
//!
//! The word is changed under the list's lock, by an exchange that does not fault: what is not present or not writable is
//! faulted in outside and tried again.

use super::robust::{OWNER_DIED, TID_MASK, WAITERS};
use super::word::{self, Word};
use super::{Key, PI, Pi, Spot, bucket_of};
use crate::sched::{self, Thread};
use crate::timer::ticket::Ticket;
use crate::timer::wall::When;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

// The C library asks for it where a program makes such mutexes; `futex_waitv` stands for programs that have all calls.
crate::component!("pi", optional, wanted by ["pi", futex_waitv], starts start);

extern "C" fn start() {
    PI.provide(&Pi { lock, unlock, wait_requeue, requeue, thread_ends });
}

/// The highest priority of a real-time thread; what precedes that for a moment is not lent.
const MOST: u8 = 99;

/// Who waits for a lock.
struct Waiter {
    thread: Arc<Thread>,
    ticket: Arc<Ticket<Result<()>>>,
}

/// A lock for which somebody waits.
struct Lock {
    key: Key,
    word: Word,
    owner: Arc<Thread>,
    /// The most urgent first, and among equals whoever came first.
    waiters: Vec<Waiter>,
}

/// Who waits on another word to be moved to a lock.
struct Parked {
    key: Key,
    to: Key,
    waiter: Waiter,
}

struct All {
    locks: Vec<Lock>,
    parked: Vec<Parked>,
}

static ALL: SpinLock<All> = SpinLock::new(class::FUTEX_PI, All { locks: Vec::new(), parked: Vec::new() });

/// What came of a try under the list's lock.
enum Tried<T> {
    Done(T),
    /// The word has changed meanwhile.
    Again,
    /// The word's page is not there, or not writable.
    Absent,
}

/// Tries until it is done. `at`: the word that may have to be faulted in.
fn attempt<T>(at: usize, mut step: impl FnMut(&mut All) -> Result<Tried<T>>) -> Result<T> {
    loop {
        let tried = step(&mut ALL.lock())?;
        match tried {
            Tried::Done(value) => return Ok(value),
            Tried::Again => {}
            // A store of what is there, so that the page is there for stores.
            Tried::Absent => drop(word::compare_exchange(at, 0, 0)?),
        }
    }
}

/// Replaces `$old` by `$new`, or ends the step.
macro_rules! exchange {
    ($word:expr, $old:expr, $new:expr) => {
        match $word.exchange($old, $new) {
            Some(seen) if seen == $old => {}
            Some(_) => return Ok(Tried::Again),
            None => return Ok(Tried::Absent),
        }
    };
}
macro_rules! load {
    ($word:expr) => {
        match $word.load() {
            Some(value) => value,
            None => return Ok(Tried::Absent),
        }
    };
}

impl All {
    fn lock(&mut self, key: Key) -> Option<&mut Lock> {
        self.locks.iter_mut().find(|l| l.key == key)
    }
    /// The lock that a thread waits for.
    fn waited_for(&self, by: &Thread) -> Option<usize> {
        self.locks.iter().position(|l| l.waiters.iter().any(|w| core::ptr::eq(&*w.thread, by)))
    }

    /// Takes the lock for `who` if it is free; otherwise `false`, with FUTEX_WAITERS set and the lock known. EDEADLK,
    /// EINVAL (the word and what is known of it disagree), ESRCH (nobody has the number in the word).
    fn take(&mut self, key: Key, word: Word, who: &Thread, more: bool) -> Result<Tried<bool>> {
        let value = load!(word);
        let tid = value & TID_MASK;
        if tid == who.tid {
            return Err(Errno::EDEADLK);
        }
        if let Some(lock) = self.lock(key) {
            // An owner that died has left its number to the next one.
            let agrees = tid == lock.owner.tid || tid == 0 && value & OWNER_DIED != 0;
            return if agrees { Ok(Tried::Done(false)) } else { Err(Errno::EINVAL) };
        }
        // Somebody waits there who knows nothing of owners.
        if bucket_of(key).lock().has(key) {
            return Err(Errno::EINVAL);
        }
        if tid == 0 {
            let waiters = if more { WAITERS } else { 0 };
            exchange!(word, value, value & OWNER_DIED | who.tid | waiters);
            return Ok(Tried::Done(true));
        }
        exchange!(word, value, value | WAITERS);
        let owner = sched::find(tid).filter(|t| t.is_program).ok_or(Errno::ESRCH)?;
        self.locks.try_reserve(1)?;
        self.locks.push(Lock { key, word, owner, waiters: Vec::new() });
        Ok(Tried::Done(false))
    }

    /// Whether `who` would wait for itself if it waited for this lock.
    fn closes_a_ring(&self, key: Key, who: &Thread) -> bool {
        let mut at = self.locks.iter().position(|l| l.key == key);
        // No chain is longer than there are locks.
        for _ in 0..=self.locks.len() {
            let Some(i) = at else { return false };
            let owner = &self.locks[i].owner;
            if core::ptr::eq(&**owner, who) {
                return true;
            }
            at = self.waited_for(owner);
        }
        false
    }

    /// Adds a waiter to a lock that is known. EDEADLK.
    fn wait(&mut self, key: Key, waiter: Waiter) -> Result<()> {
        if self.closes_a_ring(key, &waiter.thread) {
            self.forget(key);
            return Err(Errno::EDEADLK);
        }
        let lock = self.lock(key).ok_or(Errno::EINVAL)?;
        lock.waiters.try_reserve(1)?;
        lock.insert(waiter);
        let owner = lock.owner.clone();
        self.lend(owner);
        Ok(())
    }

    /// Forgets a lock for which nobody waits.
    fn forget(&mut self, key: Key) {
        self.locks.retain(|l| l.key != key || !l.waiters.is_empty());
    }

    /// Takes off a waiter that gave up, wherever it is.
    fn leave(&mut self, who: &Arc<Ticket<Result<()>>>) {
        self.parked.retain(|p| !Arc::ptr_eq(&p.waiter.ticket, who));
        let of = |w: &Waiter| Arc::ptr_eq(&w.ticket, who);
        let Some(lock) = self.locks.iter_mut().find(|l| l.waiters.iter().any(of)) else { return };
        lock.waiters.retain(|w| !of(w));
        let (key, owner) = (lock.key, lock.owner.clone());
        self.forget(key);
        self.lend(owner);
    }

    /// Lends a thread the rank of the most urgent among those who wait for what it has, and so on to whoever has what
    /// that thread waits for.
    fn lend(&mut self, mut to: Arc<Thread>) {
        for _ in 0..=self.locks.len() {
            let mine = self.locks.iter().filter(|l| Arc::ptr_eq(&l.owner, &to));
            let most = mine.flat_map(|l| &l.waiters).map(|w| rank(&w.thread)).max();
            sched::lend(&to, most.unwrap_or(0));
            let Some(at) = self.waited_for(&to) else { return };
            let lock = &mut self.locks[at];
            if let Some(i) = lock.waiters.iter().position(|w| Arc::ptr_eq(&w.thread, &to)) {
                let waiter = lock.waiters.remove(i);
                lock.insert(waiter);
            }
            to = lock.owner.clone();
        }
    }

    /// Gives a lock to the next one, whose number is in the word already.
    fn hand_over(&mut self, key: Key) {
        let Some(lock) = self.lock(key) else { return };
        let next = lock.waiters.remove(0);
        let before = core::mem::replace(&mut lock.owner, next.thread.clone());
        self.forget(key);
        self.lend(before);
        self.lend(next.thread.clone());
        next.ticket.give(Ok(()));
    }
}

impl Lock {
    fn insert(&mut self, waiter: Waiter) {
        let mine = rank(&waiter.thread);
        let at = self.waiters.partition_point(|w| rank(&w.thread) >= mine);
        self.waiters.insert(at, waiter);
    }
}

/// A thread's priority among real-time threads, with what was lent to it; 0 for others, whose nice values are neither
/// compared nor lent.
fn rank(t: &Thread) -> u8 {
    t.rank().min(MOST)
}

/// FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TRYLOCK_PI. EAGAIN: `only_try`; ETIMEDOUT; a signal starts it anew.
fn lock(at: Spot, until: When, only_try: bool) -> Result<()> {
    let (key, word, addr) = (at.key()?, Word::at(at.addr)?, at.addr);
    let me = sched::current_arc();
    let ticket = attempt(addr, |all| {
        match all.take(key, word, &me, false)? {
            Tried::Done(false) => {}
            Tried::Done(true) => return Ok(Tried::Done(None)),
            Tried::Again => return Ok(Tried::Again),
            Tried::Absent => return Ok(Tried::Absent),
        }
        if only_try {
            all.forget(key);
            return Err(Errno::EAGAIN);
        }
        let ticket = Ticket::new()?;
        all.wait(key, Waiter { thread: me.clone(), ticket: ticket.clone() })?;
        Ok(Tried::Done(Some(ticket)))
    })?;
    let Some(ticket) = ticket else { return Ok(()) };
    ticket.wait(until).unwrap_or_else(|why| {
        ALL.lock().leave(&ticket);
        ticket.take().unwrap_or(Err(if why == Errno::ETIMEDOUT { why } else { Errno::ERESTARTNOINTR }))
    })
}

/// FUTEX_UNLOCK_PI. EPERM: it is another's.
fn unlock(at: Spot) -> Result<()> {
    let (key, word, addr) = (at.key()?, Word::at(at.addr)?, at.addr);
    let me = sched::current();
    attempt(addr, |all| {
        let value = load!(word);
        if value & TID_MASK != me.tid {
            return Err(Errno::EPERM);
        }
        match all.lock(key) {
            Some(lock) if !core::ptr::eq(&*lock.owner, me) => Err(Errno::EINVAL),
            Some(lock) => {
                let next = lock.waiters[0].thread.tid;
                exchange!(word, value, WAITERS | next);
                all.hand_over(key);
                Ok(Tried::Done(()))
            }
            None if bucket_of(key).lock().has(key) => Err(Errno::EINVAL),
            None => {
                exchange!(word, value, 0);
                Ok(Tried::Done(()))
            }
        }
    })
}

/// FUTEX_WAIT_REQUEUE_PI: waits on a word until moved to a lock, and then for that. EAGAIN: the word has another value, or
/// a signal came after the move.
fn wait_requeue(at: Spot, expected: u32, until: When, to: Spot) -> Result<()> {
    let (key, word, addr) = (at.key()?, Word::at(at.addr)?, at.addr);
    let to = to.key()?;
    if key == to {
        return Err(Errno::EINVAL);
    }
    let ticket = Ticket::new()?;
    let waiter = || Waiter { thread: sched::current_arc(), ticket: ticket.clone() };
    attempt(addr, |all| {
        if load!(word) != expected {
            return Err(Errno::EAGAIN);
        }
        all.parked.try_reserve(1)?;
        all.parked.push(Parked { key, to, waiter: waiter() });
        Ok(Tried::Done(()))
    })?;
    ticket.wait(until).unwrap_or_else(|why| {
        let moved = {
            let mut all = ALL.lock();
            let moved = !all.parked.iter().any(|p| Arc::ptr_eq(&p.waiter.ticket, &ticket));
            all.leave(&ticket);
            moved
        };
        ticket.take().unwrap_or(Err(match why {
            Errno::ETIMEDOUT => why,
            _ if moved => Errno::EAGAIN,
            _ => Errno::ERESTARTNOINTR,
        }))
    })
}

/// FUTEX_CMP_REQUEUE_PI: gives the lock `to` to the first who waits on the word, or lets it wait for it, and then up to
/// `more` others. How many. EAGAIN: the word has another value.
fn requeue(at: Spot, to: Spot, wake: i32, more: i32, expected: u32) -> Result<usize> {
    let (key, word, addr) = (at.key()?, Word::at(at.addr)?, at.addr);
    let (to_key, to_word, to) = (to.key()?, Word::at(to.addr)?, to.addr);
    if wake != 1 || more < 0 || key == to_key {
        return Err(Errno::EINVAL);
    }
    attempt(addr, |_| if load!(word) == expected { Ok(Tried::Done(())) } else { Err(Errno::EAGAIN) })?;
    let mut count = 0;
    while count <= more as usize {
        let next = attempt(to, |all| {
            // What was compared may have changed since; at first, that still counts.
            if count == 0 && word.load().is_some_and(|value| value != expected) {
                return Err(Errno::EAGAIN);
            }
            let Some(at) = all.parked.iter().position(|p| p.key == key) else {
                // Somebody waits there who does not expect to be moved.
                let other = count == 0 && bucket_of(key).lock().has(key);
                return if other { Err(Errno::EINVAL) } else { Ok(Tried::Done(false)) };
            };
            if all.parked[at].to != to_key {
                return Err(Errno::EINVAL);
            }
            let thread = all.parked[at].waiter.thread.clone();
            match all.take(to_key, to_word, &thread, more > 0)? {
                Tried::Done(true) => all.parked.remove(at).waiter.ticket.give(Ok(())),
                Tried::Done(false) => {
                    let waiter = all.parked.remove(at).waiter;
                    let ticket = waiter.ticket.clone();
                    if let Err(e) = all.wait(to_key, waiter) {
                        ticket.give(Err(e));
                        return Err(e);
                    }
                }
                Tried::Again => return Ok(Tried::Again),
                Tried::Absent => return Ok(Tried::Absent),
            }
            Ok(Tried::Done(true))
        })?;
        if !next {
            break;
        }
        count += 1;
    }
    Ok(count)
}

/// The running thread ends: whoever waits for what it has gets it, and is told that it died.
fn thread_ends(me: &Thread) {
    loop {
        let owned = ALL.lock().locks.iter().find(|l| core::ptr::eq(&*l.owner, me)).map(|l| (l.key, l.word));
        let Some((key, word)) = owned else { return };
        let gone = attempt(word.address(), |all| {
            let value = load!(word);
            let Some(lock) = all.lock(key) else { return Ok(Tried::Done(())) };
            let next = lock.waiters[0].thread.tid;
            exchange!(word, value, OWNER_DIED | WAITERS | next);
            all.hand_over(key);
            Ok(Tried::Done(()))
        });
        if let Err(e) = gone {
            // The word is no longer there.
            let mut all = ALL.lock();
            if let Some(at) = all.locks.iter().position(|l| l.key == key) {
                let lock = all.locks.remove(at);
                drop(all);
                lock.waiters.iter().for_each(|w| w.ticket.give(Err(e)));
            }
        }
    }
}
