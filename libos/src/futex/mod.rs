//! Futexes: hashed wait queues keyed by address.
//! Floor: parts.
//!
//! All threads share one address space, so an address is a key, and private and shared futexes are the same. (Shared
//! memory that is mapped twice has two addresses, so two keys: the support matrix says so.)
//!
//! The value is compared under the bucket's lock, by a read that does not fault: what is not present is faulted in
//! outside and tried again. So a wake between the compare and the enqueueing cannot happen.

pub mod op;
pub mod robust;
pub(crate) mod word;

use crate::timer::wall::{self, When};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use libos_base::abi::In;
use libos_base::sync::{Once, SpinLock, class};
use libos_base::thread::{self, Park, Wake};
use libos_base::{Errno, Result, user};
use op::Packed;

/// Power of two. A bucket is an empty deque until used.
const BUCKETS: usize = 64;

/// What identifies a futex.
type Key = u64;

struct Waiter {
    thread: Arc<dyn Park>,
    /// Requeueing changes it, under the locks of both buckets in turn; see `requeue`.
    key: AtomicU64,
    bitset: u32,
    woken: AtomicBool,
    /// The next of the waiters taken off a bucket together; see [`Taken`].
    next: SpinLock<Option<Arc<Waiter>>>,
}

type Bucket = SpinLock<VecDeque<Arc<Waiter>>>;
/// Made at first use: an empty deque is not all zeros, and the image would carry the table.
static TABLE: Once<Box<[Bucket]>> = Once::new();

fn index(key: Key) -> usize {
    // Fibonacci hashing: futex words are 4-aligned and often at equal offsets of equal structures.
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros())) as usize
}

fn bucket_of(key: Key) -> &'static Bucket {
    let make = || (0..BUCKETS).map(|_| SpinLock::new(class::FUTEX, VecDeque::new())).collect();
    &TABLE.set(make)[index(key)]
}

fn key_of(addr: usize) -> Result<Key> {
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    user::check(addr, 4)?;
    Ok(addr as u64)
}

/// Adds the running thread to the queue of `key` if the word at `addr` is still `expected`; otherwise EAGAIN.
fn enqueue(addr: usize, key: Key, expected: u32, bitset: u32) -> Result<Arc<Waiter>> {
    let me = Arc::new(Waiter {
        thread: thread::current(),
        key: AtomicU64::new(key),
        bitset,
        woken: AtomicBool::new(false),
        next: SpinLock::new(class::FUTEX_LINK, None),
    });
    loop {
        {
            let mut bucket = bucket_of(key).lock();
            match word::load(addr) {
                Some(v) if v == expected => {
                    bucket.try_reserve(1)?;
                    bucket.push_back(me.clone());
                    return Ok(me);
                }
                Some(_) => return Err(Errno::EAGAIN),
                None => {}
            }
        }
        // EFAULT if it cannot be had.
        user::read::<u32>(In::new(addr))?;
    }
}

/// Takes the waiter off, if it is still queued; returns whether it was woken instead. It may have been requeued
/// meanwhile.
fn leave(me: &Arc<Waiter>) -> bool {
    loop {
        let key = me.key.load(SeqCst);
        let mut bucket = bucket_of(key).lock();
        if me.woken.load(SeqCst) {
            return true;
        }
        if let Some(at) = bucket.iter().position(|w| Arc::ptr_eq(w, me)) {
            bucket.remove(at);
            return false;
        }
        // On its way from one bucket to another.
        drop(bucket);
        core::hint::spin_loop();
    }
}

/// Waits until woken. ETIMEDOUT, EAGAIN (another value), ERESTARTSYS (signal), EFAULT.
pub fn wait(addr: usize, expected: u32, bitset: u32, deadline: When) -> Result<usize> {
    let key = key_of(addr)?;
    let me = enqueue(addr, key, expected, bitset)?;
    loop {
        if me.woken.load(SeqCst) {
            return Ok(0);
        }
        let why = match wall::park(deadline, true) {
            Wake::Token => continue,
            Wake::Timeout => Errno::ETIMEDOUT,
            Wake::Interrupted if deadline == When::NEVER => Errno::ERESTARTSYS,
            // A relative time-out would start over: Linux restarts through a block, musl loops itself.
            Wake::Interrupted => Errno::EINTR,
        };
        return if leave(&me) { Ok(0) } else { Err(why) };
    }
}

/// Waiters on their way out of a bucket. Linked through themselves, so that any number can be taken off under one hold
/// of the bucket's lock without allocating: a thread that then waits on the same word again is not among them.
#[derive(Default)]
struct Taken {
    first: Option<Arc<Waiter>>,
    /// The last one, when there was more than one.
    last: Option<Arc<Waiter>>,
    count: usize,
}

impl Taken {
    fn push(&mut self, w: Arc<Waiter>) {
        self.count += 1;
        let Some(first) = &self.first else {
            self.first = Some(w);
            return;
        };
        *self.last.as_ref().unwrap_or(first).next.lock() = Some(w.clone());
        self.last = Some(w);
    }

    fn pop(&mut self) -> Option<Arc<Waiter>> {
        let w = self.first.take()?;
        if self.last.is_some() {
            self.first = w.next.lock().take();
        }
        Some(w)
    }

    /// Wakes threads whose waits have ended; returns how many. With no bucket locked.
    fn wake(mut self) -> usize {
        while let Some(w) = self.pop() {
            w.thread.unpark();
        }
        self.count
    }
}

/// Takes up to `n` waiters for which `fits` holds off the queue, in the order in which they came.
fn take(queue: &mut VecDeque<Arc<Waiter>>, n: usize, fits: impl Fn(&Waiter) -> bool) -> Taken {
    let mut taken = Taken::default();
    let mut at = 0;
    while at < queue.len() && taken.count < n {
        if fits(&queue[at]) {
            taken.push(queue.remove(at).expect("in range"));
        } else {
            at += 1;
        }
    }
    taken
}

/// Ends the waits of up to `n` waiters of `key` whose bitset fits; the caller has yet to wake them.
fn take_woken(queue: &mut VecDeque<Arc<Waiter>>, key: Key, n: usize, bitset: u32) -> Taken {
    take(queue, n, |w| {
        let fits = w.key.load(Relaxed) == key && w.bitset & bitset != 0;
        if fits {
            w.woken.store(true, SeqCst);
        }
        fits
    })
}

/// Wakes up to `n` waiters; returns how many. As on Linux, `n` below 1 wakes one.
pub fn wake(addr: usize, n: i32, bitset: u32) -> Result<usize> {
    let key = key_of(addr)?;
    let woken = take_woken(&mut bucket_of(key).lock(), key, n.max(1) as usize, bitset);
    Ok(woken.wake())
}

/// Wakes up to `wake` waiters and moves up to `move_` others to `to`. With `compare`, only if the word still has that
/// value. Returns woken plus moved.
pub fn requeue(from: usize, to: usize, wake: i32, move_: i32, compare: Option<u32>) -> Result<usize> {
    let (k1, k2) = (key_of(from)?, key_of(to)?);
    if wake < 0 || move_ < 0 {
        return Err(Errno::EINVAL);
    }
    let (woken, mut moving) = loop {
        let mut bucket = bucket_of(k1).lock();
        if let Some(expected) = compare {
            match word::load(from) {
                Some(v) if v == expected => {}
                Some(_) => return Err(Errno::EAGAIN),
                None => {
                    drop(bucket);
                    user::read::<u32>(In::new(from))?;
                    continue;
                }
            }
        }
        // The comparison held: from here on the operation happens. Bucket locks do not nest, so waiters on the move are
        // in neither bucket for a moment; `leave` waits for them, and a wake at `to` in that moment came before the
        // requeue.
        let woken = take_woken(&mut bucket, k1, wake as usize, op::ANY);
        let moving = take(&mut bucket, move_ as usize, |w| w.key.compare_exchange(k1, k2, SeqCst, Relaxed).is_ok());
        break (woken, moving);
    };
    let moved = moving.count;
    if moved > 0 {
        let mut bucket = bucket_of(k2).lock();
        if bucket.try_reserve(moved).is_ok() {
            while let Some(w) = moving.pop() {
                bucket.push_back(w);
            }
        }
    }
    // Without memory they are woken: they check their condition and wait again.
    while let Some(w) = moving.pop() {
        w.woken.store(true, SeqCst);
        w.thread.unpark();
    }
    Ok(woken.wake() + moved)
}

/// FUTEX_WAKE_OP: changes the word at `b`, wakes waiters of `a`, and those of `b` if its old value passes the test. As
/// on Linux, at least one of each.
pub fn wake_op(a: usize, b: usize, wake_a: i32, wake_b: i32, packed: u32) -> Result<usize> {
    let p = Packed::decode(packed)?;
    let (ka, kb) = (key_of(a)?, key_of(b)?);
    let old = loop {
        let old: u32 = user::read(In::new(b))?;
        if word::compare_exchange(b, old, p.apply(old))? == old {
            break old;
        }
    };
    let woken = take_woken(&mut bucket_of(ka).lock(), ka, wake_a.max(1) as usize, op::ANY);
    let n = if p.test(old) { wake_b.max(1) as usize } else { 0 };
    // Both are collected before any is woken: a thread that waits again is not woken twice.
    let more = take_woken(&mut bucket_of(kb).lock(), kb, n, op::ANY);
    Ok(woken.wake() + more.wake())
}

#[cfg(test)]
mod tests;
