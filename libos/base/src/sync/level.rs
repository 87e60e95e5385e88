//! A lock order that the compiler checks, for a family of functions that call each other with locks held.
//!
//! Levels are types, and each [`Before`] says that one may follow another. A [`May`] is the proof that its holder is at
//! a level. Taking a [`Leveled`] lock borrows the proof and returns one of the lock's level, so that while the lock is
//! held only what comes after it can be taken. None of this is left in the compiled code.
//!
//! ```
//! use libos_base::sync::{Before, Leveled, May, class};
//! struct Free;
//! struct Outer;
//! struct Inner;
//! impl Before<Outer> for Free {}
//! impl Before<Inner> for Outer {}
//! fn both(outer: &Leveled<Outer, ()>, inner: &Leveled<Inner, ()>) {
//!     let mut may = May::<Free>::begin();
//!     let (_outer, mut may) = outer.lock(&mut may);
//!     let (_inner, _may) = inner.lock(&mut may);
//! }
//! ```

use super::{Mutex, MutexGuard, class};
use core::marker::PhantomData;

/// A lock of level `L` may be taken at this level.
pub trait Before<L> {}

/// Proof that its holder is at level `L`.
pub struct May<'a, L>(PhantomData<&'a mut L>);

impl<L> May<'static, L> {
    /// Where a family's functions are entered from outside: the caller holds none of its locks. This is taken on trust
    /// here, and checked by [`check`](super::check) as with any other lock.
    pub const fn begin() -> Self {
        Self(PhantomData)
    }
}

impl<L> May<'_, L> {
    /// Moves on to a later level without taking its lock.
    pub const fn to<M>(&mut self) -> May<'_, M>
    where
        L: Before<M>,
    {
        May(PhantomData)
    }
}

/// A [`Mutex`] of a level.
pub struct Leveled<L, T>(Mutex<T>, PhantomData<L>);

impl<L, T> Leveled<L, T> {
    /// A free lock.
    pub const fn new(class: class::Blocking, value: T) -> Self {
        Self(Mutex::new(class, value), PhantomData)
    }

    /// Waits until the lock is free. While it is held, `may` is borrowed, and the returned proof takes its place.
    #[inline]
    #[cfg_attr(debug_assertions, track_caller)]
    pub fn lock<'a, B: Before<L>>(&'a self, may: &'a mut May<'_, B>) -> (MutexGuard<'a, T>, May<'a, L>) {
        let _ = may;
        (self.0.lock(), May(PhantomData))
    }
}

#[cfg(doctest)]
#[doc = include_str!("tests/level.md")]
pub mod refused {}
