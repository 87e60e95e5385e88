//! Writing through: for file systems that pass bytes to the storage at once.

use super::FileCache;
use super::tree::{Found, PAGE};
use alloc::sync::Arc;
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;

impl FileCache {
    /// The storage has (or will get) `len` bytes at `pos`, which are in `from` after `skip` others: cached pages get
    /// them too, and the file extends to them. The caller holds a lock that its
    /// [`write_pages`](super::Backing::write_pages) also takes, so that no older content of these pages is on its way.
    pub fn wrote_through(&self, pos: u64, from: &[Arc<Page>], skip: usize, len: usize) {
        let old = self.size();
        if pos > old && !old.is_multiple_of(PAGE) {
            self.patch(old / PAGE, |p| p.zero((old % PAGE) as usize, PAGE_SIZE));
        }
        let mut done = 0;
        while done < len {
            let at = pos + done as u64;
            let off = (at % PAGE) as usize;
            let n = (len - done).min(PAGE_SIZE - off);
            self.patch(at / PAGE, |p| {
                let (mut off, mut done, end) = (off, skip + done, skip + done + n);
                while done < end {
                    let n = (end - done).min(PAGE_SIZE - done % PAGE_SIZE);
                    p.copy_from(off, &from[done / PAGE_SIZE], done % PAGE_SIZE, n);
                    (off, done) = (off + n, done + n);
                }
            });
            done += n;
        }
        let mut t = self.tree.lock();
        t.size = t.size.max(pos + len as u64);
    }

    /// Waits until no page of these bytes is being read.
    pub fn wait_for_readers(&self, pos: u64, len: usize) {
        for index in pos / PAGE..(pos + len as u64).div_ceil(PAGE) {
            self.wait_read(index);
        }
    }

    /// Changes the page at `index`, if it is cached. Waits for it if it is being read: the data read may be older.
    fn patch(&self, index: u64, change: impl FnOnce(&Page)) {
        if self.wait_read(index) {
            let found = self.tree.lock().find(index);
            if let Found::Page(p) = found {
                change(&p);
            }
        }
    }
}
