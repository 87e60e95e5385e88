//! Write-back of one file.

use super::fill::BATCH;
use super::level::{self, May};
use super::tree::{PAGE, pages_of};
use super::{Backing, FileCache, global};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use libos_base::page::Page;
use libos_base::{Errno, Result};

impl FileCache {
    /// Hands the dirty pages of these bytes to the storage and waits until it has them. The first error is returned
    /// here and reported to every open description ([`ErrorSeq`](super::ErrorSeq)); pages that could not be written
    /// count as clean, as on Linux: memory would fill up with them otherwise. ENOMEM is not the storage's error:
    /// nothing was lost, the pages stay dirty, and only the caller gets it.
    pub fn flush(&self, bytes: Range<u64>) -> Result<()> {
        self.write_back(&mut level::filling(), bytes)
    }

    /// The same, at a lock level.
    pub(super) fn write_back(&self, may: &mut May<'_>, bytes: Range<u64>) -> Result<()> {
        // Dropped last: it may hold the last reference to the inode, and to this cache with it.
        let Some(backing) = self.backing.upgrade() else { return Ok(()) };
        let result = self.store(may, bytes, &*backing);
        global::settled(self);
        result
    }

    fn store(&self, may: &mut May<'_>, bytes: Range<u64>, backing: &dyn Backing) -> Result<()> {
        let mut range = bytes.start / PAGE..pages_of(bytes.end);
        let _s = self.storing.lock(may);
        let dirty = self.tree.lock().dirty;
        if dirty == 0 {
            return Ok(());
        }
        let mut result = Ok(());
        let (mut indices, mut pages) = (Vec::new(), Vec::new());
        let room = dirty.clamp(1, BATCH);
        if indices.try_reserve_exact(room).is_err() || pages.try_reserve_exact(room).is_err() {
            indices.try_reserve_exact(1)?;
            pages.try_reserve_exact(1)?;
        }
        loop {
            self.tree.lock().collect(&range, &mut indices, &mut pages);
            let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else { break };
            if self.mapped_writable.load(Relaxed) {
                self.mappings.write_protect(first..last + 1);
                self.zero_tail(&indices, &pages);
            }
            match backing.write_scattered(&indices, &pages) {
                Ok(()) => {}
                Err(Errno::ENOMEM) => {
                    result = result.and(Err(Errno::ENOMEM));
                    for (index, page) in indices.iter().zip(&pages) {
                        self.mark(*index, page);
                    }
                }
                Err(e) => {
                    self.errors.set(e);
                    if let Some(all) = backing.fs_errors() {
                        all.set(e);
                    }
                    result = result.and(Err(e));
                }
            }
            global::cleaned(pages.len());
            indices.clear();
            pages.clear();
            range.start = last + 1;
        }
        result
    }

    /// What mappings wrote beyond the end of the file does not go to the storage.
    fn zero_tail(&self, indices: &[u64], pages: &[Arc<Page>]) {
        let t = self.tree.lock();
        let end = t.size.max(t.writing_end);
        let off = (end % PAGE) as usize;
        if off != 0
            && let Ok(i) = indices.binary_search(&(end / PAGE))
        {
            pages[i].zero(off, PAGE as usize);
        }
    }

    /// Writes back when too much is dirty: a thread that dirties pages faster than the storage takes them waits here.
    pub(super) fn throttle(&self, may: &mut May<'_>) {
        global::look_after();
        if global::over_limit() {
            // Errors are reported through the file's error sequence.
            let _ = self.write_back(may, 0..u64::MAX);
            global::help(may);
        }
    }
}
