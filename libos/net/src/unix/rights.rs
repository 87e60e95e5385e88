//! Descriptors in flight (SCM_RIGHTS).
//!
//! A socket sent in a message may have descriptors waiting in its own inbox, and so on to any depth. Dropping them
//! recursively would overflow the kernel's stack. So what nobody received goes on a list, which the first thread to
//! come empties one by one; meanwhile others only add to it, including what closing a socket from the list releases.

use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::file::FileLike;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

type Files = Vec<Arc<dyn FileLike>>;

struct Going {
    list: Vec<Files>,
    /// In flight and on the list: the list has room for this many.
    all: usize,
    /// Somebody is emptying it.
    busy: bool,
}

/// Held to put something on the list or take it off, never while dropping it.
static GOING: SpinLock<Going> = SpinLock::new(class::UNIX_RIGHTS, Going { list: Vec::new(), all: 0, busy: false });

/// The descriptors of one packet.
pub struct Rights(Files);

impl Rights {
    /// ENOBUFS: no memory.
    pub fn new(files: Files) -> Result<Self> {
        if !files.is_empty() {
            let mut g = GOING.lock();
            let more = g.all + 1 - g.list.len();
            g.list.try_reserve(more).map_err(|_| Errno::ENOBUFS)?;
            g.all += 1;
        }
        Ok(Self(files))
    }

    pub const fn none() -> Self {
        Self(Vec::new())
    }
    /// Whether there is not even memory for descriptors.
    pub fn is_nothing(&self) -> bool {
        self.0.capacity() == 0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy, for a receiver that only peeks.
    pub fn copy(&self) -> Files {
        self.0.clone()
    }

    /// The descriptors have arrived: takes them out.
    pub fn take(&mut self) -> Files {
        if !self.0.is_empty() {
            GOING.lock().all -= 1;
        }
        core::mem::take(&mut self.0)
    }
}

impl Drop for Rights {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        {
            let mut g = GOING.lock();
            g.list.push(core::mem::take(&mut self.0));
            if core::mem::replace(&mut g.busy, true) {
                return;
            }
        }
        loop {
            let mut g = GOING.lock();
            let Some(files) = g.list.pop() else {
                g.busy = false;
                return;
            };
            g.all -= 1;
            drop(g);
            drop(files);
        }
    }
}
