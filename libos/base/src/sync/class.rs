//! The classes of locks: the lock order of the whole kernel.
//!
//! A thread may take a lock only if the classes of all locks that it holds stand above that lock's class in the list
//! ([`list`](self::list)). So a class's rank is its place in the list; blocking locks come before spin locks, and spin
//! locks that leave interrupts on before those that turn them off, since an interrupt counts as part of the thread it
//! interrupts.

mod list;

pub use list::*;

/// A class, by its place in the list.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(pub(super) u8);

/// Class of a [`Mutex`](super::Mutex).
#[derive(Clone, Copy)]
pub struct Blocking(pub(super) Class);
/// Class of a [`SpinLock`](super::SpinLock).
#[derive(Clone, Copy)]
pub struct Spin(pub(super) Class);
/// Class of an [`IrqSpinLock`](super::IrqSpinLock).
#[derive(Clone, Copy)]
pub struct Irq(pub(super) Class);

/// How waiters for a lock wait, and what its holder keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A [`Mutex`](super::Mutex).
    Blocking,
    /// A [`SpinLock`](super::SpinLock).
    Spin,
    /// An [`IrqSpinLock`](super::IrqSpinLock).
    Irq,
}

/// Whether two locks of one class may be held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nests {
    /// Not at all.
    No,
    /// In the order that each place states with [`lock_nested`](super::Mutex::lock_nested), following this rule.
    Stated(&'static str),
}

/// A line of the list.
pub struct Line {
    /// The constant's name.
    pub name: &'static str,
    /// The part of the kernel.
    pub part: &'static str,
    /// What kind of lock.
    pub kind: Kind,
    /// Whether two of its locks nest.
    pub nests: Nests,
    /// What the lock is for, and why it stands where it does.
    pub why: &'static str,
}

impl Class {
    /// What the list says about this class.
    pub fn line(self) -> &'static Line {
        &LIST[self.0 as usize]
    }
}

#[cfg(test)]
mod tests;
