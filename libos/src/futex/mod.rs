//! Futexes: hashed wait queues keyed by address.
//!
//! All threads share one address space, so an address is a key, and private and shared futexes are the same. (Shared
//! memory that is mapped twice has two addresses, so two keys: the support matrix says so.)
//!
//! The value is compared under the bucket's lock, by a read that does not fault: what is not present is faulted in
//! outside and tried again. So a wake between the compare and the enqueueing cannot happen.

pub mod op;
pub mod robust;
pub(crate) mod word;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use libos_base::sync::{Once, Rank, SpinLock};
use libos_base::thread::{self, FOREVER, Park, Wake};
use libos_base::{Errno, Result, user};
use op::Packed;

/// Power of two. A bucket is an empty deque until used.
const BUCKETS: usize = 64;

/// What identifies a futex.
type Key = u64;

struct Waiter {
    thread: Arc<dyn Park>,
    /// Requeueing changes it, under the locks of both buckets' turn; see `requeue`.
    key: AtomicU64,
    bitset: u32,
    woken: AtomicBool,
}

type Bucket = SpinLock<VecDeque<Arc<Waiter>>>;
/// Made at first use: an empty deque is not all zeros, and the image would carry the table.
static TABLE: Once<Box<[Bucket]>> = Once::new();

fn index(key: Key) -> usize {
    // Fibonacci hashing: futex words are 4-aligned and often at equal offsets of equal structures.
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros())) as usize
}

fn bucket_of(key: Key) -> &'static Bucket {
    let make = || (0..BUCKETS).map(|_| SpinLock::new(Rank::Futex, VecDeque::new())).collect();
    &TABLE.set(make)[index(key)]
}

fn key_of(addr: usize) -> Result<Key> {
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    user::check(addr, 4)?;
    Ok(addr as u64)
}

/// Adds the running thread to the queue of `key` if the word at `addr` still is `expected`: EAGAIN if not.
fn enqueue(addr: usize, key: Key, expected: u32, bitset: u32) -> Result<Arc<Waiter>> {
    let me =
        Arc::new(Waiter { thread: thread::current(), key: AtomicU64::new(key), bitset, woken: AtomicBool::new(false) });
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
        user::read::<u32>(addr)?;
    }
}

/// Takes the waiter off, if it is still queued; whether it was woken instead. It may have been requeued meanwhile.
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
pub fn wait(addr: usize, expected: u32, bitset: u32, deadline_ns: u64) -> Result<usize> {
    let key = key_of(addr)?;
    let me = enqueue(addr, key, expected, bitset)?;
    loop {
        if me.woken.load(SeqCst) {
            return Ok(0);
        }
        let why = match thread::park(deadline_ns, true) {
            Wake::Token => continue,
            Wake::Timeout => Errno::ETIMEDOUT,
            Wake::Interrupted if deadline_ns == FOREVER => Errno::ERESTARTSYS,
            // A relative time-out would start anew: Linux restarts through a block, musl loops itself.
            Wake::Interrupted => Errno::EINTR,
        };
        return if leave(&me) { Ok(0) } else { Err(why) };
    }
}

/// Takes up to `n` waiters of `key` whose bitset fits out of their queue.
fn take(key: Key, n: usize, bitset: u32, out: &mut Woken) {
    let mut bucket = bucket_of(key).lock();
    let mut at = 0;
    while at < bucket.len() && out.count < n {
        let w = &bucket[at];
        if w.key.load(Relaxed) == key && w.bitset & bitset != 0 {
            let w = bucket.remove(at).expect("in range");
            w.woken.store(true, SeqCst);
            out.add(w);
        } else {
            at += 1;
        }
    }
}

/// Waiters taken off under the lock and woken after it: in small batches, so that nothing is allocated.
struct Woken {
    list: [Option<Arc<Waiter>>; 16],
    count: usize,
}

impl Woken {
    fn new() -> Self {
        Self { list: [const { None }; 16], count: 0 }
    }
    fn add(&mut self, w: Arc<Waiter>) {
        self.list[self.count] = Some(w);
        self.count += 1;
    }
    fn wake(self) -> usize {
        self.list.into_iter().flatten().for_each(|w| w.thread.unpark());
        self.count
    }
}

fn wake_key(key: Key, n: usize, bitset: u32) -> usize {
    let mut total = 0;
    while total < n {
        let mut batch = Woken::new();
        let want = (n - total).min(batch.list.len());
        take(key, want, bitset, &mut batch);
        let woken = batch.wake();
        total += woken;
        if woken < want {
            break;
        }
    }
    total
}

/// Wakes up to `n` waiters; how many. As Linux: `n` below 1 wakes one.
pub fn wake(addr: usize, n: i32, bitset: u32) -> Result<usize> {
    Ok(wake_key(key_of(addr)?, n.max(1) as usize, bitset))
}

/// Wakes up to `wake`, moves up to `move_` others to `to`. With `compare`, only if the word still has that value. Woken
/// plus moved.
pub fn requeue(from: usize, to: usize, wake: i32, move_: i32, compare: Option<u32>) -> Result<usize> {
    let (k1, k2) = (key_of(from)?, key_of(to)?);
    if wake < 0 || move_ < 0 {
        return Err(Errno::EINVAL);
    }
    let room = bucket_of(k1).lock().len();
    let mut moving = VecDeque::new();
    moving.try_reserve(room)?;
    loop {
        let mut bucket = bucket_of(k1).lock();
        if let Some(expected) = compare {
            match word::load(from) {
                Some(v) if v == expected => {}
                Some(_) => return Err(Errno::EAGAIN),
                None => {
                    drop(bucket);
                    user::read::<u32>(from)?;
                    continue;
                }
            }
        }
        // Compared: from here on the operation happens. Buckets do not nest, so the movers are in neither for a moment;
        // `leave` waits for them, and a wake at `to` in that moment came before the requeue.
        let mut woken = 0;
        let mut at = 0;
        let mut batch = Woken::new();
        let mut more = false;
        while at < bucket.len() {
            if bucket[at].key.load(Relaxed) != k1 {
                at += 1;
                continue;
            }
            if woken < wake as usize {
                if batch.count == batch.list.len() {
                    more = true;
                    break;
                }
                let w = bucket.remove(at).expect("in range");
                w.woken.store(true, SeqCst);
                batch.add(w);
                woken += 1;
            } else if moving.len() < (move_ as usize).min(room) {
                let w = bucket.remove(at).expect("in range");
                w.key.store(k2, SeqCst);
                moving.push_back(w);
            } else {
                break;
            }
        }
        drop(bucket);
        batch.wake();
        if more {
            // More to wake than a batch holds: all the rest is woken, which the caller must expect anyway (spurious
            // wake-ups are allowed), and nothing is moved.
            return Ok(woken + wake_key(k1, usize::MAX, op::ANY));
        }
        let moved = moving.len();
        if moved > 0 {
            let mut bucket = bucket_of(k2).lock();
            if bucket.try_reserve(moved).is_ok() {
                bucket.append(&mut moving);
            } else {
                drop(bucket);
                // Without memory they are woken: they look at their condition and wait again.
                for w in moving {
                    w.woken.store(true, SeqCst);
                    w.thread.unpark();
                }
            }
        }
        return Ok(woken + moved);
    }
}

/// FUTEX_WAKE_OP: changes the word at `b`, wakes waiters of `a`, and those of `b` if its old value passes the test.
pub fn wake_op(a: usize, b: usize, wake_a: i32, wake_b: i32, packed: u32) -> Result<usize> {
    let p = Packed::decode(packed)?;
    let (ka, kb) = (key_of(a)?, key_of(b)?);
    let old = loop {
        let old: u32 = user::read(b)?;
        if word::compare_exchange(b, old, p.apply(old))? == old {
            break old;
        }
    };
    let mut n = wake_key(ka, wake_a.max(0) as usize, op::ANY);
    if p.test(old) {
        n += wake_key(kb, wake_b.max(0) as usize, op::ANY);
    }
    Ok(n)
}

#[cfg(test)]
mod tests;
