//! The blocking mutex, for anything that may wait, allocate or fault on program memory while locked.
//!
//! The first to come takes a free lock, which is fast but unfair: one thread that locks in a loop could keep a waiter
//! out for good. So a waiter that was woken and found the lock taken again asks for a hand-over: the next unlock does
//! not free the lock but leaves it to the waiters. Linux's mutex does the same.

use super::check::{Order, Token};
use super::{WaitQueue, class};
use crate::thread::FOREVER;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody is waiting.
const CONTENDED: u32 = 2;
/// Free, but only for those who have waited.
const GRANTED: u32 = 3;

/// For [`Mutex::lock_nested`]: the locks of this class have an order of their own, and this one comes last.
pub const DEEPER: u8 = u8::MAX;

/// A sleeping lock. Not usable in interrupts or under spin locks. Waiting is not interrupted by signals.
pub struct Mutex<T: ?Sized> {
    order: Order,
    lock: Lock,
    value: UnsafeCell<T>,
}

/// The part that does not depend on the locked type: compiled once.
struct Lock {
    state: AtomicU32,
    /// A waiter lost its turn: the next unlock grants the lock to the waiters.
    starved: AtomicBool,
    waiters: WaitQueue,
}

// SAFETY: the lock gives one thread at a time access to the value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Holds a [`Mutex`].
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    token: Token,
}

impl<T> Mutex<T> {
    /// A free lock.
    pub const fn new(class: class::Blocking, value: T) -> Self {
        let lock = Lock { state: AtomicU32::new(FREE), starved: AtomicBool::new(false), waiters: WaitQueue::new() };
        Self { order: Order::new(class.0), lock, value: UnsafeCell::new(value) }
    }
    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the lock is free.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_nested(0)
    }

    /// Like [`Mutex::lock`], but perhaps under locks of the same class with a smaller `step`, or under any with
    /// [`DEEPER`]: for classes whose order among themselves is [stated](super::class::Nests::Stated).
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_nested(&self, step: u8) -> MutexGuard<'_, T> {
        self.order.wanted(step);
        if !self.lock.take_free() {
            self.lock.lock_slow();
        }
        MutexGuard { lock: self, token: self.order.taken(step) }
    }

    /// Takes the lock if it is free.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock.take_free().then(|| MutexGuard { lock: self, token: self.order.taken(0) })
    }
}

impl Lock {
    #[inline]
    fn take_free(&self) -> bool {
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn lock_slow(&self) {
        for _ in 0..100 {
            if self.state.load(Ordering::Relaxed) == FREE && self.take_free() {
                return;
            }
            core::hint::spin_loop();
        }
        let mut asked = 0;
        let got = self.waiters.wait(FOREVER, false, || {
            // A wait asks once before it queues and once after; from the third time on, the thread was woken.
            let waited = asked >= 2;
            asked += 1;
            let got = self.take(waited);
            if !got && waited {
                self.starved.store(true, Ordering::Relaxed);
            }
            got.then_some(())
        });
        debug_assert!(got.is_ok());
        // The token that ended a sleep here may have been meant for what the thread is about to wait for: it looks again.
        if asked > 2 {
            crate::thread::current().unpark();
        }
    }

    /// Takes the lock, or marks that somebody is waiting.
    fn take(&self, waited: bool) -> bool {
        let mut seen = self.state.load(Ordering::Relaxed);
        loop {
            let got = match seen {
                FREE => true,
                GRANTED if waited => true,
                HELD => false,
                _ => return false,
            };
            // Others may still be waiting, so the next unlock must look.
            match self.state.compare_exchange_weak(seen, CONTENDED, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return got,
                Err(now) => seen = now,
            }
        }
    }

    #[cold]
    fn unlock_slow(&self) {
        if self.starved.swap(false, Ordering::Relaxed) {
            self.state.store(GRANTED, Ordering::Release);
            if self.waiters.wake(1) > 0 {
                return;
            }
            // Nobody is queued yet: a thread that queues now sees a free lock, or is there for the second wake-up.
            if self.state.compare_exchange(GRANTED, FREE, Ordering::Release, Ordering::Relaxed).is_err() {
                return;
            }
        } else {
            self.state.store(FREE, Ordering::Release);
        }
        self.waiters.wake(1);
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.token.release();
        let lock = &self.lock.lock;
        // From `CONTENDED` this leads to `HELD`, which only the slow path ends.
        if lock.state.fetch_sub(1, Ordering::Release) != HELD {
            lock.unlock_slow();
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mutex, class};
    use crate::{thread, time};
    use std::sync::Arc;

    /// A token that came before the lock was asked for is still there after a sleep for the lock.
    #[test]
    fn a_sleep_for_the_lock_keeps_the_token() {
        let m = Mutex::new(class::PIPE, ());
        std::thread::scope(|s| {
            let held = m.lock();
            let waiter = s.spawn(|| {
                thread::current().unpark();
                drop(m.lock());
                thread::park(time::after(time::NS), false)
            });
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(held);
            assert_eq!(waiter.join().unwrap(), thread::Wake::Token);
        });
    }

    #[test]
    fn counts_exactly_under_contention() {
        let m = Arc::new(Mutex::new(class::PIPE, 0u64));
        let ts: Vec<_> = (0..4)
            .map(|_| {
                let m = m.clone();
                std::thread::spawn(move || {
                    for _ in 0..20_000 {
                        *m.lock() += 1;
                    }
                })
            })
            .collect();
        ts.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*m.lock(), 80_000);
    }

    #[test]
    fn trying_in_vain_leaves_the_lock_held() {
        let m = Mutex::new(class::PIPE, ());
        let held = m.lock();
        assert!(m.try_lock().is_none() && m.try_lock().is_none());
        drop(held);
        assert!(m.try_lock().is_some() && m.try_lock().is_some());
    }

    #[test]
    fn a_waiter_gets_its_turn() {
        let m = Arc::new(Mutex::new(class::PIPE, false));
        let theirs = m.clone();
        let (send, started) = std::sync::mpsc::channel();
        let greedy = std::thread::spawn(move || {
            // Free only for an instant at a time.
            loop {
                let stop = theirs.lock();
                let _ = send.send(());
                std::thread::sleep(std::time::Duration::from_millis(1));
                if *stop {
                    return;
                }
            }
        });
        started.recv().unwrap();
        for _ in 0..20 {
            drop(m.lock());
        }
        *m.lock() = true;
        greedy.join().unwrap();
    }
}
