//! Each thread of the host is a thread of the program.

use super::*;
use std::sync::atomic::AtomicU32;
std::thread_local! {
    static ME: &'static Thread = {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let t = Thread::new(NEXT.fetch_add(1, Relaxed), true, None, (0, 0)).unwrap();
        super::super::table::insert(t.clone()).unwrap();
        // SAFETY: leaked, so valid forever.
        unsafe { &*Arc::into_raw(t) }
    };
}
/// The running thread (host tests: made at first use).
pub fn current() -> &'static Thread {
    ME.with(|m| *m)
}
/// The running thread.
pub fn try_current() -> Option<&'static Thread> {
    Some(current())
}
