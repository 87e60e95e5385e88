//! The file system: its objects by number.

use crate::client::{Client, Fid};
use crate::object::P9Inode;
use crate::wire::Qid;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use hashbrown::HashMap;
use libos_base::abi::mode::{S_IFDIR, S_IFLNK, S_IFMT};
use libos_base::p9::Transport;
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};
use libos_fs::cache::ErrorSeq;
use libos_fs::inode::{FileSystem, Inode, StatFs};

/// A folder of the host.
pub struct P9Fs {
    pub client: Arc<Client>,
    dev: u64,
    /// For `statfs`.
    root: Arc<Fid>,
    /// Errors of writing file data.
    pub errors: ErrorSeq,
    /// Files with delayed writes; see [`tail`](crate::tail).
    pub delayed: SpinLock<Vec<Weak<P9Inode>>>,
    /// Files with a kept fid; see [`kept`](crate::kept).
    pub kept: SpinLock<Vec<Weak<P9Inode>>>,
    /// Whether a thread will send the writes and release the fids.
    pub sender: AtomicBool,
    /// Every object in use.
    pub inodes: SpinLock<HashMap<u64, Weak<P9Inode>>>,
}

/// Begins a session and returns the root of what the server exports.
pub fn attach(transport: Arc<dyn Transport>) -> Result<Arc<dyn Inode>> {
    let (client, root, qid) = Client::new(transport)?;
    let root = Arc::new(root);
    libos_fs::util::room_for(size_of::<P9Fs>() + 16)?;
    let fs = Arc::new(P9Fs {
        client,
        dev: libos_fs::ramfs::anonymous_dev(),
        root: root.clone(),
        errors: ErrorSeq::new(),
        delayed: SpinLock::new(class::P9_DELAYED, Vec::new()),
        kept: SpinLock::new(class::P9_KEPT, Vec::new()),
        sender: AtomicBool::new(false),
        inodes: SpinLock::new(class::P9_OBJECTS, HashMap::new()),
    });
    let inode = fs.object(qid, root)?;
    Ok(inode)
}

impl P9Fs {
    /// The object that `fid` was just found to name. The server is asked about it by its newest name.
    pub fn object(self: &Arc<Self>, qid: Qid, fid: Arc<Fid>) -> Result<Arc<P9Inode>> {
        let known = self.inodes.lock().get(&qid.path).and_then(Weak::upgrade);
        if let Some(i) = known
            && kind_of(qid) == i.plain_kind()
        {
            i.found(fid);
            return Ok(i);
        }
        let (is, stat) = self.client.getattr(&fid)?;
        let kind = stat.mode & S_IFMT;
        if is.path != qid.path || kind_of(is) != kind_of(qid) || (kind == S_IFDIR) != (kind_of(qid) == S_IFDIR) {
            // Meanwhile the name led to something else.
            return Err(Errno::ESTALE);
        }
        let new = P9Inode::new(self, kind, stat, fid)?;
        // Dropped without the lock, since dropping takes it, too.
        let other = {
            let mut t = self.inodes.lock();
            t.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let other = t.get(&qid.path).and_then(Weak::upgrade);
            if other.as_ref().is_none_or(|i| i.kind != kind) {
                t.insert(qid.path, Arc::downgrade(&new));
            }
            other
        };
        Ok(other.filter(|i| i.kind == kind).unwrap_or(new))
    }
}

/// The file type as far as a qid shows it: directory, symbolic link, or 0.
pub fn kind_of(qid: Qid) -> u32 {
    match qid.kind {
        k if k & 0x80 != 0 => S_IFDIR,
        k if k & 2 != 0 => S_IFLNK,
        _ => 0,
    }
}

impl FileSystem for P9Fs {
    fn name(&self) -> &'static str {
        "9p"
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn errors(&self) -> Option<&ErrorSeq> {
        Some(&self.errors)
    }
    fn sync(&self) -> Result<()> {
        self.send_all();
        Ok(())
    }
    fn statfs(&self) -> StatFs {
        self.client.statfs(&self.root).unwrap_or_default()
    }
}
