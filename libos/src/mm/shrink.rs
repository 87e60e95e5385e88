//! Files that get shorter: what is behind the new end leaves every mapping, so that touching it is SIGBUS and a file
//! that grows again shows its new content.

use super::space;
use super::vma::Kind;
use alloc::sync::Arc;
use libos_base::file::FileLike;
use libos_base::layout::{PROGRAM_END, PROGRAM_START, page_up};
use libos_fs::inode::Inode;
use libos_fs::openfile::OpenFile;

/// `inode` was cut to `len` bytes. Private copies go too, as on Linux.
pub fn file_shrunk(inode: &Arc<dyn Inode>, len: u64) {
    let of_it = |f: &Arc<dyn FileLike>| f.downcast::<OpenFile>().is_some_and(|o| Arc::ptr_eq(o.path.inode(), inode));
    let first = page_up(usize::try_from(len).unwrap_or(usize::MAX & !0xffff));
    let mut space = space::lock();
    let mut at = PROGRAM_START;
    loop {
        let next = space.vmas.overlapping(at..PROGRAM_END).find_map(|(start, v)| match &v.kind {
            Kind::File(f, offset) if of_it(f) => Some((start, v.end, v.flags, *offset as usize)),
            _ => None,
        });
        let Some((start, end, flags, offset)) = next else { return };
        let from = start + first.saturating_sub(offset).min(end - start);
        if from < end {
            space.discard(from..end, flags);
        }
        at = end;
    }
}
