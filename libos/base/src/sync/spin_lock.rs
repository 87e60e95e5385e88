//! Spin locks: short critical sections that never block, never fault and allocate little.

use super::check::{Order, Token};
use super::class;
use crate::percpu::{interrupts_off, preempt_disable, preempt_enable, restore_interrupts};
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

// Not a ticket lock: if the host preempted the vCPU that is next in line, all others would stall.
#[expect(clippy::disallowed_types, reason = "the wrapper itself")]
type Raw<T> = spin::mutex::SpinMutex<T>;
#[expect(clippy::disallowed_types, reason = "the wrapper itself")]
type RawGuard<'a, T> = spin::mutex::SpinMutexGuard<'a, T>;

/// A spin lock that disables preemption. Not for data that interrupt handlers touch.
pub struct SpinLock<T: ?Sized> {
    order: Order,
    inner: Raw<T>,
}

/// Holds a [`SpinLock`].
pub struct SpinGuard<'a, T: ?Sized> {
    token: Token,
    /// Dropped by hand: before preemption is enabled again, and without checking whether it is there.
    inner: ManuallyDrop<RawGuard<'a, T>>,
}

impl<T> SpinLock<T> {
    /// A free lock.
    pub const fn new(class: class::Spin, value: T) -> Self {
        Self { order: Order::new(class.0), inner: Raw::new(value) }
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Spins until the lock is free.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> SpinGuard<'_, T> {
        preempt_disable();
        let token = self.order.take();
        SpinGuard { token, inner: ManuallyDrop::new(self.inner.lock()) }
    }

    /// Takes the lock if it is free.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        preempt_disable();
        match self.inner.try_lock() {
            Some(g) => {
                let token = self.order.taken(0);
                Some(SpinGuard { token, inner: ManuallyDrop::new(g) })
            }
            None => {
                preempt_enable();
                None
            }
        }
    }
}

impl<T: ?Sized> Drop for SpinGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is the end of the guard; nothing touches `inner` afterwards.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
        self.token.release();
        preempt_enable();
    }
}

/// A spin lock for data that interrupt handlers share: disables interrupts while held.
pub struct IrqSpinLock<T: ?Sized> {
    order: Order,
    inner: Raw<T>,
}

/// Holds an [`IrqSpinLock`].
pub struct IrqGuard<'a, T: ?Sized> {
    token: Token,
    inner: ManuallyDrop<RawGuard<'a, T>>,
    enable: bool,
}

impl<T> IrqSpinLock<T> {
    /// A free lock.
    pub const fn new(class: class::Irq, value: T) -> Self {
        Self { order: Order::new(class.0), inner: Raw::new(value) }
    }
}

impl<T: ?Sized> IrqSpinLock<T> {
    /// Turns interrupts off and spins until the lock is free.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock(&self) -> IrqGuard<'_, T> {
        let enable = interrupts_off();
        preempt_disable();
        let token = self.order.take();
        IrqGuard { token, inner: ManuallyDrop::new(self.inner.lock()), enable }
    }

    /// Takes the lock if it is free.
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn try_lock(&self) -> Option<IrqGuard<'_, T>> {
        let enable = interrupts_off();
        preempt_disable();
        match self.inner.try_lock() {
            Some(g) => {
                let token = self.order.taken(0);
                Some(IrqGuard { token, inner: ManuallyDrop::new(g), enable })
            }
            None => {
                restore_interrupts(enable);
                preempt_enable();
                None
            }
        }
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

impl<T: ?Sized> Drop for IrqGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this is the end of the guard; nothing touches `inner` afterwards.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
        self.token.release();
        restore_interrupts(self.enable);
        preempt_enable();
    }
}

macro_rules! deref {
    ($($guard:ident),*) => { $(
        impl<T: ?Sized> Deref for $guard<'_, T> {
            type Target = T;
            #[inline(always)]
            fn deref(&self) -> &T {
                &self.inner
            }
        }
        impl<T: ?Sized> DerefMut for $guard<'_, T> {
            #[inline(always)]
            fn deref_mut(&mut self) -> &mut T {
                &mut self.inner
            }
        }
    )* };
}
deref!(SpinGuard, IrqGuard);
