//! Waiting on several words at once (futex_waitv(2)).

use super::queue::Waiter;
use super::word::Word;
use super::{Spot, enqueue, op};
use crate::timer::wall::{self, When};
use alloc::vec::Vec;
use libos_base::thread::Wake;
use libos_base::{Errno, Result};

/// Waits until one of the words is woken, and returns which: the last one if there are several. EAGAIN: one of them has
/// another value; ETIMEDOUT, ERESTARTSYS.
pub fn wait(words: &[(Spot, u32)], until: When) -> Result<usize> {
    // They stay where they are while they are queued.
    let mut waiters = Vec::new();
    waiters.try_reserve_exact(words.len())?;
    for (spot, _) in words {
        waiters.push(Waiter::new(spot.key()?, op::ANY));
    }
    let mut queued = 0;
    let mut why = Ok(());
    for ((spot, expected), waiter) in words.iter().zip(&waiters) {
        why = Word::at(spot.addr).and_then(|word| enqueue(waiter.key_now(), word, *expected, waiter));
        if why.is_err() {
            break;
        }
        queued += 1;
    }
    let waiters = &waiters[..queued];
    while why.is_ok() && !waiters.iter().any(Waiter::is_woken) {
        why = match wall::park(until, true) {
            Wake::Token => Ok(()),
            Wake::Timeout => Err(Errno::ETIMEDOUT),
            Wake::Interrupted => Err(Errno::ERESTARTSYS),
        };
    }
    // All of them leave, whichever was woken.
    let woken = waiters.iter().enumerate().fold(None, |last, (i, w)| if w.leave() { Some(i) } else { last });
    woken.ok_or(why.err().unwrap_or(Errno::EAGAIN))
}
