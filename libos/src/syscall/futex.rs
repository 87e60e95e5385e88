//! Futexes: the one call for everything, and the newer ones for each operation.

use super::support::only;
use crate::futex::{self, Spot, op, several};
use crate::timer::wall::{Line, When};
use libos_base::abi::{Address, Bits, ClockId, Futex2Flags, FutexArgument, FutexOperation, FutexWaitV, In, Timespec};
use libos_base::{Errno, Result, user};

/// The fourth argument is a time-out or a count, depending on the operation.
pub fn futex(
    addr: Address,
    operation: FutexOperation,
    val: u32,
    timeout: FutexArgument,
    addr2: Address,
    val3: Bits,
) -> Result<usize> {
    // What locks and conditions do all the time.
    let spot = Spot::of(addr.0, operation.bits() & op::PRIVATE == 0);
    match operation.bits() {
        op::WAKE_PRIVATE if val == 1 => futex::wake_one(spot, op::ANY).map(usize::from),
        op::WAIT | op::WAIT_PRIVATE if timeout.0 == 0 => futex::wait(spot, val, op::ANY, When::NEVER).map(|()| 0),
        _ => any_futex(spot, operation, val, timeout, addr2, val3),
    }
}

#[inline(never)]
fn any_futex(
    spot: Spot,
    operation: FutexOperation,
    val: u32,
    timeout: FutexArgument,
    addr2: Address,
    val3: Bits,
) -> Result<usize> {
    use op::{Deadline, Op, Owned};
    let (op, when) = op::decode(operation.bits(), val3.0)?;
    let other = Spot::of(addr2.0, spot.shared);
    if spot.shared {
        futex::mapped(spot.addr)?;
        if matches!(op, Op::Requeue { .. } | Op::WakeOp) {
            futex::mapped(addr2.0)?;
        }
    }
    let until = || {
        if timeout.0 == 0 {
            return Ok(When::NEVER);
        }
        let ns = user::read::<Timespec>(timeout.to())?.to_ns()?;
        Ok::<_, Errno>(match when {
            Deadline::Relative => When::after(ns),
            Deadline::Monotonic => When { ns, line: Line::Monotonic },
            Deadline::Realtime => When { ns, line: Line::Wall },
        })
    };
    match op {
        Op::Wait { bitset } => futex::wait(spot, val, bitset, until()?).map(|()| 0),
        Op::Wake { bitset } => futex::wake(spot, val as i32, bitset),
        Op::Requeue { compare } => futex::requeue(spot, other, val as i32, timeout.0 as i32, compare.then_some(val3.0)),
        Op::WakeOp => futex::wake_op(spot, other, val as i32, timeout.0 as i32, val3.0),
        Op::Owned(which) => {
            let pi = futex::PI.get().ok_or(Errno::ENOSYS)?;
            match which {
                Owned::Lock => (pi.lock)(spot, until()?, false),
                Owned::TryLock => (pi.lock)(spot, When::NEVER, true),
                Owned::Unlock => (pi.unlock)(spot),
                Owned::WaitRequeue => (pi.wait_requeue)(spot, val, until()?, other),
                Owned::Requeue => return (pi.requeue)(spot, other, val as i32, timeout.0 as i32, val3.0),
            }
            .map(|()| 0)
        }
    }
}

/// The word that newer calls mean: they know sizes, of which there is one.
fn word(addr: usize, flags: Futex2Flags) -> Result<Spot> {
    only(flags - Futex2Flags::PRIVATE, Futex2Flags::SIZE_U32)?;
    if !flags.contains(Futex2Flags::SIZE_U32) {
        return Err(Errno::EINVAL);
    }
    Ok(Spot::of(addr, !flags.contains(Futex2Flags::PRIVATE)))
}

fn number(v: u64) -> Result<u32> {
    u32::try_from(v).map_err(|_| Errno::EINVAL)
}

/// An absolute time of one of two clocks; EINVAL: another clock.
fn until(timeout: In<Timespec>, clock: ClockId) -> Result<When> {
    let Some(timeout) = timeout.given() else { return Ok(When::NEVER) };
    let line = match clock {
        ClockId::REALTIME => Line::Wall,
        ClockId::MONOTONIC => Line::Monotonic,
        _ => return Err(Errno::EINVAL),
    };
    Ok(When { ns: user::read(timeout)?.to_ns()?, line })
}

/// The most words that `futex_waitv` waits on.
const WORDS: u32 = 128;

fn words(list: In<FutexWaitV>, count: usize) -> Result<alloc::vec::Vec<(Spot, u32)>> {
    let mut words = alloc::vec::Vec::new();
    words.try_reserve_exact(count)?;
    for i in 0..count {
        let w = user::read(list.nth(i))?;
        let flags = Futex2Flags::from_bits_retain(w.flags);
        if w.reserved != 0 {
            return Err(Errno::EINVAL);
        }
        words.push((word(w.uaddr as usize, flags)?, number(w.val)?));
    }
    Ok(words)
}

pub fn futex_waitv(
    list: In<FutexWaitV>,
    count: u32,
    flags: Bits,
    timeout: In<Timespec>,
    clock: ClockId,
) -> Result<usize> {
    if flags.0 != 0 || count == 0 || count > WORDS || list.is_null() {
        return Err(Errno::EINVAL);
    }
    let until = until(timeout, clock)?;
    several::wait(&words(list, count as usize)?, until)
}

pub fn futex_wake(addr: Address, mask: u64, count: i32, flags: Futex2Flags) -> Result<usize> {
    let (spot, mask) = (word(addr.0, flags)?, number(mask)?);
    if mask == 0 {
        return Err(Errno::EINVAL);
    }
    if spot.shared {
        futex::mapped(spot.addr)?;
    }
    // Unlike the older call, none means none.
    if count == 0 { Ok(0) } else { futex::wake(spot, count, mask) }
}

pub fn futex_wait(
    addr: Address,
    val: u64,
    mask: u64,
    flags: Futex2Flags,
    timeout: In<Timespec>,
    clock: ClockId,
) -> Result<()> {
    let (spot, val, mask) = (word(addr.0, flags)?, number(val)?, number(mask)?);
    if mask == 0 {
        return Err(Errno::EINVAL);
    }
    futex::wait(spot, val, mask, until(timeout, clock)?)
}

pub fn futex_requeue(list: In<FutexWaitV>, flags: Bits, wake: i32, more: i32) -> Result<usize> {
    if flags.0 != 0 || list.is_null() {
        return Err(Errno::EINVAL);
    }
    let both = words(list, 2)?;
    futex::requeue(both[0].0, both[1].0, wake, more, Some(both[0].1))
}
