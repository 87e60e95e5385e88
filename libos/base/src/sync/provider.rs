//! What another part of the kernel provides once it is there.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A slot for what one part of the kernel does for others: functions, or a `&dyn Trait`. Empty until the part that
/// fills it is linked and started, so that its users do not link it.
pub struct Provider<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Provider<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
    /// Fills it; only the first call has an effect.
    pub fn provide(&self, what: &'static T) {
        let what = ptr::from_ref(what).cast_mut();
        let _ = self.0.compare_exchange(ptr::null_mut(), what, Ordering::Release, Ordering::Relaxed);
    }
    /// The content, if any.
    pub fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or a shared `'static` reference, which any thread may have.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
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
