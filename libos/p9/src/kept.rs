//! The fid of a closed file, kept for the next opener.
//!
//! Programs that append a line with `open`, `write`, `close` do so again at once. Opening takes three messages (a fid
//! of its own, open, and later its end), which the last fid saves. It is kept for at most
//! [`tail::DELAY_NS`](crate::tail), so the host sees the file closed that much later, and only while the file has the
//! same owner, group and permissions: who may open it is for the host to decide. The name and what it leads to are
//! still looked up at every `open`.

use crate::client::Fid;
use crate::fs::P9Fs;
use crate::object::P9Inode;
use alloc::sync::Arc;
use libos_base::abi::{Stat, mode::S_IFREG};

/// Most files with a kept fid: each is an open file on the host.
const FILES: usize = 16;

/// What decides who may open a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Access(u32, u32, u32);

impl Access {
    pub fn of(attr: &Stat) -> Self {
        Self(attr.mode, attr.uid, attr.gid)
    }
}

#[derive(Default)]
pub struct Kept {
    fid: Option<(Arc<Fid>, usize, bool, Access)>,
    /// Whether the file is on the list of those that will be asked to let go.
    listed: bool,
}

impl Kept {
    /// The fid, if it was opened in this way.
    pub fn take(&mut self, mode: usize, appends: bool, access: Access) -> Option<Arc<Fid>> {
        let fits = self.fid.as_ref().is_some_and(|(_, m, a, of)| (*m, *a, *of) == (mode, appends, access));
        if fits { self.fid.take().map(|k| k.0) } else { None }
    }
}

impl P9Inode {
    /// The last descriptor of this mode was closed: keeps one of its fids (the second is the one that appends), and
    /// returns those to drop.
    pub fn keep(&self, mode: usize, mut fids: [Option<Arc<Fid>>; 2]) -> [Option<Arc<Fid>>; 3] {
        let at = usize::from(fids[1].is_some());
        if self.kind != S_IFREG || fids[at].is_none() || !self.listed() {
            return [fids[0].take(), fids[1].take(), None];
        }
        let old = {
            let mut s = self.state.lock();
            if s.lost {
                None
            } else {
                let access = Access::of(&s.attr);
                let fid = fids[at].take().map(|f| (f, mode, at == 1, access));
                core::mem::replace(&mut s.kept.fid, fid)
            }
        };
        [fids[0].take(), fids[1].take(), old.map(|k| k.0)]
    }

    /// Makes sure that it will be asked to let go. Returns whether that is possible.
    fn listed(&self) -> bool {
        if self.state.lock().kept.listed {
            return true;
        }
        {
            let mut all = self.fs.kept.lock();
            if all.len() >= FILES || all.try_reserve(1).is_err() {
                return false;
            }
            all.push(self.weak());
        }
        // Set before the fids are released, since that looks at the list first.
        self.state.lock().kept.listed = true;
        self.fs.in_a_while().is_some()
    }

    /// Drops the kept fid.
    pub fn let_go(&self) {
        let gone = self.state.lock().kept.fid.take();
        drop(gone);
    }
}

impl P9Fs {
    /// Drops every kept fid.
    pub fn let_all_go(&self) {
        let all = core::mem::take(&mut *self.kept.lock());
        for file in all.iter().filter_map(|f| f.upgrade()) {
            file.state.lock().kept.listed = false;
            file.let_go();
        }
        self.client.tidy();
    }
}
