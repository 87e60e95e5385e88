//! The last walks: whole paths that led somewhere without symbolic links, and where to. A server opens the same files
//! over and over, and a walk costs more than the rest of opening one.
//!
//! Each is right for as long as no name was removed or replaced, nothing was mounted or unmounted, and the root is the
//! same: [`changed`] is called after each of these. New names change nothing, since only names that are there are
//! remembered. References are weak, so that nothing lives longer for it.

use crate::dentry::{Dentry, Path};
use crate::mount::Mount;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::bytes;
use libos_base::sync::{SpinLock, class};

/// The longest path that is remembered.
const LONGEST: usize = 64;
/// How many are. A power of two.
const COUNT: usize = 8;

static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Some path may lead elsewhere. Called after the change, before the lock under which it was made is released: a walk
/// that saw what was before began with an older number.
pub(crate) fn changed() {
    CHANGES.fetch_add(1, Ordering::Release);
}

/// A number that goes up with every change.
pub(crate) fn changes() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

struct Walk {
    /// [`changes`] when it began.
    began: u64,
    text: [u8; LONGEST],
    len: usize,
    to: Option<(Weak<Mount>, Weak<Dentry>)>,
}

/// Walks from one root, by absolute paths.
pub(crate) struct Walked {
    walks: SpinLock<[Walk; COUNT]>,
}

/// Where a path's walk is kept.
fn place(path: &[u8]) -> usize {
    bytes::hash(path.last_chunk::<16>().map_or(path, |end| end)) as usize % COUNT
}

impl Walked {
    pub const fn new() -> Self {
        let walks = [const { Walk { began: 0, text: [0; LONGEST], len: 0, to: None } }; COUNT];
        Self { walks: SpinLock::new(class::WALKED, walks) }
    }
    /// Where the path leads, if that is known.
    pub fn find(&self, path: &[u8]) -> Option<Path> {
        let place = place(path);
        let walks = self.walks.lock();
        let walk = &walks[place];
        if walk.began != changes() || !bytes::equal(walk.text.get(..walk.len)?, path) {
            return None;
        }
        let (mount, dentry) = walk.to.as_ref()?;
        let found = (mount.upgrade(), dentry.upgrade());
        // What is dropped if only one of them is there may be the last reference.
        drop(walks);
        found.0.zip(found.1).map(|(mount, dentry)| Path { mount, dentry })
    }
    /// Remembers where the path leads, as found by a walk that began at this number of changes.
    pub fn remember(&self, path: &[u8], to: &Path, began: u64) {
        if path.len() > LONGEST {
            return;
        }
        let place = place(path);
        let mut walks = self.walks.lock();
        let walk = &mut walks[place];
        walk.began = began;
        walk.len = path.len();
        walk.text[..path.len()].copy_from_slice(path);
        let old = walk.to.replace((Arc::downgrade(&to.mount), Arc::downgrade(&to.dentry)));
        drop(walks);
        drop(old);
    }
}
