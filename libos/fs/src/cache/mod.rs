//! The page cache: pages of files on disks or on the host, shared by read, write and mmap.
//!
//! | module | what |
//! |---|---|
//! | `tree` | the pages of one file and their states |
//! | `fill` | reading: misses, readahead |
//! | `write` | writing, truncation |
//! | `flush` | write-back of one file |
//! | `global` | all caches: what is dirty, how much may be, what can be dropped |
//! | `thread` | write-back in the background |
//! | [`ErrorSeq`] | write-back errors, reported once to every open description |
//!
//! `writer` is held for one write or truncation at a time, `storing` for one write-back, and under it whatever the file
//! system takes in [`Backing`]: `level` has their order as types, and a [`May`](level::May) is what a function may
//! still take. The page tree is under a spin lock. No lock of a [`Backing`] may be held around a [`FileCache::write`]
//! or [`FileCache::read`] *and* be taken in `read_pages` or `write_pages`: the program memory being copied may be a
//! mapping of the same file and fault, and writers that hit the dirty limit write back.
//!
//! A page is mapped writable only after a write fault made it dirty (see [`Cached::still`]), and is write-protected
//! again before it is written back.

mod errors;
mod fill;
mod flush;
mod global;
mod level;
#[cfg(test)]
mod tests;
mod thread;
mod through;
mod tree;
mod write;

pub use errors::ErrorSeq;
pub use global::{available, cached_pages, dirty_pages, make_room, pages_moved, reclaim, write_back_all};

use crate::inode::{Cached, Extent, Pattern};
use alloc::sync::{Arc, Weak};
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use fill::Streams;
use libos_base::Result;
use libos_base::page::Page;
use libos_base::rmap::Mappings;
use libos_base::sync::{Leveled, SpinLock, WaitQueue, class};
use tree::{PAGE, Tree, pages_of};

/// Where a file's pages come from and go to. See the module's comment about locks.
pub trait Backing: Send + Sync {
    /// Fills whole pages from storage: `pages[i]` is page `index + i` of the file. They are zeroed, and must stay zero
    /// past the end of the file.
    fn read_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()>;
    /// Writes whole adjacent pages to storage: handed to the device, not yet durable. Bytes past the end of the file
    /// are not written.
    fn write_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()>;
    /// The same for pages that are not all adjacent; `pages[i]` is page `indices[i]`, in ascending order. Worth
    /// implementing where many small transfers together are faster than one after another.
    fn write_scattered(&self, indices: &[u64], pages: &[Arc<Page>]) -> Result<()> {
        let mut result = Ok(());
        for (index, run) in adjacent(indices) {
            result = result.and(self.write_pages(index, &pages[run]));
        }
        result
    }
    /// Whether unwritten storage reads as zeros when a file grows. If not, pages that a growing file skips become dirty
    /// zeros.
    fn sparse(&self) -> bool {
        false
    }
    /// Where errors of the whole file system are counted: [`FileSystem::errors`](crate::inode::FileSystem::errors).
    fn fs_errors(&self) -> Option<&ErrorSeq> {
        None
    }
}

/// The runs of adjacent pages in ascending `indices`: the first index of each, and its position in `indices`.
pub fn adjacent(indices: &[u64]) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut at = 0;
    indices.chunk_by(|a, b| a + 1 == *b).map(move |run| {
        let place = at..at + run.len();
        at = place.end;
        (run[0], place)
    })
}

/// The pages of one file. Created with its inode; dirty pages keep the inode alive until they are written.
pub struct FileCache {
    /// Key in the list of all caches.
    id: u64,
    /// For the list of dirty files.
    me: Weak<FileCache>,
    backing: Weak<dyn Backing>,
    tree: SpinLock<Tree>,
    /// Waiters for pages that are being read.
    filled: WaitQueue,
    writer: Leveled<level::Writing, ()>,
    storing: Leveled<level::Storing, ()>,
    mappings: Mappings,
    /// Whether a page was ever mapped writable.
    mapped_writable: AtomicBool,
    /// Whether it is on the list of dirty files. Changed under that list's lock.
    listed: AtomicBool,
    /// No name refers to the file.
    orphan: AtomicBool,
    pattern: AtomicU8,
    streams: SpinLock<Streams>,
    errors: ErrorSeq,
}

impl FileCache {
    /// An empty cache for a file of `size` bytes.
    pub fn new(backing: Weak<dyn Backing>, size: u64) -> Result<Arc<FileCache>> {
        crate::util::room_for(size_of::<FileCache>() + 16)?;
        let id = global::next_id();
        let cache = Arc::new_cyclic(|me| FileCache {
            id,
            me: me.clone(),
            backing,
            tree: SpinLock::new(class::CACHE_TREE, Tree::new(size)),
            filled: WaitQueue::new(),
            writer: Leveled::new(class::CACHE_WRITER, ()),
            storing: Leveled::new(class::CACHE_STORING, ()),
            mappings: Mappings::new(),
            mapped_writable: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            orphan: AtomicBool::new(false),
            pattern: AtomicU8::new(Pattern::Normal as u8),
            streams: SpinLock::new(class::CACHE_STREAMS, Streams::default()),
            errors: ErrorSeq::new(),
        });
        global::add(&cache);
        Ok(cache)
    }

    /// Length of the file.
    pub fn size(&self) -> u64 {
        self.tree.lock().size
    }

    /// Content in memory, read if necessary: for [`Inode::extent`](crate::inode::Inode::extent).
    pub fn extent(&self, pos: u64, max: usize) -> Option<Extent> {
        let n = (max as u64).min(self.size().saturating_sub(pos));
        let off = (pos % PAGE) as usize;
        let pages = (off as u64 + n).div_ceil(PAGE).min(fill::BATCH as u64);
        if n == 0 {
            return None;
        }
        let page = self.get(&mut level::filling(), pos / PAGE, pages as u32).ok().flatten()?;
        Some(Extent::Page(page, off, n.min(PAGE - off as u64) as usize))
    }

    /// Pages in memory (`st_blocks` is up to the storage).
    pub fn held(&self) -> usize {
        self.tree.lock().held
    }

    /// Whether pages are waiting to be written.
    pub fn is_dirty(&self) -> bool {
        self.tree.lock().dirty > 0
    }

    /// No name refers to the file any more: nobody will miss its dirty pages, and they do not keep the inode alive.
    pub fn set_orphan(&self) {
        self.orphan.store(true, Relaxed);
        global::release(self);
    }

    fn is_orphan(&self) -> bool {
        self.orphan.load(Relaxed)
    }

    /// The page for a mapping; `None` past the end. With `for_write` it becomes dirty.
    pub fn page(&self, index: u64, for_write: bool) -> Result<Option<Arc<Page>>> {
        let may = &mut level::filling();
        loop {
            if index >= pages_of(self.size()) {
                return Ok(None);
            }
            let Some(page) = self.get(may, index, 1)? else { continue };
            if !for_write {
                return Ok(Some(page));
            }
            self.mapped_writable.store(true, Relaxed);
            if self.mark(index, &page) {
                self.throttle(may);
                return Ok(Some(page));
            }
        }
    }

    /// Marks `page` dirty if it is still the file's page at `index`.
    fn mark(&self, index: u64, page: &Arc<Page>) -> bool {
        let (is, fresh) = self.tree.lock().mark(index, page, libos_base::time::monotonic_ns);
        if fresh {
            global::dirtied(self);
        }
        is
    }
}

impl Cached for FileCache {
    fn flush(&self, bytes: Range<u64>) -> Result<()> {
        FileCache::flush(self, bytes)
    }
    fn invalidate(&self, bytes: Range<u64>) {
        FileCache::invalidate(self, bytes);
    }
    fn will_need(&self, bytes: Range<u64>) {
        FileCache::will_need(self, bytes);
    }
    fn expect(&self, pattern: Pattern) {
        self.pattern.store(pattern as u8, Relaxed);
    }
    fn resident(&self, bytes: Range<u64>) -> bool {
        let t = self.tree.lock();
        let end = bytes.end.min(t.size);
        bytes.start >= end || t.covers(bytes.start / PAGE..pages_of(end))
    }
    fn still(&self, index: u64, page: &Arc<Page>, write: bool) -> bool {
        if write {
            return index < pages_of(self.size()) && self.mark(index, page);
        }
        let t = self.tree.lock();
        index < pages_of(t.size) && t.is(index, page)
    }
    fn mappings(&self) -> &Mappings {
        &self.mappings
    }
    fn errors(&self) -> &ErrorSeq {
        &self.errors
    }
}

impl Drop for FileCache {
    fn drop(&mut self) {
        let (held, dirty) = {
            let t = self.tree.lock();
            (t.held, t.dirty)
        };
        global::dropped(self.id, held, dirty);
    }
}
