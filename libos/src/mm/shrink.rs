//! What happens to files and concerns their mappings. A file that gets shorter: what is behind the new end leaves every
//! mapping, so that touching it is SIGBUS and a file that grows again shows its new content. Pages that are written back:
//! they are write-protected first, so that the next write makes them dirty again.

use super::space::{self, Space};
use super::vma::{Flags, Kind, Vma};
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::file::FileLike;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, PROGRAM_START, page_up};
use libos_fs::inode::Inode;
use libos_fs::openfile::OpenFile;

/// Calls `f` for every mapping of a file that `of_it` knows: the space, its addresses, its flags, and the offset in the
/// file where it begins.
fn each_mapping(of_it: impl Fn(&OpenFile) -> bool, mut f: impl FnMut(&mut Space, Range<usize>, Flags, usize)) {
    let of_it = |f: &Arc<dyn FileLike>| f.downcast::<OpenFile>().is_some_and(&of_it);
    let mut space = space::lock();
    let mut at = PROGRAM_START;
    loop {
        let next = space.vmas.overlapping(at..PROGRAM_END).find_map(|(start, v)| match &v.kind {
            Kind::File(f, offset) if of_it(f) => Some((start..v.end, v.flags, *offset as usize)),
            _ => None,
        });
        let Some((range, flags, offset)) = next else { return };
        at = range.end;
        f(&mut space, range, flags, offset);
    }
}

/// `inode` was cut to `len` bytes. Private copies go too, as on Linux.
pub fn file_shrunk(inode: &Arc<dyn Inode>, len: u64) {
    let first = page_up(usize::try_from(len).unwrap_or(usize::MAX & !0xffff));
    let of_it = |o: &OpenFile| Arc::ptr_eq(o.path.inode(), inode);
    each_mapping(of_it, |space, range, flags, offset| {
        let from = range.start + first.saturating_sub(offset).min(range.len());
        if from < range.end {
            space.discard(from..range.end, flags);
        }
    });
}

/// Whether a file's page cache is the one at `cache`.
fn caches_in(cache: *const ()) -> impl Fn(&OpenFile) -> bool {
    move |o| o.path.inode().cache().is_some_and(|c| core::ptr::eq((&raw const *c).cast(), cache))
}

/// See `libos_base::memory`. Private copies stay.
pub fn unmap(cache: *const ()) {
    each_mapping(caches_in(cache), |space, range, _, _| space.unmap_pages(range));
}

/// See `libos_base::memory`.
pub fn write_protect(cache: *const (), pages: Range<u64>) {
    let bytes = pages.start as usize * PAGE_SIZE..pages.end as usize * PAGE_SIZE;
    each_mapping(caches_in(cache), |space, range, flags, offset| {
        let from = bytes.start.saturating_sub(offset).min(range.len());
        let to = bytes.end.saturating_sub(offset).min(range.len());
        if flags.contains(Flags::SHARED) && from < to {
            space.protect_shared(range.start + from..range.start + to);
        }
    });
}

/// Unmaps pages of files that the program did not touch for some time, about `want` of them, so that the page cache can
/// drop them. Does nothing when the space is locked: it may be by us.
pub fn unmap_untouched(want: usize) {
    static HAND: AtomicUsize = AtomicUsize::new(0);
    let of_cache = |v: &Vma| match &v.kind {
        Kind::File(f, _) if !v.flags.contains(Flags::LOCKED) => {
            f.downcast::<OpenFile>().is_some_and(|o| o.path.inode().cache().is_some())
        }
        _ => false,
    };
    let Some(mut space) = space::try_lock() else { return };
    let before = space.file_pages();
    let mut rounds = 0;
    // Once round takes the marks away, once more finds what was not touched since.
    while rounds < 3 && before - space.file_pages() < want {
        let next = space.unmap_untouched(HAND.load(Relaxed), want, of_cache);
        HAND.store(next, Relaxed);
        rounds += usize::from(next == 0);
    }
}
