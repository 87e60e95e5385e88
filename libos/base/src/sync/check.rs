//! The lock checker of host builds and the debug kernel.
//!
//! Each thread has a set of the locks it holds; before the scheduler runs, each CPU has one. A spin lock keeps its
//! thread on its CPU, so the thread's set is also the CPU's, and locks taken in an interrupt are added to the set of
//! the interrupted thread: they have to come after those that the thread holds.

use super::class::{Class, Kind, Nests, PROGRAM_MEMORY};
use super::mutex::DEEPER;
use core::fmt;
use core::panic::Location;
use core::sync::atomic::{AtomicBool, Ordering};

/// Most locks that one thread holds.
const MOST: usize = 24;
/// How many calls are recorded of the stack on which a lock was taken.
#[cfg(unibody_kernel)]
const DEPTH: usize = 12;

static OFF: AtomicBool = AtomicBool::new(false);

/// A crash is being reported, whatever locks are held: checks nothing from now on.
pub fn stop() {
    OFF.store(true, Ordering::SeqCst);
}

/// A lock that is held.
#[derive(Clone, Copy)]
pub struct Entry {
    class: Class,
    /// See [`Nests::Stated`].
    step: u8,
    lock: usize,
    /// Where it was taken.
    at: Option<&'static Location<'static>>,
    /// The calls that led there, innermost first; zeros after the last one.
    #[cfg(unibody_kernel)]
    stack: [usize; DEPTH],
}

/// The locks held by a thread.
pub struct Held {
    len: usize,
    list: [Entry; MOST],
}

impl Held {
    /// An empty set. All zeros, for `.bss`.
    pub const fn new() -> Self {
        // SAFETY: numbers, and a reference that may be absent.
        unsafe { core::mem::zeroed() }
    }

    /// Outermost first.
    pub fn all(&self) -> &[Entry] {
        &self.list[..self.len]
    }
}

impl Entry {
    /// The calls that led to where the lock was taken, innermost first.
    pub fn stack(&self) -> impl Iterator<Item = usize> {
        #[cfg(unibody_kernel)]
        return self.stack.into_iter().take_while(|&call| call != 0);
        #[cfg(not(unibody_kernel))]
        core::iter::empty()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.map_or("", |at| at.file());
        write!(f, "{} was taken at {at}:{}", self.class, self.at.map_or(0, Location::line))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line().name)
    }
}

/// The part of a lock that knows its class.
pub(super) struct Order(Class);

/// The part of a guard that knows what it holds.
pub(super) struct Token(usize);

impl Order {
    pub const fn new(class: Class) -> Self {
        Self(class)
    }

    /// Checks that the lock may be taken here; `step` is its place among others of its class.
    #[track_caller]
    pub fn wanted(&self, step: u8) {
        let at = Location::caller();
        if self.0.line().kind == Kind::Blocking {
            waits(format_args!("the thread may wait for {} at {at}", self.0));
        }
        let lock = self.address();
        refuse(
            |held| in_order(held, self.0, step, lock),
            |held| fail(format_args!("lock order: {} is taken at {at} under {}", self.0, held.class), held),
        );
    }

    /// Records that the lock is taken.
    #[track_caller]
    pub fn taken(&self, step: u8) -> Token {
        assert!(OFF.load(Ordering::Relaxed) || context::in_kernel(), "{} is taken on a program's stack", self.0);
        let entry = Entry {
            class: self.0,
            step,
            lock: self.address(),
            at: Some(Location::caller()),
            #[cfg(unibody_kernel)]
            stack: context::stack(),
        };
        if self.0.line().kind == Kind::Spin && context::in_interrupt() {
            fail(format_args!("{} is taken in an interrupt, but leaves interrupts on", self.0), &entry);
        }
        let room = with(|set| {
            let room = set.len < MOST;
            if room {
                set.list[set.len] = entry;
                set.len += 1;
            }
            room
        });
        if room == Some(false) {
            fail(format_args!("one thread holds {MOST} locks and takes {}", self.0), &entry);
        }
        Token(entry.lock)
    }

    /// [`Self::wanted`] and [`Self::taken`].
    #[track_caller]
    pub fn take(&self) -> Token {
        self.wanted(0);
        self.taken(0)
    }

    fn address(&self) -> usize {
        &raw const *self as usize
    }
}

impl Token {
    /// Records that the lock is free again.
    pub fn release(&self) {
        let known = with(|set| {
            let i = set.all().iter().rposition(|e| e.lock == self.0)?;
            set.list.copy_within(i + 1..set.len, i);
            set.len -= 1;
            Some(())
        });
        assert!(known != Some(None), "a lock is released by a thread that does not hold it");
    }
}

/// Whether `class` may be taken under `held`.
fn in_order(held: &Entry, class: Class, step: u8, lock: usize) -> bool {
    let among =
        matches!(class.line().nests, Nests::Stated(_)) && (held.step < step || step == DEEPER) && held.lock != lock;
    held.class < class || held.class == class && among
}

/// Checks that the thread may wait here: it holds no spin lock, and this is no interrupt.
pub fn may_wait() {
    waits(format_args!("the thread may wait"));
}

fn waits(what: fmt::Arguments<'_>) {
    refuse(
        |held| held.class.line().kind == Kind::Blocking,
        |held| fail(format_args!("{what} under {}", held.class), held),
    );
    assert!(!context::in_interrupt(), "{what} in an interrupt");
}

/// Checks that program memory may be touched here, which may fault: no lock is held that the fault may take.
pub fn may_fault() {
    let class = PROGRAM_MEMORY.0;
    refuse(
        |held| held.class < class,
        |held| fail(format_args!("program memory is touched under {}", held.class), held),
    );
}

/// The thread leaves the kernel, or ends: checks that it holds nothing.
pub fn nothing_held(what: &str) {
    refuse(|_| false, |held| fail(format_args!("{} is held at {what}", held.class), held));
}

/// Interrupt handlers are running; they must end with the locks that they began with.
pub struct Interrupt(usize);

impl Interrupt {
    pub fn begin() -> Self {
        context::interrupt(true);
        Self(with(|set| set.len).unwrap_or(0))
    }
    pub fn end(self) {
        context::interrupt(false);
        let left = with(|set| set.all().get(self.0).copied()).flatten();
        if let Some(held) = left {
            fail(format_args!("{} is held at an interrupt's end", held.class), &held);
        }
    }
}

/// Calls `then` with the first held lock that is not `fine`.
fn refuse(fine: impl Fn(&Entry) -> bool, then: impl FnOnce(&Entry)) {
    if let Some(Some(held)) = with(|set| set.all().iter().find(|held| !fine(held)).copied()) {
        then(&held);
    }
}

/// Calls `f` with this thread's set. Interrupts are off, since their handlers use it too.
fn with<R>(f: impl FnOnce(&mut Held) -> R) -> Option<R> {
    if OFF.load(Ordering::Relaxed) {
        return None;
    }
    Some(context::with(f))
}

#[cold]
fn fail(what: fmt::Arguments<'_>, held: &Entry) -> ! {
    fault(what, held)
}

crate::upcalls! {
    ($)
    /// What the check needs.
    trait LockCheck, defined by define_lock_check, on the host by crate::host::locks::Host;
    /// The locks that the running thread holds.
    fn held() -> *mut libos_base::sync::check::Held;
    /// A lock was used against the rules: reports where `held` was taken and the current place.
    fn fault(what: core::fmt::Arguments<'_>, held: &libos_base::sync::check::Entry) -> !;
}

#[cfg(not(unibody_kernel))]
use crate::host::locks as context;

#[cfg(unibody_kernel)]
mod context {
    use super::{DEPTH, Held, held};
    use crate::arch;
    use crate::percpu::{disable_interrupts, restore_interrupts};

    pub fn with<R>(f: impl FnOnce(&mut Held) -> R) -> R {
        let enable = disable_interrupts();
        // SAFETY: this is the running thread's own set, and nothing else runs on this CPU meanwhile.
        let result = f(unsafe { &mut *held() });
        restore_interrupts(enable);
        result
    }

    pub fn in_interrupt() -> bool {
        arch::interrupt_depth() != 0
    }

    /// Whether this is a kernel stack, as far as there are threads yet.
    #[inline(always)]
    pub fn in_kernel() -> bool {
        let (frame, bottom, top) = arch::frame_and_stack();
        top == 0 || (bottom..top).contains(&frame)
    }

    pub fn interrupt(begin: bool) {
        arch::interrupt_depth_add(if begin { 1 } else { -1 });
    }

    /// The calls that led here, as far as they are on this thread's kernel stack.
    #[inline(always)]
    pub fn stack() -> [usize; DEPTH] {
        let (mut frame, bottom, top) = arch::frame_and_stack();
        let mut calls = [0; DEPTH];
        for call in &mut calls {
            if frame < bottom || frame + 16 > top || !frame.is_multiple_of(8) {
                break;
            }
            // SAFETY: on this thread's stack, aligned.
            let [next, back] = unsafe { (frame as *const [usize; 2]).read_volatile() };
            if back == 0 {
                break;
            }
            // Within the call itself: the return address may already belong to another function.
            *call = back - 1;
            frame = next;
        }
        calls
    }
}

#[cfg(test)]
mod tests;
