//! All caches together: how much is dirty, how much may be, and what can be dropped.

use super::level::{self, May};
use super::tree::Gone;
use super::{Backing, FileCache, thread};
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use libos_base::page::Page;
use libos_base::sync::{Once, SpinLock, class};
use libos_base::{Result, memory};

/// A file with dirty pages.
struct Dirty {
    id: u64,
    cache: Weak<FileCache>,
    /// Keeps the inode until its pages are written. `None` if the file has no name left.
    keep: Option<Arc<dyn Backing>>,
}

struct Lists {
    all: BTreeMap<u64, Weak<FileCache>>,
    dirty: Vec<Dirty>,
    /// Where the clock continues.
    hand: u64,
}

static LISTS: SpinLock<Lists> =
    SpinLock::new(class::CACHE_LISTS, Lists { all: BTreeMap::new(), dirty: Vec::new(), hand: 0 });
static NEXT: AtomicU64 = AtomicU64::new(1);
static HELD: AtomicUsize = AtomicUsize::new(0);
static DIRTY: AtomicUsize = AtomicUsize::new(0);
/// Pages that were read from devices and hosts, and those that are or were to be written, as `getrusage` counts them.
static READ: AtomicUsize = AtomicUsize::new(0);
static DIRTIED: AtomicUsize = AtomicUsize::new(0);

/// Fewer dirty pages than this are never too many.
const DIRTY_MIN: usize = 64;

/// Pages in all caches.
pub fn cached_pages() -> usize {
    // A page can be counted out before another processor has counted it in.
    (HELD.load(Relaxed) as isize).max(0) as usize
}

/// Pages waiting to be written.
pub fn dirty_pages() -> usize {
    DIRTY.load(Relaxed)
}

/// Pages of files that were read from where they are kept, and those that had to be written there.
pub fn pages_moved() -> (usize, usize) {
    (READ.load(Relaxed), DIRTIED.load(Relaxed))
}

/// `n` pages were read.
pub(super) fn read(n: usize) {
    READ.fetch_add(n, Relaxed);
}

pub(super) fn next_id() -> u64 {
    NEXT.fetch_add(1, Relaxed)
}

pub(super) fn count_held(n: isize) {
    HELD.fetch_add(n as usize, Relaxed);
}

/// Registers a new cache.
pub(super) fn add(c: &Arc<FileCache>) {
    static ONCE: Once<()> = Once::new();
    ONCE.set(|| {
        memory::RECLAIM.provide(&(reclaim as fn(usize) -> usize));
        crate::sync::close_at_end();
    });
    LISTS.lock().all.insert(c.id, Arc::downgrade(c));
}

/// A cache goes away with its pages.
pub(super) fn dropped(id: u64, held: usize, dirty: usize) {
    HELD.fetch_sub(held, Relaxed);
    DIRTY.fetch_sub(dirty, Relaxed);
    let mut l = LISTS.lock();
    l.all.remove(&id);
    let at = l.dirty.iter().position(|d| d.id == id);
    let gone = at.map(|i| l.dirty.swap_remove(i));
    drop(l);
    drop(gone);
}

/// A page of `c` became dirty. May be called under the lock of the address space.
pub(super) fn dirtied(c: &FileCache) {
    DIRTY.fetch_add(1, Relaxed);
    DIRTIED.fetch_add(1, Relaxed);
    if c.listed.load(Relaxed) {
        return;
    }
    let keep = if c.orphan.load(Relaxed) { None } else { c.backing.upgrade() };
    let unused = {
        let mut l = LISTS.lock();
        if c.listed.load(Relaxed) {
            Some(keep)
        } else {
            l.dirty.push(Dirty { id: c.id, cache: c.me.clone(), keep });
            c.listed.store(true, Relaxed);
            None
        }
    };
    drop(unused);
}

/// `n` pages are no longer dirty.
pub(super) fn cleaned(n: usize) {
    DIRTY.fetch_sub(n, Relaxed);
}

/// Takes `c` off the list of dirty files if nothing in it is dirty. No lock may be held: this may drop the inode.
pub(super) fn settled(c: &FileCache) {
    if !c.listed.load(Relaxed) {
        return;
    }
    let gone = {
        let mut l = LISTS.lock();
        // Checked under this lock: whoever marks a page afterwards sees that the file is not listed.
        if c.tree.lock().dirty > 0 || !c.listed.swap(false, Relaxed) {
            return;
        }
        let at = l.dirty.iter().position(|d| d.id == c.id);
        at.map(|i| l.dirty.swap_remove(i))
    };
    drop(gone);
}

/// Dirty pages of `c` no longer keep its inode.
pub(super) fn release(c: &FileCache) {
    let gone = {
        let mut l = LISTS.lock();
        l.dirty.iter_mut().find(|d| d.id == c.id).and_then(|d| d.keep.take())
    };
    drop(gone);
}

/// How much memory the tests have.
#[cfg(test)]
pub static TEST_FREE: AtomicUsize = AtomicUsize::new(1 << 20);

fn free() -> usize {
    #[cfg(test)]
    return TEST_FREE.load(Relaxed);
    #[cfg(not(test))]
    memory::available()
}

/// Pages that the caches could have in all.
pub fn available() -> usize {
    free() + cached_pages()
}

/// Whether too much is dirty: more than a fifth of what is available, as with Linux's vm.dirty_ratio.
pub(super) fn over_limit() -> bool {
    let dirty = dirty_pages();
    dirty > DIRTY_MIN && dirty > available() / 5
}

/// Whether the background thread should write: above a tenth (vm.dirty_background_ratio).
pub(super) fn over_background() -> bool {
    let dirty = dirty_pages();
    dirty > DIRTY_MIN && dirty > available() / 10
}

/// A dirty file being worked on. Dropped without locks.
pub(super) struct Held {
    pub cache: Arc<FileCache>,
    _keep: Option<Arc<dyn Backing>>,
}

/// The dirty files that satisfy `f`, with what keeps them alive.
pub(super) fn dirty_files(f: impl Fn(&FileCache) -> bool) -> Vec<Held> {
    let mut list = Vec::new();
    let n = LISTS.lock().dirty.len();
    if list.try_reserve_exact(n).is_err() && list.try_reserve_exact(1).is_err() {
        return list;
    }
    // Rejected files are dropped without the lock: it may be the last reference.
    let mut at = 0;
    while list.len() < list.capacity() {
        let (cache, keep) = {
            let l = LISTS.lock();
            let Some(d) = l.dirty.get(at) else { break };
            (d.cache.upgrade(), d.keep.clone())
        };
        at += 1;
        if let Some(c) = cache
            && f(&c)
        {
            list.push(Held { cache: c, _keep: keep });
        }
    }
    list
}

/// Writes back what is dirty in all files. Errors go to the files' error sequences; the first is also returned.
pub fn write_back_all() -> Result<()> {
    write_back(&mut level::filling(), |c| !c.is_orphan())
}

fn write_back(may: &mut May<'_>, f: impl Fn(&FileCache) -> bool) -> Result<()> {
    let mut result = Ok(());
    for file in dirty_files(f) {
        result = result.and(file.cache.write_back(may, 0..u64::MAX));
    }
    result
}

/// Writes back until the dirty limit is met, or until nothing helps.
pub(super) fn help(may: &mut May<'_>) {
    for file in dirty_files(|_| true) {
        if !over_limit() {
            break;
        }
        let _ = file.cache.write_back(may, 0..u64::MAX);
    }
}

/// Whether memory is nearly exhausted and nothing could be dropped to get more.
fn scarce() -> bool {
    let low = (available() / 64).clamp(16, 1024);
    free() < low && reclaim(64) == 0
}

/// A page that is not worth writing others back for.
pub(super) fn spare_page() -> Option<Arc<Page>> {
    if scarce() { None } else { Page::new().ok() }
}

/// A page for a cache: if memory is short, others are dropped to make room, after being written back if necessary. The
/// caller may have no page on its way from the storage: the holder of a write-back lock may be waiting for it.
pub(super) fn new_page(may: &mut May<'_>) -> Result<Arc<Page>> {
    if scarce() {
        // For others to find pages: they may be unable to wait for a file to be written when they need one.
        find_room(may, 64);
    }
    let mut tried = false;
    loop {
        match Page::new() {
            Err(_) if reclaim(64) > 0 => {}
            Err(e) if core::mem::replace(&mut tried, true) => return Err(e),
            Err(_) => {
                find_room(may, 64);
            }
            ok => return ok,
        }
    }
}

/// Frees about `pages` pages, including ones that are mapped or must be written first. Returns whether it freed any. No
/// write-back lock may be held.
pub fn make_room(pages: usize) -> bool {
    find_room(&mut level::filling(), pages)
}

fn find_room(may: &mut May<'_>, pages: usize) -> bool {
    let mut freed = reclaim(pages);
    if freed < pages {
        memory::unmap_untouched(pages - freed);
        freed += reclaim(pages - freed);
    }
    if freed < pages && dirty_pages() > 0 {
        // Errors are reported through the files' error sequences.
        let _ = write_back(may, |_| true);
        memory::unmap_untouched(pages - freed);
        freed += reclaim(pages - freed);
    }
    freed > 0
}

/// The cache at the clock's hand. The flag: it has gone round.
fn at_hand() -> Option<(Arc<FileCache>, bool)> {
    loop {
        let mut l = LISTS.lock();
        let mut round = false;
        let from = l.hand;
        let (id, c) = match l.all.range(from..).next() {
            Some((&id, c)) => (id, c.upgrade()),
            None => {
                round = true;
                let (&id, c) = l.all.iter().next()?;
                (id, c.upgrade())
            }
        };
        l.hand = id;
        match c {
            Some(c) => return Some((c, round)),
            // It is being dropped, and will take itself off the list.
            None => l.hand = id + 1,
        }
        if round && l.all.range(id + 1..).next().is_none() {
            return None;
        }
    }
}

/// Drops about `want` clean pages that nobody maps, least recently used first; returns how many. Takes only spin locks.
pub fn reclaim(want: usize) -> usize {
    let mut freed = 0;
    let mut rounds = 0;
    while freed < want && cached_pages() > 0 {
        let Some((c, round)) = at_hand() else { break };
        rounds += usize::from(round);
        // One round clears the use marks, and another takes what was not used since; the first may have begun in the
        // middle.
        if rounds > 3 {
            break;
        }
        while freed < want {
            let mut gone: Gone = [const { None }; _];
            let step = c.tree.lock().clock(&mut gone);
            let Some(n) = step else {
                LISTS.lock().hand = c.id + 1;
                break;
            };
            count_held(-(n as isize));
            freed += n;
        }
    }
    freed
}

/// Whether the write-back thread has anything to do.
pub(super) fn any_dirty() -> bool {
    !LISTS.lock().dirty.is_empty()
}

/// A page became dirty or is about to: makes sure that the write-back thread will write it.
pub(super) fn look_after() {
    thread::wake(over_background());
}
