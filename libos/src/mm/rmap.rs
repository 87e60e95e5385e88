//! Changes to files that concern their mappings, which the reverse map finds. When a file gets shorter, everything
//! past the new end leaves every mapping, so that touching it raises SIGBUS and a file that grows again shows its new
//! content. Pages that are written back are write-protected first, so that the next write makes them dirty again.

use super::space::{self, Space};
use super::vma::{Flags, Kind, Vma};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use libos_base::layout::PAGE_SIZE;
use libos_base::rmap::Mappings;
use libos_fs::openfile::OpenFile;

/// Calls `f` for every place where the program maps these pages of a file, with the mapping's flags.
fn each_place(file: &Mappings, pages: Range<u64>, mut f: impl FnMut(&mut Space, Range<usize>, Flags)) {
    let mut space = space::lock();
    let mut last = None;
    while let Some((start, vma)) = space.vmas.next_of(file, last) {
        let (place, flags) = (vma.shows(start, &pages), vma.flags);
        if !place.is_empty() {
            f(&mut space, place, flags);
        }
        last = Some(start);
    }
}

/// The file was cut to `len` bytes. Private copies of the rest go too, as on Linux.
pub fn file_shrunk(file: &Mappings, len: u64) {
    let behind = len.div_ceil(PAGE_SIZE as u64)..u64::MAX;
    each_place(file, behind, |space, place, flags| space.discard(place, flags));
}

/// See [`Mappings::unmap`].
pub fn unmap(file: &Mappings) {
    each_place(file, 0..u64::MAX, |space, place, _| space.unmap_pages(place));
}

/// See [`Mappings::write_protect`].
pub fn write_protect(file: &Mappings, pages: Range<u64>) {
    each_place(file, pages, |space, place, flags| {
        if flags.contains(Flags::SHARED) {
            space.protect_shared(place);
        }
    });
}

/// Unmaps pages of files that the program has not touched for some time, about `want` of them, so that the page cache
/// can drop them. Does nothing when the space is locked, since we may be the ones holding it.
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
    // One round clears the marks, another finds what has not been touched since.
    while rounds < 3 && before - space.file_pages() < want {
        let next = space.unmap_untouched(HAND.load(Relaxed), want, of_cache);
        HAND.store(next, Relaxed);
        rounds += usize::from(next == 0);
    }
}
