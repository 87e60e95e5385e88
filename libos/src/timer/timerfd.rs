//! timerfd: expirations as something to read.

use super::{Expire, Setting, Timer};
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU32, Ordering::*};
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, Watcher, block_on};
use libos_base::sync::Mutex;
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, time};

/// An open timerfd.
pub struct TimerFd {
    timer: Timer,
    clock: i32,
    flags: AtomicU32,
    setting: Mutex<Setting>,
    pollee: Pollee,
}

impl TimerFd {
    /// A new one, not set. ENOMEM.
    pub fn new(clock: i32, nonblock: bool) -> Result<Arc<Self>> {
        let flags = OpenFlags::RDWR | if nonblock { OpenFlags::NONBLOCK } else { OpenFlags::empty() };
        super::owned(|me: Weak<Self>, timer| Self {
            timer: timer(me),
            clock,
            flags: AtomicU32::new(flags.bits()),
            setting: Mutex::new(Setting::default()),
            pollee: Pollee::new(),
        })
    }

    /// The clock it was made for.
    pub fn clock(&self) -> i32 {
        self.clock
    }

    /// Sets it; (time left, interval) of before.
    pub fn set(&self, deadline_ns: u64, interval_ns: u64) -> (u64, u64) {
        let mut s = self.setting.lock();
        let old = s.left(time::monotonic_ns());
        *s = Setting::new(deadline_ns, interval_ns);
        self.timer.cancel();
        if s.armed() {
            self.timer.set(deadline_ns);
        }
        old
    }

    /// (time left, interval).
    pub fn get(&self) -> (u64, u64) {
        self.setting.lock().left(time::monotonic_ns())
    }
}

impl Expire for TimerFd {
    fn expire(&self) {
        {
            let mut s = self.setting.lock();
            s.advance(time::monotonic_ns());
            if s.armed() {
                self.timer.set(s.deadline);
            }
        }
        self.pollee.notify(Events::IN | Events::RDNORM);
    }
    fn timer(&self) -> &Timer {
        &self.timer
    }
}

impl FileLike for TimerFd {
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        if dst.left() < 8 {
            return Err(Errno::EINVAL);
        }
        let nonblock = self.flags().contains(OpenFlags::NONBLOCK);
        let n = block_on(&self.pollee, nonblock, FOREVER, Errno::EAGAIN, || {
            let mut s = self.setting.lock();
            let n = s.take(time::monotonic_ns());
            if n > 0 && s.armed() {
                self.timer.set(s.deadline);
            }
            (n > 0).then_some(Ok(n))
        })?;
        dst.put(&n.to_le_bytes())
    }
    fn write(&self, _: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let Some(w) = watcher {
            self.pollee.add(w);
        }
        let due = self.setting.lock().is_due(time::monotonic_ns());
        if due { Events::IN | Events::RDNORM } else { Events::empty() }
    }
    fn unwatch(&self, w: &Arc<dyn Watcher>) {
        self.pollee.remove(w);
    }
    fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Relaxed))
    }
    fn set_flags(&self, f: OpenFlags) -> Result<()> {
        let keep = self.flags().difference(OpenFlags::NONBLOCK);
        self.flags.store((keep | (f & OpenFlags::NONBLOCK)).bits(), Relaxed);
        Ok(())
    }
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { mode: 0o600, nlink: 1, blksize: 4096, ..Stat::default() })
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[timerfd]")
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        libos_base::file::ended(self);
    }
}
