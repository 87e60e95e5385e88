//! Each thread of the host has its own set of held locks.

use crate::sync::check::{Entry, Held, LockCheck};
use core::cell::RefCell;
use core::fmt;

pub struct Host;

impl LockCheck for Host {
    fn held() -> *mut Held {
        unreachable!("the set is the thread's own variable here")
    }
    fn fault(what: fmt::Arguments<'_>, held: &Entry) -> ! {
        panic!("{what}; {held}")
    }
}

std::thread_local! { static HELD: RefCell<Held> = const { RefCell::new(Held::new()) }; }

pub fn with<R>(f: impl FnOnce(&mut Held) -> R) -> R {
    HELD.with_borrow_mut(f)
}
pub fn in_interrupt() -> bool {
    false
}
pub fn in_kernel() -> bool {
    true
}
pub fn interrupt(_: bool) {}
