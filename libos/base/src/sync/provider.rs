//! What another part of the kernel provides, once it is there.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A place for what a part of the kernel does for others: functions, or a `&dyn Trait`. Empty for as long as nobody who fills it
/// is linked and was started, so that those who ask link none of it.
pub struct Provider<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Provider<T> {
    /// Empty.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
    /// Fills it; the first call wins.
    pub fn provide(&self, what: &'static T) {
        let what = ptr::from_ref(what).cast_mut();
        let _ = self.0.compare_exchange(ptr::null_mut(), what, Ordering::Release, Ordering::Relaxed);
    }
    /// What is there.
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or a shared reference for ever, which any thread may have.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }
}

impl<T: Sync> Default for Provider<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[test]
fn the_first_stays() {
    static ANSWER: Provider<fn() -> u32> = Provider::new();
    assert!(ANSWER.get().is_none());
    ANSWER.provide(&((|| 1) as fn() -> u32));
    ANSWER.provide(&((|| 2) as fn() -> u32));
    assert_eq!(ANSWER.get().map(|f| f()), Some(1));
}
