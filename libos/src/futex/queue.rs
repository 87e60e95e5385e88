//! Waiters and their queues. A waiter is part of its thread's stack while it waits, and is linked into the queue of its
//! bucket, so that waiting allocates nothing.

use super::sleeper::Sleeper;
use super::{Key, bucket_of};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, Ordering::*};
use libos_base::thread::{self, FOREVER};
use libos_base::time;

/// In the queue that its key leads to.
const QUEUED: u8 = 0;
/// On its way to another queue.
const MOVING: u8 = 1;
/// In the hands of a thread that is about to wake it.
const TAKEN: u8 = 2;
/// Nobody refers to it any more.
const WOKEN: u8 = 3;

/// How long a waiter that leaves while it is being moved waits for the end of that.
const MOVE_NS: u64 = 20_000;

/// A thread in [`super::wait`]. It stays where it is until it is `WOKEN`, or has left its queue by itself.
pub struct Waiter {
    thread: Sleeper,
    /// Requeueing changes it, under the locks of both buckets in turn; see `requeue`.
    pub key: AtomicU64,
    pub bitset: u32,
    /// Its thread's priority among real-time threads when it came, or 0.
    rank: u8,
    state: AtomicU8,
    /// Its neighbours in the queue; `next` also links those that were taken off together.
    next: AtomicPtr<Waiter>,
    prev: AtomicPtr<Waiter>,
}

impl Waiter {
    /// The running thread, not queued yet.
    pub fn new(key: Key, bitset: u32) -> Self {
        let thread = Sleeper::current();
        Self {
            rank: thread.rank(),
            thread,
            key: AtomicU64::new(key),
            bitset,
            state: AtomicU8::new(MOVING),
            next: AtomicPtr::new(null_mut()),
            prev: AtomicPtr::new(null_mut()),
        }
    }

    /// Its key, before it is queued.
    pub fn key_now(&self) -> Key {
        self.key.load(Relaxed)
    }

    /// Whether its wait was ended by another thread.
    pub fn is_woken(&self) -> bool {
        self.state.load(Acquire) == WOKEN
    }

    /// Ends its wait. It was taken off its queue, and no bucket is locked.
    #[inline]
    fn wake(&self) {
        let state = &raw const self.state;
        // SAFETY: until the mark, it stays where it is.
        self.thread.clone().wake(|| unsafe { (*state).store(WOKEN, Release) });
    }

    /// Leaves the queue, if it is still there; returns whether it was woken instead. It may have been requeued meanwhile.
    pub fn leave(&self) -> bool {
        loop {
            let key = self.key.load(Acquire);
            let mut queue = bucket_of(key).lock();
            // The key before the state: see `take_moving`.
            let stays = self.key.load(Acquire) == key;
            match self.state.load(Acquire) {
                WOKEN => return true,
                TAKEN => {
                    drop(queue);
                    thread::park(FOREVER, false);
                }
                QUEUED if stays => {
                    queue.unlink(self);
                    return false;
                }
                _ => {
                    drop(queue);
                    // Whoever moves it may have been pushed aside by this thread.
                    thread::park(time::after(MOVE_NS), false);
                }
            }
        }
    }
}

/// The waiters that are linked from `at` on.
///
/// # Safety
/// They stay where they are, and linked, for `'a`.
unsafe fn linked<'a>(mut at: *mut Waiter) -> impl Iterator<Item = &'a Waiter> {
    core::iter::from_fn(move || {
        // SAFETY: the caller's.
        let w = unsafe { at.as_ref() }?;
        at = w.next.load(Relaxed);
        Some(w)
    })
}

/// The waiters of a bucket: the most urgent real-time thread first, others in the order in which they came. All zeros
/// when empty.
pub struct Queue {
    first: *mut Waiter,
    last: *mut Waiter,
}

// SAFETY: the pointers are followed only under the bucket's lock, and waiters may be used from any thread.
unsafe impl Send for Queue {}

fn pointer(w: &Waiter) -> *mut Waiter {
    (&raw const *w).cast_mut()
}

impl Queue {
    pub const fn new() -> Self {
        Self { first: null_mut(), last: null_mut() }
    }

    /// Adds a waiter, which is in no queue.
    pub fn push(&mut self, w: &Waiter) {
        if w.rank > 0 {
            return self.push_before_less_urgent(w);
        }
        w.next.store(null_mut(), Relaxed);
        w.prev.store(self.last, Relaxed);
        // SAFETY: whoever is in the queue stays where it is; see `Waiter`.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.store(pointer(w), Relaxed),
            None => self.first = pointer(w),
        }
        self.last = pointer(w);
        w.state.store(QUEUED, Release);
    }

    #[cold]
    fn push_before_less_urgent(&mut self, w: &Waiter) {
        // SAFETY: as in `push`.
        let after = unsafe { linked(self.first) }.find(|other| other.rank < w.rank);
        let (prev, next) = after.map_or((self.last, null_mut()), |after| (after.prev.load(Relaxed), pointer(after)));
        w.next.store(next, Relaxed);
        w.prev.store(prev, Relaxed);
        // SAFETY: as in `push`.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.store(pointer(w), Relaxed),
            None => self.first = pointer(w),
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.prev.store(pointer(w), Relaxed),
            None => self.last = pointer(w),
        }
        w.state.store(QUEUED, Release);
    }

    /// Takes a waiter off, which is in this queue.
    fn unlink(&mut self, w: &Waiter) {
        let (prev, next) = (w.prev.load(Relaxed), w.next.load(Relaxed));
        // SAFETY: as in `push`, for both neighbours.
        match unsafe { prev.as_ref() } {
            Some(prev) => prev.next.store(next, Relaxed),
            None => self.first = next,
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.prev.store(prev, Relaxed),
            None => self.last = prev,
        }
    }

    /// The waiters.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = &Waiter> {
        // SAFETY: as in `push`; the lock is held as long as the queue is borrowed.
        unsafe { linked(self.first) }
    }

    /// Whether somebody waits for this key.
    #[cfg(unibody_kernel)]
    pub fn has(&self, key: Key) -> bool {
        // SAFETY: as in `push`; the lock is held as long as the queue is borrowed.
        unsafe { linked(self.first) }.any(|w| w.key.load(Relaxed) == key)
    }

    /// Takes off up to `n` waiters for which `fits` holds, in the order in which they came.
    fn take(&mut self, n: usize, state: u8, fits: impl Fn(&Waiter) -> bool) -> Taken {
        let mut taken = Taken { first: null_mut(), last: null_mut(), count: 0 };
        let mut at = self.first;
        while taken.count < n {
            // SAFETY: as in `push`.
            let Some(w) = (unsafe { at.as_ref() }) else { break };
            at = w.next.load(Relaxed);
            if fits(w) {
                self.unlink(w);
                w.state.store(state, Release);
                taken.push(w);
            }
        }
        taken
    }

    /// Takes off the first waiter of `key` whose bitset fits.
    #[inline]
    pub fn take_one(&mut self, key: Key, bitset: u32) -> Option<One> {
        // SAFETY: as in `push`.
        let w = unsafe { linked(self.first) }.find(|w| w.key.load(Relaxed) == key && w.bitset & bitset != 0)?;
        self.unlink(w);
        w.state.store(TAKEN, Release);
        Some(One(w))
    }

    /// Takes off up to `n` waiters of `key` whose bitset fits. The caller wakes them.
    pub fn take_woken(&mut self, key: Key, n: usize, bitset: u32) -> Taken {
        self.take(n, TAKEN, |w| w.key.load(Relaxed) == key && w.bitset & bitset != 0)
    }

    /// Takes off up to `n` waiters of `key`, whose key is `to` from now on. The caller queues them there.
    pub fn take_moving(&mut self, key: Key, n: usize, to: Key) -> Taken {
        let moving = self.take(n, MOVING, |w| w.key.load(Relaxed) == key);
        // After the state: whoever leaves locks the bucket of the key that it sees, and must not take a waiter that is
        // still in this queue, or on its way, for one that is in the other.
        for w in moving.iter() {
            w.key.store(to, Release);
        }
        moving
    }
}

/// A waiter that was taken off a queue.
#[must_use]
pub struct One(*const Waiter);

impl One {
    /// Ends the wait. With no bucket locked.
    #[inline]
    pub fn wake(self) {
        // SAFETY: it stays where it is until it is woken.
        unsafe { &*self.0 }.wake();
    }
}

/// Waiters that were taken off a queue. Linked through themselves, so that any number can be taken off under one hold
/// of the bucket's lock without allocating: a thread that then waits on the same word again is not among them.
#[must_use]
pub struct Taken {
    first: *mut Waiter,
    last: *mut Waiter,
    pub count: usize,
}

impl Taken {
    fn push(&mut self, w: &Waiter) {
        w.next.store(null_mut(), Relaxed);
        // SAFETY: taken waiters stay where they are until they are woken or queued.
        match unsafe { self.last.as_ref() } {
            Some(last) => last.next.store(pointer(w), Relaxed),
            None => self.first = pointer(w),
        }
        self.last = pointer(w);
        self.count += 1;
    }

    fn iter(&self) -> impl Iterator<Item = &Waiter> {
        // SAFETY: as in `push`.
        unsafe { linked(self.first) }
    }

    /// The first one, which is let go.
    fn pop(&mut self) -> Option<&Waiter> {
        // SAFETY: as in `push`.
        let w = unsafe { self.first.as_ref() }?;
        self.first = w.next.load(Relaxed);
        Some(w)
    }

    /// Ends the waits; returns how many. With no bucket locked.
    pub fn wake(mut self) -> usize {
        while let Some(w) = self.pop() {
            w.wake();
        }
        self.count
    }

    /// Adds them to the queue of their new key; returns how many.
    pub fn queue(mut self, queue: &mut Queue) -> usize {
        while let Some(w) = self.pop() {
            queue.push(w);
        }
        self.count
    }
}
