//! Robust mutexes: what a thread held when it ended (linux/futex.h, struct robust_list_head).

use super::{Spot, op, wake, word};
use libos_base::abi::In;
use libos_base::{Errno, Result, user};

/// FUTEX_WAITERS, FUTEX_OWNER_DIED, FUTEX_TID_MASK.
pub(super) const WAITERS: u32 = 0x8000_0000;
pub(super) const OWNER_DIED: u32 = 0x4000_0000;
pub(super) const TID_MASK: u32 = 0x3fff_ffff;
/// A list may be a cycle that never comes back to its head.
const LIMIT: usize = 2048;
/// Low bit of a link: a priority-inheritance mutex.
const PI: usize = 1;

/// Size of struct robust_list_head.
pub const HEAD_SIZE: usize = 24;

/// Marks every lock on the list at `head` as owned by a dead thread, and wakes one waiter of each.
pub fn thread_ends(head: usize, tid: u32) {
    // A broken list ends where it is broken; the thread ends either way.
    let _ = walk(head, tid);
}

fn walk(head: usize, tid: u32) -> Result<()> {
    let [mut entry, offset, pending]: [usize; 3] = user::read(In::new(head))?;
    let mut left = LIMIT;
    while entry & !PI != head && left > 0 {
        // Read before the lock is let go: its next owner may reuse the link.
        let next = user::read::<usize>(In::new(entry & !PI));
        if entry != pending {
            release(entry, offset, tid)?;
        }
        entry = next?;
        left -= 1;
    }
    if pending != 0 {
        release(pending, offset, tid)?;
    }
    Ok(())
}

fn release(entry: usize, offset: usize, tid: u32) -> Result<()> {
    let addr = (entry & !PI).wrapping_add(offset);
    if !addr.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    loop {
        let v: u32 = user::read(In::new(addr))?;
        if v & TID_MASK != tid {
            return Ok(());
        }
        if word::compare_exchange(addr, v, v & WAITERS | OWNER_DIED)? == v {
            // Those of a lock with owners are served when what the thread owned is handed over.
            if v & WAITERS != 0 && entry & PI == 0 {
                wake(Spot::of(addr, true), 1, op::ANY)?;
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn held_locks_are_marked_and_others_left_alone() {
        #[repr(C)]
        struct Lock {
            next: usize,
            word: u32,
        }
        // Atomic, as it is written after its address was taken.
        let head = [0, core::mem::offset_of!(Lock, word), 0].map(AtomicUsize::new);
        let h = head.as_ptr() as usize;
        let mut b = Lock { next: h, word: 9 };
        let mut a = Lock { next: &raw mut b as usize, word: 7 | WAITERS };
        let mut pending = Lock { next: 0, word: 7 };
        head[0].store(&raw mut a as usize, Ordering::Relaxed);
        head[2].store(&raw mut pending as usize, Ordering::Relaxed);
        thread_ends(h, 7);
        assert_eq!(a.word, WAITERS | OWNER_DIED);
        assert_eq!(b.word, 9);
        assert_eq!(pending.word, OWNER_DIED);
    }
}
