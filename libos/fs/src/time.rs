//! Time stamps of files.

use crate::inode::SetAttr;
use libos_base::abi::Timespec;
use libos_base::time;

/// A file's three time stamps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub atime: Timespec,
    pub mtime: Timespec,
    pub ctime: Timespec,
}

/// Wall-clock time now.
pub fn now() -> Timespec {
    Timespec::from_ns(time::realtime_ns())
}

impl Times {
    /// All three times are `t`.
    pub fn all(t: Timespec) -> Self {
        Self { atime: t, mtime: t, ctime: t }
    }
    /// Content changed.
    pub fn modified(&mut self) {
        let t = now();
        self.mtime = t;
        self.ctime = t;
    }
    /// Attributes changed.
    pub fn changed(&mut self) {
        self.ctime = now();
    }
    /// Attributes change, perhaps including times.
    pub fn set(&mut self, a: &SetAttr) {
        self.changed();
        self.atime = a.atime.unwrap_or(self.atime);
        self.mtime = a.mtime.unwrap_or(self.mtime);
    }
    /// Content was read. The `relatime` rule (mount(8)): update at most once a day, or if older than a change.
    #[inline]
    pub fn accessed(&mut self) {
        const DAY: i64 = 86_400;
        let a = (self.atime.sec, self.atime.nsec);
        let now = time::realtime_ns();
        let old = (now / time::NS) as i64 >= a.0.saturating_add(DAY);
        if old || a <= (self.mtime.sec, self.mtime.nsec) || a <= (self.ctime.sec, self.ctime.nsec) {
            self.atime = Timespec::from_ns(now);
        }
    }
}
