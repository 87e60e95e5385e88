//! eventfd(2): a counter that can be polled.

use crate::util::{Text, try_arc};
use alloc::string::String;
use alloc::sync::Arc;
use libos_base::abi::EventfdFlags;
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, block_on, readiness};
use libos_base::sync::{SpinLock, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// Highest value of the counter.
const MAX: u64 = u64::MAX - 1;

/// An eventfd.
pub struct EventFd {
    count: SpinLock<u64>,
    pollee: Pollee,
    /// Each read takes 1.
    semaphore: bool,
    description: Description,
}

impl EventFd {
    /// `eventfd2`. EINVAL: unknown flags.
    pub fn new(initial: u32, flags: EventfdFlags) -> Result<Arc<EventFd>> {
        if !EventfdFlags::all().contains(flags) {
            return Err(Errno::EINVAL);
        }
        try_arc(EventFd {
            count: SpinLock::new(class::EVENTFD, u64::from(initial)),
            pollee: Pollee::new(),
            semaphore: flags.contains(EventfdFlags::SEMAPHORE),
            description: Description::both_ways(flags.bits()),
        })
    }
    /// Adds 1 for the kernel, which never waits; there is nothing above the highest value.
    pub fn signal(&self) {
        {
            let mut c = self.count.lock();
            *c = (*c + 1).min(MAX);
        }
        self.pollee.notify(Events::IN | Events::RDNORM);
    }
    /// Adds its lines of `/proc/self/fdinfo`.
    pub(crate) fn describe_state(&self, t: Text) -> Text {
        let count = *self.count.lock();
        let digits = (16 - count.leading_zeros() / 4).max(1);
        let t = t.s("eventfd-count: ").s(" ".repeat(16 - digits as usize)).hex(count, digits);
        t.s("\neventfd-semaphore: ").n(self.semaphore.into()).s("\n")
    }
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
    fn description(&self) -> &Description {
        &self.description
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.read_as(dst, self.description.nonblock())
    }
    fn read_now(&self, dst: &mut Sink<'_>) -> Result<usize> {
        self.read_as(dst, true)
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        if src.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let mut b = [0; 8];
        src.take_whole(&mut b)?;
        let add = u64::from_ne_bytes(b);
        if add > MAX {
            return Err(Errno::EINVAL);
        }
        block_on(&self.pollee, self.description.nonblock(), FOREVER, Errno::EAGAIN, || {
            let mut c = self.count.lock();
            *c = c.checked_add(add).filter(|&v| v <= MAX)?;
            Some(Ok(()))
        })?;
        self.pollee.notify(Events::IN | Events::RDNORM);
        Ok(8)
    }
    fn events(&self) -> Events {
        let c = *self.count.lock();
        readiness(c > 0, c < MAX)
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(&self.pollee)
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[eventfd]")
    }
}

/// Puts a counter; EFAULT if it does not fit at the destination.
pub(crate) fn put_u64(dst: &mut Sink<'_>, v: u64) -> Result<usize> {
    dst.put_whole(&v.to_ne_bytes()).map(|()| 8)
}
