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

fn ns(t: Timespec) -> i128 {
    i128::from(t.sec) * 1_000_000_000 + i128::from(t.nsec)
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
    pub fn accessed(&mut self) {
        let t = now();
        let a = ns(self.atime);
        if a <= ns(self.mtime) || a <= ns(self.ctime) || ns(t) - a >= 86_400_000_000_000 {
            self.atime = t;
        }
    }
}
