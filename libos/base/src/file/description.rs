//! What every open file description has, whatever the kind of file.

use crate::abi::{FileOwner, OpenFlags};
use crate::sync::Provider;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Status flags including the access mode, and who gets signals. Each kind of file contains one.
#[derive(Debug)]
pub struct Description {
    flags: AtomicU32,
    /// Type and number; the number 0 means nobody.
    owner: AtomicU64,
    signal: AtomicI32,
}

/// Flags that matter to `open` only; F_GETFL does not show them.
const TRANSIENT: OpenFlags =
    OpenFlags::CREAT.union(OpenFlags::EXCL).union(OpenFlags::NOCTTY).union(OpenFlags::TRUNC).union(OpenFlags::CLOEXEC);
/// What F_SETFL changes; it ignores everything else (Linux's SETFL_MASK).
const CHANGEABLE: OpenFlags =
    OpenFlags::APPEND.union(OpenFlags::NONBLOCK).union(OpenFlags::DIRECT).union(OpenFlags::NOATIME);

/// Called with the [`id`](Description::id) of each description that ends, because its locks end with it.
pub static ON_END: Provider<fn(usize)> = Provider::new();

impl Description {
    /// A description opened with these flags.
    pub const fn new(flags: OpenFlags) -> Self {
        let flags = AtomicU32::new(flags.difference(TRANSIENT).bits());
        Self { flags, owner: AtomicU64::new(0), signal: AtomicI32::new(0) }
    }
    /// One for reading and writing, which blocks unless `flags` has O_NONBLOCK.
    pub const fn both_ways(flags: u32) -> Self {
        Self::new(OpenFlags::RDWR.union(OpenFlags::NONBLOCK.intersection(OpenFlags::from_bits_retain(flags))))
    }

    /// O_* status flags, access mode included.
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Relaxed))
    }
    /// Whether O_NONBLOCK is set.
    pub fn nonblock(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }
    /// F_SETFL: changes the flags that can be changed.
    pub fn set_flags(&self, flags: OpenFlags) {
        self.change(CHANGEABLE, flags);
    }
    /// Sets or clears O_ASYNC, which only the code that sends the signals does.
    pub fn set_async(&self, on: bool) {
        self.change(OpenFlags::ASYNC, if on { OpenFlags::ASYNC } else { OpenFlags::empty() });
    }
    /// FIONBIO: sets or clears O_NONBLOCK.
    pub fn set_nonblock(&self, on: bool) {
        self.change(OpenFlags::NONBLOCK, if on { OpenFlags::NONBLOCK } else { OpenFlags::empty() });
    }
    fn change(&self, which: OpenFlags, to: OpenFlags) {
        let changed = |old| Some(old & !which.bits() | (to & which).bits());
        let _ = self.flags.fetch_update(Relaxed, Relaxed, changed);
    }

    /// F_GETOWN_EX: who gets the signals.
    pub fn owner(&self) -> FileOwner {
        let both = self.owner.load(Relaxed);
        FileOwner { kind: (both >> 32) as i32, pid: both as i32 }
    }
    pub fn set_owner(&self, owner: FileOwner) {
        self.owner.store(u64::from(owner.kind as u32) << 32 | u64::from(owner.pid as u32), Relaxed);
    }
    /// F_GETSIG; 0 is SIGIO.
    pub fn signal(&self) -> i32 {
        self.signal.load(Relaxed)
    }
    pub fn set_signal(&self, signal: i32) {
        self.signal.store(signal, Relaxed);
    }

    /// A number that no other description has during this one's lifetime.
    pub fn id(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        if let Some(hook) = ON_END.get() {
            hook(self.id());
        }
    }
}
