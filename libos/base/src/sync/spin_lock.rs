//! Spin locks: short critical sections that never block, never fault and allocate little.

use super::check::{Order, Token};
use super::class;
use crate::percpu::{disable_interrupts, preempt_disable, preempt_enable, restore_interrupts};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

// Not a ticket lock: if the host preempted the vCPU that is next in line, all others would stall.
#[expect(clippy::disallowed_types, reason = "the wrapper itself")]
type Raw<T> = spin::mutex::SpinMutex<T>;
#[expect(clippy::disallowed_types, reason = "the wrapper itself")]
type RawGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;

/// What a lock keeps off its CPU while it is held.
pub trait Keeps {
    /// How it was before.
    type Before: Copy;
    /// Begins to.
    fn begin() -> Self::Before;
    /// Restores how it was.
    fn end(before: Self::Before);
}

/// Other threads.
pub struct Threads;
/// Interrupts, too.
pub struct Interrupts;

impl Keeps for Threads {
    type Before = ();
    #[inline(always)]
    fn begin() {
        preempt_disable();
    }
    #[inline(always)]
    fn end((): ()) {
        preempt_enable();
    }
}

impl Keeps for Interrupts {
    type Before = bool;
    #[inline(always)]
    fn begin() -> bool {
        let enable = disable_interrupts();
        preempt_disable();
        enable
    }
    #[inline(always)]
    fn end(enable: bool) {
        restore_interrupts(enable);
        preempt_enable();
    }
}

/// Nothing: interrupts are off already.
pub struct Nothing;

impl Keeps for Nothing {
    type Before = ();
    #[inline(always)]
    fn begin() {}
    #[inline(always)]
    fn end((): ()) {}
}

/// The lock behind [`SpinLock`] and [`IrqSpinLock`].
pub struct Spinning<K, T: ?Sized> {
    order: Order,
    keeps: PhantomData<K>,
    inner: Raw<T>,
}

/// A spin lock that disables preemption. Not for data that interrupt handlers touch.
pub type SpinLock<T> = Spinning<Threads, T>;
/// A spin lock for data that interrupt handlers share: disables interrupts while held.
pub type IrqSpinLock<T> = Spinning<Interrupts, T>;

/// Holds a lock.
pub struct Guard<'a, K: Keeps, T: ?Sized> {
    token: Token,
    /// Dropped by hand: before preemption is enabled again, and without checking whether it is there.
    inner: ManuallyDrop<RawGuard<'a, T>>,
    before: K::Before,
}

impl<T> SpinLock<T> {
    /// A free lock.
    pub const fn new(class: class::Spin, value: T) -> Self {
        Self { order: Order::new(class.0), keeps: PhantomData, inner: Raw::new(value) }
    }
}

impl<T> IrqSpinLock<T> {
    /// A free lock.
    pub const fn new(class: class::Irq, value: T) -> Self {
        Self { order: Order::new(class.0), keeps: PhantomData, inner: Raw::new(value) }
    }
}

impl<T: ?Sized> IrqSpinLock<T> {
    /// Spins until the lock is free, for callers that have turned interrupts off and keep them so.
    #[inline(always)]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock_with_irqs_off(&self) -> Guard<'_, Nothing, T> {
        let token = self.order.take();
        Guard { token, inner: ManuallyDrop::new(self.acquire()), before: () }
    }
}

/// Tells the compiler that what leads here is rare.
#[cold]
#[inline]
fn rare() {}

impl<K, T: ?Sized> Spinning<K, T> {
    /// The lock's own loop, laid out for a lock that is free: the wait is out of the way, and yet no call, which would
    /// make the function around it save registers.
    #[inline(always)]
    fn acquire(&self) -> RawGuard<'_, T> {
        loop {
            if let Some(guard) = self.inner.try_lock_weak() {
                return guard;
            }
            rare();
            while self.inner.is_locked() {
                core::hint::spin_loop();
            }
        }
    }
}

impl<K: Keeps, T: ?Sized> Spinning<K, T> {
    /// Runs `f` under the lock. Where every instruction counts: locking and releasing are inlined.
    #[inline(always)]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let before = K::begin();
        let token = self.order.take();
        let mut inner = self.acquire();
        let r = f(&mut inner);
        drop(inner);
        token.release();
        K::end(before);
        r
    }

    /// Spins until the lock is free.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> Guard<'_, K, T> {
        let before = K::begin();
        let token = self.order.take();
        Guard { token, inner: ManuallyDrop::new(self.acquire()), before }
    }

    /// Takes the lock if it is free.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<Guard<'_, K, T>> {
        let before = K::begin();
        let Some(inner) = self.inner.try_lock() else {
            K::end(before);
            return None;
        };
        Some(Guard { token: self.order.taken(0), inner: ManuallyDrop::new(inner), before })
    }

    /// Releases the lock by force, for the crash path, which must print whatever was held.
    ///
    /// # Safety
    /// No other CPU may still run code under the lock.
    pub unsafe fn force_unlock(&self) {
        // SAFETY: the caller's.
        unsafe { self.inner.force_unlock() };
    }
}

impl<K: Keeps, T: ?Sized> Drop for Guard<'_, K, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is the end of the guard; nothing touches `inner` afterwards.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
        self.token.release();
        K::end(self.before);
    }
}

impl<K: Keeps, T: ?Sized> Deref for Guard<'_, K, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<K: Keeps, T: ?Sized> DerefMut for Guard<'_, K, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}
