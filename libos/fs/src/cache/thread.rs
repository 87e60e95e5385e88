//! Background write-back of what is old or too much. The thread starts with the first dirty page and sleeps while there
//! is none.

use super::global;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libos_base::sync::WaitQueue;
use libos_base::thread::FOREVER;
use libos_base::time;

/// How often it checks (vm.dirty_writeback_centisecs), and the age from which pages are written. Linux waits 30 s
/// (vm.dirty_expire_centisecs) to spare sleeping disks; there are none here.
const PERIOD_NS: u64 = 5 * time::NS;
const AGE_NS: u64 = 5 * time::NS;

static STARTED: AtomicBool = AtomicBool::new(false);
/// It is sleeping and nothing was dirty.
static IDLE: AtomicBool = AtomicBool::new(false);
/// It should check now.
static NOW: AtomicBool = AtomicBool::new(false);
static WAKE: WaitQueue = WaitQueue::new();

/// Makes sure that the thread exists and will check in time; `now`: at once.
pub fn wake(now: bool) {
    if !STARTED.load(Relaxed) && !STARTED.swap(true, Relaxed) {
        if libos_base::thread::spawn("writeback", run).is_err() {
            // Those who dirty pages write them back themselves, and the next one tries again.
            STARTED.store(false, Relaxed);
        }
        return;
    }
    if (now || IDLE.load(Relaxed)) && !NOW.swap(true, Relaxed) {
        WAKE.wake(1);
    }
}

fn run() {
    loop {
        let deadline = if global::any_dirty() {
            time::after(PERIOD_NS)
        } else {
            IDLE.store(true, Relaxed);
            // Was something dirtied before it could see that we are idle?
            if global::any_dirty() { time::after(PERIOD_NS) } else { FOREVER }
        };
        let _ = WAKE.wait(deadline, false, || NOW.swap(false, Relaxed).then_some(()));
        if IDLE.swap(false, Relaxed) && deadline == FOREVER {
            // The first page has only just become dirty: nothing is old.
            continue;
        }
        look();
    }
}

fn look() {
    let much = global::over_background();
    let now = time::monotonic_ns();
    let old = |c: &super::FileCache| {
        let t = c.tree.lock();
        t.dirty > 0 && now.saturating_sub(t.dirty_since) >= AGE_NS
    };
    for file in global::dirty_files(|c| much || !c.is_orphan() && old(c)) {
        // Errors are reported through the file's error sequence.
        let _ = file.cache.flush(0..u64::MAX);
    }
}
