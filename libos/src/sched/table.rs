//! The list of all threads except the idle ones, by number.

use super::cpu;
use super::thread::{Thread, Usage};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::sync::{IrqSpinLock, class};
use libos_base::{Errno, Result};

/// Linux's default kernel.pid_max on 64-bit.
const TID_MAX: u32 = 1 << 22;

struct Table {
    /// Sorted by number.
    threads: Vec<Arc<Thread>>,
    next: u32,
    program: usize,
    /// What threads of the program have used that have ended.
    ended: Usage,
}

static TABLE: IrqSpinLock<Table> = {
    let ended = Usage { cpu_ns: 0, switches: [0; 2], faults: [0; 2] };
    IrqSpinLock::new(class::THREADS, Table { threads: Vec::new(), next: super::PID + 1, program: 0, ended })
};
/// Threads that every run queue has room for.
static CAPACITY: AtomicUsize = AtomicUsize::new(16);

pub(super) fn capacity() -> usize {
    CAPACITY.load(Relaxed)
}

/// An unused thread number.
pub(super) fn new_tid() -> u32 {
    let mut t = TABLE.lock();
    loop {
        let tid = t.next;
        t.next = if tid + 1 >= TID_MAX { super::PID + 1 } else { tid + 1 };
        if t.threads.binary_search_by_key(&tid, |t| t.tid).is_err() {
            return tid;
        }
    }
}

/// Adds a thread, and room for it in every run queue. EAGAIN when memory is short, as for clone.
pub(super) fn insert(thread: Arc<Thread>) -> Result<()> {
    let count = {
        let mut t = TABLE.lock();
        t.threads.try_reserve(1).map_err(|_| Errno::EAGAIN)?;
        let at = t.threads.binary_search_by_key(&thread.tid, |t| t.tid).unwrap_or_else(|at| at);
        t.program += thread.is_program as usize;
        t.threads.insert(at, thread.clone());
        t.threads.len()
    };
    if count > capacity() {
        let want = (2 * count).max(16);
        for c in cpu::all() {
            if c.run.lock().queue.reserve(want).is_err() {
                remove(&thread);
                return Err(Errno::EAGAIN);
            }
        }
        CAPACITY.fetch_max(want, Relaxed);
    }
    Ok(())
}

/// Removes a thread; returns how many program threads remain.
pub(super) fn remove(thread: &Thread) -> usize {
    let mut t = TABLE.lock();
    let gone = t.threads.binary_search_by_key(&thread.tid, |t| t.tid).ok().map(|at| t.threads.remove(at));
    if gone.is_some() && thread.is_program {
        t.program -= 1;
        // Once: a program thread leaves the table before the rest of it ends.
        t.ended.add(&thread.usage());
    }
    let left = t.program;
    drop(t);
    drop(gone);
    left
}

/// What the program has used: the threads that are and that were. Under one lock, so that none is missed as it ends.
pub fn process_usage() -> Usage {
    let t = TABLE.lock();
    let mut sum = t.ended;
    for thread in t.threads.iter().filter(|t| t.is_program) {
        sum.add(&thread.usage());
    }
    sum
}

/// CPU time of the program.
pub fn process_cpu_ns() -> u64 {
    let t = TABLE.lock();
    t.ended.cpu_ns + t.threads.iter().filter(|t| t.is_program).map(|t| t.cpu_ns()).sum::<u64>()
}

/// The thread with this number.
pub fn find(tid: u32) -> Option<Arc<Thread>> {
    let t = TABLE.lock();
    let at = t.threads.binary_search_by_key(&tid, |t| t.tid).ok()?;
    Some(t.threads[at].clone())
}

/// How many threads the program has.
pub fn program_threads() -> usize {
    TABLE.lock().program
}

/// Calls `f` for every thread, in the order of their numbers, with no lock held. Threads that come or go meanwhile may
/// or may not be seen.
pub fn for_each_thread(mut f: impl FnMut(&Arc<Thread>)) {
    let mut after = 0;
    loop {
        let next = {
            let t = TABLE.lock();
            let at = t.threads.partition_point(|t| t.tid <= after);
            t.threads.get(at).cloned()
        };
        let Some(t) = next else { return };
        after = t.tid;
        f(&t);
    }
}
