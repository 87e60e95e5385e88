//! Descriptors in flight (SCM_RIGHTS).
//!
//! A socket that is sent may have descriptors waiting in its own inbox, and those again, to any depth. Dropped one inside
//! the other they would overflow the kernel's stack. So what nobody received goes on a list, which the first to come
//! empties, one after another; meanwhile others only add to it, among them what closing a socket of the list brings.

use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::file::FileLike;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

type Files = Vec<Arc<dyn FileLike>>;

struct Going {
    list: Vec<Files>,
    /// In flight and on the list: what the list has room for.
    all: usize,
    /// Somebody empties it.
    busy: bool,
}

/// Held to put something on the list or take it off, never while that is dropped.
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

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For whoever only looks.
    pub fn copy(&self) -> Files {
        self.0.clone()
    }

    /// They arrived.
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
