//! Directory entries as the server lists them.
//!
//! Offsets are the host's, shifted by two for `.` and `..`, so they stay valid whatever is added or removed.

use crate::object::{P9Inode, READ};
use crate::wire::Reader;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::{filled, with_room};
use libos_base::page::Page;
use libos_fs::inode::{DirEntry, NAME_MAX};

/// Most pages requested at once.
const PAGES: usize = 8;
/// Offsets below this belong to `.` and `..`.
const DOTS: u64 = 2;
/// The largest offset that programs can express.
const LAST: u64 = i64::MAX as u64;

/// The server's last listing, and how far it was read.
#[derive(Default)]
pub struct Listing {
    entries: Vec<u8>,
    at: usize,
    /// The host's offset at that point; 0: not in use.
    offset: u64,
}

impl Listing {
    /// Lists entries of `dir` after our offset `from`.
    pub fn list(&mut self, dir: &P9Inode, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if from >= LAST {
            return Ok(());
        }
        let mut offset = from.saturating_sub(DOTS);
        if offset == 0 || offset != self.offset {
            self.offset = 0;
            self.fetch(dir, offset)?;
        }
        let mut asked = None;
        loop {
            let mut r = Reader(&self.entries[self.at..]);
            if r.0.is_empty() {
                // A server that does not advance is not asked again.
                if asked.replace(offset) == Some(offset) {
                    return Ok(());
                }
                self.offset = 0;
                self.fetch(dir, offset)?;
                if self.entries.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let (qid, next, kind, name) = (r.qid()?, r.u64()?, r.u8()?, r.text()?);
            let bad = name.is_empty() || name.len() > NAME_MAX || name.iter().any(|&b| b == b'/' || b == 0);
            if !bad && name != b"." && name != b".." {
                let ours = next.saturating_add(DOTS).min(LAST);
                if !emit(DirEntry { name, ino: qid.path, kind: u32::from(kind) << 12, next: ours }) {
                    self.offset = offset;
                    return Ok(());
                }
            }
            self.at = self.entries.len() - r.0.len();
            offset = next;
        }
    }

    /// Requests the entries after the host's `offset`.
    fn fetch(&mut self, dir: &P9Inode, offset: u64) -> Result<()> {
        (self.at, self.entries) = (0, Vec::new());
        let count = PAGES.min(dir.fs.client.max_pages);
        let mut pages = with_room(count)?;
        for _ in 0..count {
            pages.push(Page::new()?);
        }
        let fid = dir.fid(READ)?;
        let n = dir.fs.client.readdir(&fid, offset, &pages, count * PAGE_SIZE)?;
        self.entries = copy(&pages, n)?;
        Ok(())
    }
}

/// The first `n` bytes of pages.
fn copy(pages: &[Arc<Page>], n: usize) -> Result<Vec<u8>> {
    let mut all = filled(n, 0)?;
    for (to, p) in all.chunks_mut(PAGE_SIZE).zip(pages) {
        p.read(0, to);
    }
    Ok(all)
}
