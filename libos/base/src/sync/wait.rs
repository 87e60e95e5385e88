//! Wait queues.

use super::{IrqSpinLock, class};
use crate::thread::{self, Park, Wake};
use crate::{Errno, Result};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

struct Waiter {
    thread: Arc<dyn Park>,
    woken: AtomicBool,
}

/// Threads that wait for a condition, in FIFO order. Wakers may run in interrupts.
pub struct WaitQueue {
    /// Made by the first to wait.
    #[expect(clippy::box_collection, reason = "every blocking lock has one of these, and most are never waited for")]
    list: IrqSpinLock<Option<Box<VecDeque<Arc<Waiter>>>>>,
}

impl WaitQueue {
    /// No waiters.
    pub const fn new() -> Self {
        Self { list: IrqSpinLock::new(class::WAIT, None) }
    }

    /// Blocks until `ready` returns a value. `ready` runs without our locks. ETIMEDOUT at the deadline; ERESTARTSYS if
    /// `interruptible` and a signal interrupts.
    pub fn wait<T>(&self, deadline_ns: u64, interruptible: bool, ready: impl FnMut() -> Option<T>) -> Result<T> {
        self.wait_by(|| thread::park(deadline_ns, interruptible), ready)
    }

    /// [`wait`](Self::wait) with another way to park.
    pub fn wait_by<T>(&self, mut park: impl FnMut() -> Wake, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
        loop {
            if let Some(v) = ready() {
                return Ok(v);
            }
            let me = Arc::new(Waiter { thread: thread::current(), woken: AtomicBool::new(false) });
            self.list.lock().get_or_insert_default().push_back(me.clone());
            // Registering first and asking second means a wake-up between the two is not lost.
            let mut result = ready().map(Ok);
            while result.is_none() && !me.woken.load(Ordering::Acquire) {
                result = match park() {
                    Wake::Token => None,
                    Wake::Timeout => Some(ready().ok_or(Errno::ETIMEDOUT)),
                    Wake::Interrupted => Some(ready().ok_or(Errno::ERESTARTSYS)),
                };
            }
            if let Some(r) = result {
                self.leave(&me, r.is_err());
                return r;
            }
        }
    }

    /// Takes `me` off the list; a wake-up that was consumed without being used goes to the next waiter.
    fn leave(&self, me: &Arc<Waiter>, unused: bool) {
        if let Some(list) = &mut *self.list.lock() {
            list.retain(|w| !Arc::ptr_eq(w, me));
        }
        if unused && me.woken.load(Ordering::Acquire) {
            self.wake(1);
        }
    }

    /// Wakes at most `n` waiters; returns how many. Never more than were waiting when it began: threads that wait again
    /// meanwhile could keep it here forever.
    pub fn wake(&self, n: usize) -> usize {
        let n = if n > 1 { n.min(self.waiting()) } else { n };
        let mut woken = 0;
        while woken < n {
            let Some(w) = self.list.lock().as_mut().and_then(|list| list.pop_front()) else { break };
            w.woken.store(true, Ordering::Release);
            w.thread.unpark();
            woken += 1;
        }
        woken
    }

    fn waiting(&self) -> usize {
        self.list.lock().as_ref().map_or(0, |list| list.len())
    }

    /// Wakes every waiter.
    pub fn wake_all(&self) -> usize {
        self.wake(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn who_waits_again_is_not_woken_again() {
        let (queue, asked, end) = (WaitQueue::new(), AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    queue.wait(thread::FOREVER, false, || {
                        asked.fetch_add(1, Ordering::SeqCst);
                        end.load(Ordering::SeqCst).then_some(())
                    })
                });
            }
            for _ in 0..200 {
                while queue.waiting() < 8 {
                    std::thread::yield_now();
                }
                assert!(queue.wake_all() <= 8);
            }
            end.store(true, Ordering::SeqCst);
            while queue.wake_all() > 0 {}
        });
        assert!(asked.load(Ordering::SeqCst) >= 200);
    }
}
