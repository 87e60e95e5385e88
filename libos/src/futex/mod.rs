//! Futexes: hashed wait queues keyed by address.
//! Floor: parts.
//!
//! All threads share one address space, so an address is a key. What a shared futex in a shared mapping of a file is known
//! by is the file and the place in it, since it may be mapped at several addresses. The address of a shared one must also be
//! mapped whatever is done with it, as on Linux.
//!
//! The value is compared under the bucket's lock, by a read that does not fault: what is not present is faulted in
//! outside and tried again. So a wake between the compare and the enqueueing cannot happen.

pub mod op;
#[cfg(unibody_kernel)]
mod pi;
mod queue;
pub mod robust;
pub mod several;
#[cfg_attr(not(unibody_kernel), path = "tests/sleeper.rs")]
mod sleeper;
#[cfg_attr(not(unibody_kernel), path = "tests/word.rs")]
pub(crate) mod word;

use crate::mm::program;
use crate::sched::Thread;
use crate::timer::wall::{self, When};
use libos_base::abi::In;
use libos_base::sync::{Provider, SpinLock, class};
use libos_base::thread::{self, FOREVER, Wake};
use libos_base::{Errno, Result, user};
use op::Packed;
use queue::{Queue, Waiter};
use word::Word;

/// Power of two.
const BUCKETS: usize = 64;

/// What identifies a futex.
type Key = u64;

type Bucket = SpinLock<Queue>;
static TABLE: [Bucket; BUCKETS] = [const { SpinLock::new(class::FUTEX, Queue::new()) }; BUCKETS];

fn bucket_of(key: Key) -> &'static Bucket {
    // Fibonacci hashing: futex words are 4-aligned and often at equal offsets of equal structures.
    &TABLE[(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros())) as usize]
}

/// A word of the program.
#[derive(Clone, Copy)]
pub struct Spot {
    pub addr: usize,
    /// FUTEX_PRIVATE_FLAG is not set.
    pub shared: bool,
}

impl Spot {
    pub const fn of(addr: usize, shared: bool) -> Self {
        Self { addr, shared }
    }
    #[inline(always)]
    fn key(self) -> Result<Key> {
        if !self.addr.is_multiple_of(4) {
            return Err(Errno::EINVAL);
        }
        // That of a wake-up need not be mapped.
        if !user::in_half(self.addr, 4) {
            return Err(Errno::EFAULT);
        }
        Ok(if self.shared && program::shares_files() { shared_key(self.addr) } else { self.addr as u64 })
    }
}

/// The key of a word that may be in a shared mapping of a file.
#[cold]
fn shared_key(addr: usize) -> Key {
    // Not an address: those of the program are positive. Two places that are mixed into one number by chance would wake
    // each other, for which every waiter is prepared.
    let mixed = |(file, at): (usize, u64)| {
        (file as u64).rotate_left(32).wrapping_add(at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1 << 63
    };
    program::shared_place(addr).map_or(addr as u64, mixed)
}

/// Locks with owners, where a program asks for them.
pub struct Pi {
    pub lock: fn(Spot, When, bool) -> Result<()>,
    pub unlock: fn(Spot) -> Result<()>,
    pub wait_requeue: fn(Spot, u32, When, Spot) -> Result<()>,
    pub requeue: fn(Spot, Spot, i32, i32, u32) -> Result<usize>,
    pub thread_ends: fn(&Thread),
}
pub static PI: Provider<Pi> = Provider::new();

/// EFAULT unless the word is mapped, as that of a shared futex must be.
pub fn mapped(addr: usize) -> Result<()> {
    Spot::of(addr, false).key()?;
    Word::at(addr)?.fault_in()
}

/// Adds a waiter to the queue of its key if the word is still `expected`; otherwise EAGAIN.
#[inline(always)]
fn enqueue(key: Key, word: Word, expected: u32, me: &Waiter) -> Result<()> {
    loop {
        let seen = bucket_of(key).with(|bucket| {
            let seen = word.load();
            if seen == Some(expected) {
                bucket.push(me);
            }
            seen
        });
        match seen {
            Some(v) if v == expected => return Ok(()),
            Some(_) => return Err(Errno::EAGAIN),
            None => {}
        }
        word.fault_in()?;
    }
}

/// Waits until woken. ETIMEDOUT, EAGAIN (another value), ERESTARTSYS (signal), EFAULT.
pub fn wait(at: Spot, expected: u32, bitset: u32, deadline: When) -> Result<()> {
    let key = at.key()?;
    let word = Word::at(at.addr)?;
    let me = Waiter::new(key, bitset);
    enqueue(key, word, expected, &me)?;
    loop {
        if me.is_woken() {
            return Ok(());
        }
        let wake = if deadline.ns == FOREVER { thread::park(FOREVER, true) } else { wall::park(deadline, true) };
        let why = match wake {
            Wake::Token => continue,
            Wake::Timeout => Errno::ETIMEDOUT,
            Wake::Interrupted if deadline == When::NEVER => Errno::ERESTARTSYS,
            // A relative time-out would start over: Linux restarts through a block, musl loops itself.
            Wake::Interrupted => Errno::EINTR,
        };
        return if me.leave() { Ok(()) } else { Err(why) };
    }
}

/// Wakes up to `n` waiters; returns how many. As on Linux, `n` below 1 wakes one.
pub fn wake(at: Spot, n: i32, bitset: u32) -> Result<usize> {
    if n <= 1 {
        return wake_one(at, bitset).map(usize::from);
    }
    let key = at.key()?;
    Ok(bucket_of(key).lock().take_woken(key, n as usize, bitset).wake())
}

/// Wakes the first waiter; returns whether there was one.
pub fn wake_one(at: Spot, bitset: u32) -> Result<bool> {
    let key = at.key()?;
    let Some(one) = bucket_of(key).with(|bucket| bucket.take_one(key, bitset)) else { return Ok(false) };
    one.wake();
    Ok(true)
}

/// Wakes up to `wake` waiters and moves up to `move_` others to `to`. With `compare`, only if the word still has that
/// value. Returns woken plus moved.
pub fn requeue(from: Spot, to: Spot, wake: i32, move_: i32, compare: Option<u32>) -> Result<usize> {
    let (k1, k2) = (from.key()?, to.key()?);
    if wake < 0 || move_ < 0 {
        return Err(Errno::EINVAL);
    }
    let compare = compare.map(|expected| Word::at(from.addr).map(|word| (word, expected))).transpose()?;
    let (woken, moving) = loop {
        let mut bucket = bucket_of(k1).lock();
        if let Some((word, expected)) = compare {
            match word.load() {
                Some(v) if v == expected => {}
                Some(_) => return Err(Errno::EAGAIN),
                None => {
                    drop(bucket);
                    word.fault_in()?;
                    continue;
                }
            }
        }
        // The comparison held: from here on the operation happens. Bucket locks do not nest, so waiters on the move are
        // in neither bucket for a moment; `leave` waits for them, and a wake at `to` in that moment came before the
        // requeue.
        let woken = bucket.take_woken(k1, wake as usize, op::ANY);
        let moving = bucket.take_moving(k1, move_ as usize, k2);
        break (woken, moving);
    };
    let moved = if moving.count > 0 { moving.queue(&mut bucket_of(k2).lock()) } else { 0 };
    Ok(woken.wake() + moved)
}

/// FUTEX_WAKE_OP: changes the word at `b`, wakes waiters of `a`, and those of `b` if its old value passes the test. As
/// on Linux, at least one of each.
pub fn wake_op(a: Spot, b: Spot, wake_a: i32, wake_b: i32, packed: u32) -> Result<usize> {
    let p = Packed::decode(packed)?;
    let (ka, kb) = (a.key()?, b.key()?);
    let b = b.addr;
    let old = loop {
        let old: u32 = user::read(In::new(b))?;
        if word::compare_exchange(b, old, p.apply(old))? == old {
            break old;
        }
    };
    let woken = bucket_of(ka).lock().take_woken(ka, wake_a.max(1) as usize, op::ANY);
    let n = if p.test(old) { wake_b.max(1) as usize } else { 0 };
    // Both are collected before any is woken: a thread that waits again is not woken twice.
    let more = bucket_of(kb).lock().take_woken(kb, n, op::ANY);
    Ok(woken.wake() + more.wake())
}

#[cfg(test)]
mod tests;
