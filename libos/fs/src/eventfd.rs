//! eventfd(2): a counter that can be waited for.

use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, Watcher, block_on};
use libos_base::sync::{SpinLock, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// EFD_SEMAPHORE: each read takes 1.
pub const SEMAPHORE: u32 = 1;
/// Highest value of the counter.
const MAX: u64 = u64::MAX - 1;

/// An eventfd.
pub struct EventFd {
    count: SpinLock<u64>,
    pollee: Pollee,
    semaphore: bool,
    flags: AtomicU32,
}

impl EventFd {
    /// `eventfd2`. EINVAL: unknown flags.
    pub fn new(initial: u32, flags: u32) -> Result<Arc<EventFd>> {
        let known = SEMAPHORE | OpenFlags::NONBLOCK.bits() | OpenFlags::CLOEXEC.bits();
        if flags & !known != 0 {
            return Err(Errno::EINVAL);
        }
        try_arc(EventFd {
            count: SpinLock::new(class::EVENTFD, u64::from(initial)),
            pollee: Pollee::new(),
            semaphore: flags & SEMAPHORE != 0,
            flags: AtomicU32::new(flags & OpenFlags::NONBLOCK.bits() | OpenFlags::RDWR.bits()),
        })
    }
    fn nonblock(&self) -> bool {
        self.flags().contains(OpenFlags::NONBLOCK)
    }
}

impl EventFd {
    fn read_as(&self, dst: &mut Sink<'_>, nonblock: bool) -> Result<usize> {
        if dst.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let v = block_on(&self.pollee, nonblock, FOREVER, Errno::EAGAIN, || {
            let mut c = self.count.lock();
            let v = if self.semaphore { (*c).min(1) } else { *c };
            *c -= v;
            (v > 0).then_some(Ok(v))
        })?;
        self.pollee.notify(Events::OUT | Events::WRNORM);
        put_u64(dst, v)
    }
}

impl FileLike for EventFd {
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.read_as(dst, self.nonblock())
    }
    fn read_now(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.read_as(dst, true)
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        if src.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let mut b = [0; 8];
        if src.take(&mut b)? < 8 {
            return Err(Errno::EFAULT);
        }
        let add = u64::from_ne_bytes(b);
        if add > MAX {
            return Err(Errno::EINVAL);
        }
        block_on(&self.pollee, self.nonblock(), FOREVER, Errno::EAGAIN, || {
            let mut c = self.count.lock();
            *c = c.checked_add(add).filter(|&v| v <= MAX)?;
            Some(Ok(()))
        })?;
        self.pollee.notify(Events::IN | Events::RDNORM);
        Ok(8)
    }
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let Some(w) = watcher {
            self.pollee.add(w);
        }
        let c = *self.count.lock();
        let mut e = Events::empty();
        if c > 0 {
            e |= Events::IN | Events::RDNORM;
        }
        if c < MAX {
            e |= Events::OUT | Events::WRNORM;
        }
        e
    }
    fn unwatch(&self, w: &Arc<dyn Watcher>) {
        self.pollee.remove(w);
    }
    fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    fn set_flags(&self, flags: OpenFlags) -> Result<()> {
        set_anon_flags(&self.flags, flags)
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat> {
        Ok(anon_stat())
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[eventfd]")
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        libos_base::file::ended(self);
    }
}

/// Puts a counter; EFAULT when it does not fit where it should go.
pub(crate) fn put_u64(dst: &mut Sink<'_>, v: u64) -> Result<usize> {
    if dst.put(&v.to_ne_bytes())? == 8 { Ok(8) } else { Err(Errno::EFAULT) }
}

/// F_SETFL of objects without a place.
pub(crate) fn set_anon_flags(have: &AtomicU32, flags: OpenFlags) -> Result<()> {
    let changeable = crate::openfile::CHANGEABLE & !OpenFlags::DIRECT.bits();
    let kept = have.load(Ordering::Relaxed) & !changeable;
    have.store(kept | flags.bits() & changeable, Ordering::Relaxed);
    Ok(())
}

/// `fstat` of `anon_inode` objects: all share one inode, as on Linux.
pub(crate) fn anon_stat() -> Stat {
    Stat { dev: 0xe, ino: 1, nlink: 1, mode: 0o600, blksize: 4096, ..Stat::default() }
}
