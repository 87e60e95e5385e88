//! The program's address space: its mappings and their page tables under one blocking mutex.
//!
//! That mutex is the last of the blocking locks, because any code may touch program memory and fault. So nothing that
//! takes another blocking lock happens under it: file pages are fetched, and file references dropped, without it.

use super::commit;
use super::cpu;
use super::frames::{self, Level};
use super::kernel::Window;
use super::table::Tables;
use super::table_frames::{seal, unseal};
use super::tlb;
use super::vma::{Flags, Kind, Prot, Vma, VmaMap};
use crate::arch::page::*;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libos_base::file::FileLike;
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, virt_of};
use libos_base::page::Page;
use libos_base::page_tree::{PageTree, new_leaf};
use libos_base::sync::{Mutex, MutexGuard, class};
use libos_base::{Errno, Result};

/// Most mappings (vm.max_map_count).
const MAX_MAPPINGS: usize = 65_530;

/// The address space. See [`lock`].
pub struct Space {
    /// The mappings.
    pub vmas: VmaMap,
    tables: Option<Tables<Window>>,
    /// Page-cache pages that are mapped, by address over [`PAGE_SIZE`].
    pages: PageTree,
    /// Where the `brk` heap starts and ends; 0 before the first call.
    pub brk: Range<usize>,
    /// Where the main stack starts.
    pub stack_top: usize,
    /// mlockall(MCL_FUTURE).
    pub lock_future: bool,
}

static ROOT: AtomicU64 = AtomicU64::new(0);
/// A frame of zeroes, mapped read-only wherever zeroes are read before anything is written.
static ZERO: AtomicU64 = AtomicU64::new(0);
static SPACE: Mutex<Space> = Mutex::new(
    class::SPACE,
    Space {
        vmas: VmaMap::new(PROGRAM_END - (1 << 30)),
        tables: None,
        pages: PageTree::new(),
        brk: 0..0,
        stack_top: 0,
        lock_future: false,
    },
);

/// Where [`Space::pages`] has the page at an address.
fn index(addr: usize) -> u64 {
    (addr / PAGE_SIZE) as u64
}

/// File references that must be dropped without the lock: declare it before taking the lock.
#[derive(Default)]
pub struct Garbage(Vec<Arc<dyn FileLike>>);

/// The smallest range that holds all pages whose rights were removed, added in ascending order.
#[derive(Default)]
struct Touched(Range<usize>);

impl Touched {
    fn add(&mut self, page: usize) {
        let start = if self.0.is_empty() { page } else { self.0.start };
        self.0 = start..page + PAGE_SIZE;
    }
}

/// The space. Never touch program memory while holding it.
pub fn lock() -> MutexGuard<'static, Space> {
    SPACE.lock()
}

/// The space, unless it is locked: for crash reports.
pub fn try_lock() -> Option<MutexGuard<'static, Space>> {
    SPACE.try_lock()
}

/// The top-level page table.
pub fn root() -> u64 {
    ROOT.load(Relaxed)
}

/// Takes over the program half.
///
/// # Safety
/// `root` is the live top-level table.
pub unsafe fn init(root: u64) {
    ROOT.store(root, Relaxed);
    let zero = frames::alloc_zeroed(Level::Kernel).filter(|&f| seal(f));
    ZERO.store(zero.expect("a frame at boot"), Relaxed);
    // SAFETY: the caller's; the window shows every table.
    let tables = unsafe { Tables::new(root) };
    let mut s = lock();
    s.tables = Some(tables);
    // The whole image is closed until boot says which segments are the program's.
    #[cfg(unibody_kernel)]
    {
        let image = super::image::image();
        let (start, end) = (image.start, libos_base::layout::page_up(image.end));
        s.vmas.insert(start, Vma { end, prot: Prot::empty(), flags: Flags::empty(), kind: Kind::Kernel });
    }
}

/// The entry bits that give `prot`; none if it is empty.
fn rights(prot: Prot, write: bool) -> u64 {
    if prot.is_empty() {
        return 0;
    }
    let exec = if prot.contains(Prot::EXEC) { 0 } else { NO_EXEC };
    let write = if write && prot.contains(Prot::WRITE) { WRITE | DIRTY } else { 0 };
    PRESENT | ACCESSED | exec | write
}

impl Space {
    /// The page tables.
    pub fn tables(&mut self) -> &mut Tables<Window> {
        self.tables.as_mut().expect("mm::init ran")
    }

    /// ENOMEM when `more` mappings are too many, or the kernel has no memory to record them.
    pub fn check_room(&self, more: usize) -> Result<()> {
        if self.vmas.count() + more > MAX_MAPPINGS { Err(Errno::ENOMEM) } else { libos_base::memory::check() }
    }

    /// EPERM when a piece of the kernel lies in the range.
    pub fn check_not_kernel(&self, range: Range<usize>) -> Result<()> {
        let closed = |k: &Kind| matches!(k, Kind::Kernel);
        if self.vmas.overlapping(range).any(|(_, v)| closed(&v.kind)) { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// Drops all pages of the range; returns how many of them were the mapping's own. Three steps, so that no CPU can
    /// write to a frame that is already free: forbid, flush, free.
    pub fn zap(&mut self, range: Range<usize>) -> usize {
        let t = self.tables();
        let mut touched = Touched::default();
        t.for_each(range.clone(), &mut |addr, e| {
            if e.fetch_and(!PRESENT, Relaxed) & PRESENT != 0 {
                touched.add(addr);
            }
        });
        tlb::flush(touched.0);
        let mut own = 0;
        t.for_each(range.clone(), &mut |_, e| {
            let v = e.swap(0, Relaxed);
            if v & SEALED != 0 {
                unseal(v & ADDRESS);
            }
            if v & OWNED != 0 {
                // SAFETY: owned frames are mapped once; no CPU has a translation any more.
                unsafe { frames::free(v & ADDRESS, 0) };
                own += 1;
            }
        });
        self.forget_pages(range);
        own
    }

    fn forget_pages(&mut self, range: Range<usize>) {
        while let Some(addr) = self.next_page(&range) {
            self.pages.take(index(addr));
        }
    }

    /// Drops the pages of a range, all in mappings with `flags`, but keeps it mapped (MADV_DONTNEED).
    pub fn discard(&mut self, range: Range<usize>, flags: Flags) {
        let own = self.zap(range);
        if flags.contains(Flags::PROMISED) {
            commit::again(own);
        }
    }

    /// Removes every mapping in the range.
    pub fn unmap(&mut self, range: Range<usize>, garbage: &mut Garbage) {
        let mut rest = range.clone();
        while let Some((r, vma)) = self.vmas.take(rest.clone()) {
            rest.start = r.end;
            let own = self.zap(r.clone());
            if vma.flags.contains(Flags::PROMISED) {
                commit::settle(r.len() / PAGE_SIZE - own);
            }
            if let Kind::File(f, _) = vma.kind {
                garbage.0.push(f);
            }
        }
        if rest.start > range.start {
            let limits = self.vmas.surroundings(range.clone());
            self.flush_and_unlink(range, limits);
        }
    }

    /// Frees the tables that the range needed and that nothing else in `limits` needs.
    pub fn flush_and_unlink(&mut self, range: Range<usize>, limits: Range<usize>) {
        let list = self.tables().unlink(range.clone(), limits);
        if !list.is_empty() {
            // One page is enough: INVLPG also drops every cached upper-level entry (SDM 3A, 4.10.4.1).
            tlb::flush(range.start..range.start + PAGE_SIZE);
            // SAFETY: every CPU has flushed.
            unsafe { Tables::<Window>::free(list) };
        }
    }

    /// Counts the pages of the range that are its own.
    pub fn count_own(&mut self, range: Range<usize>) -> usize {
        let mut n = 0;
        self.tables().for_each(range, &mut |_, e| n += (e.load(Relaxed) & OWNED != 0) as usize);
        n
    }

    /// Makes present pages follow a changed protection. Pages that are not the mapping's own stay unwritable: the
    /// next write faults and sorts that out.
    pub fn apply_prot(&mut self, range: Range<usize>, vma: &Vma) {
        let image = matches!(vma.kind, Kind::Image);
        // Pages of a file that become executable in a private mapping are fetched again, as copies.
        let fetch =
            matches!(vma.kind, Kind::File(..)) && vma.prot.contains(Prot::EXEC) && !vma.flags.contains(Flags::SHARED);
        let mut touched = Touched::default();
        let mut sealed = false;
        self.tables().for_each(range, &mut |addr, e| {
            let mut old = e.load(Relaxed);
            let was = old & SEALED;
            let whole = follow(&mut old, vma.prot) && !(fetch && old & OWNED == 0);
            sealed |= old & SEALED > was;
            let rights = if whole { rights(vma.prot, image || old & OWNED != 0) } else { 0 };
            let new = old & KEPT | rights;
            e.store(new, Relaxed);
            let lost = old & PRESENT & !new != 0 || old & WRITE & !new != 0 || new & NO_EXEC & !old != 0;
            if lost && old & PRESENT != 0 {
                touched.add(addr);
            }
        });
        tlb::flush(touched.0);
        if sealed {
            cpu::pinned(|_| tlb::flush_soon());
        }
    }

    /// Moves pages to another place, both `len` long. ENOMEM: nothing was moved.
    pub fn move_pages(&mut self, from: usize, to: usize, len: usize) -> Result<()> {
        // Tables first: after that nothing can fail.
        for part in (0..len).step_by(PAGE_SIZE) {
            if self.tables().entry(from + part).is_some_and(|e| e.load(Relaxed) != 0)
                && (self.tables().entry_or_make(to + part).is_none()
                    || self.pages.get(index(from + part)).is_some() && self.make_room(to + part).is_err())
            {
                let limits = self.vmas.surroundings(to..to + len);
                self.flush_and_unlink(to..to + len, limits);
                return Err(Errno::ENOMEM);
            }
        }
        // Three steps again: a write through an old translation must not be lost in between.
        let t = self.tables();
        t.for_each(from..from + len, &mut |addr, e| {
            let v = e.swap(0, Relaxed);
            if let Some(new) = t.entry(addr - from + to) {
                new.store(v, Relaxed);
            }
        });
        tlb::flush(from..from + len);
        // All are inserted before any is taken: a leaf goes with its last page, and so would room made in it.
        let mut at = from;
        while let Some(addr) = self.next_page(&(at..from + len)) {
            if let Some(p) = self.pages.get(index(addr)).cloned() {
                self.pages.insert(index(addr - from + to), p);
            }
            at = addr + PAGE_SIZE;
        }
        self.forget_pages(from..from + len);
        Ok(())
    }

    /// Maps zeroes at `addr` of `vma`: the shared frame for reading, a frame of its own for writing.
    pub fn fill_zero(&mut self, addr: usize, vma: &Vma, write: bool) -> Result<()> {
        let zero = ZERO.load(Relaxed);
        let e = self.tables().entry_or_make(addr).ok_or(Errno::ENOMEM)?;
        let old = e.load(Relaxed);
        if old & OWNED != 0 {
            return regain(e, addr, vma.prot);
        }
        if !write {
            e.store(zero | rights(vma.prot, false), Relaxed);
            return Ok(());
        }
        let frame = frame(level(vma))?;
        // SAFETY: the frame is ours and in the direct map.
        unsafe { (virt_of(frame) as *mut u8).write_bytes(0, PAGE_SIZE) };
        e.store(frame | OWNED | rights(vma.prot, true), Relaxed);
        if vma.flags.contains(Flags::PROMISED) {
            commit::settle(1);
        }
        if old & PRESENT != 0 {
            // Other CPUs may still see the zeroes.
            tlb::flush(addr..addr + PAGE_SIZE);
        }
        Ok(())
    }

    /// Maps a page of a file at `addr` of `vma`: the page itself, or for a private write a copy of it.
    pub fn fill_file(&mut self, addr: usize, vma: &Vma, page: Arc<Page>, write: bool) -> Result<()> {
        let shared = vma.flags.contains(Flags::SHARED);
        // A page of the file may be writable elsewhere, an executable one must not be: use a copy, which no other
        // mapping has.
        let copy = !shared && (write || vma.prot.contains(Prot::EXEC));
        let phys = libos_base::layout::phys_of(page.addr() as usize);
        if !copy {
            self.make_room(addr)?;
        }
        let e = self.tables().entry_or_make(addr).ok_or(Errno::ENOMEM)?;
        let old = e.load(Relaxed);
        if old & OWNED != 0 {
            return regain(e, addr, vma.prot);
        }
        if copy {
            let frame = frame(level(vma))?;
            // SAFETY: a fresh frame of ours, as long as the page.
            page.read(0, unsafe { core::slice::from_raw_parts_mut(virt_of(frame) as *mut u8, PAGE_SIZE) });
            let mut v = frame | OWNED;
            let sealed = follow(&mut v, vma.prot);
            e.store(v | if sealed { rights(vma.prot, true) } else { 0 }, Relaxed);
            if v & SEALED != 0 {
                cpu::pinned(|_| tlb::flush_soon());
            }
            if vma.flags.contains(Flags::PROMISED) {
                commit::settle(1);
            }
        } else {
            e.store(phys | rights(vma.prot, write), Relaxed);
        }
        if old & PRESENT != 0 {
            tlb::flush(addr..addr + PAGE_SIZE);
        }
        // The old page, if any, is dropped after the flush.
        if copy {
            self.pages.take(index(addr));
        } else {
            self.pages.insert(index(addr), page);
        }
        Ok(())
    }

    /// The first address in `range` where a page of a file is mapped.
    fn next_page(&self, range: &Range<usize>) -> Option<usize> {
        self.pages.next(index(range.start)).map(|i| i as usize * PAGE_SIZE).filter(|a| *a < range.end)
    }
    /// Makes sure that a page can be remembered at `addr`.
    fn make_room(&mut self, addr: usize) -> Result<()> {
        if !self.pages.has_leaf(index(addr)) {
            self.pages.add_leaf(index(addr), new_leaf()?)?;
        }
        Ok(())
    }

    /// The number of mapped pages of files.
    pub fn file_pages(&self) -> usize {
        self.pages.len()
    }

    /// Unmaps pages of files that have not been touched since the last call and cannot be written through the mapping:
    /// about `want` of them, from address `from` on. Returns where to continue next time, 0 when it reached the end.
    pub fn unmap_untouched(&mut self, from: usize, want: usize, of_cache: impl Fn(&Vma) -> bool) -> usize {
        let mut list = [0; 64];
        let mut n = 0;
        let mut next = 0;
        let mut vma: Option<(usize, usize, bool)> = None;
        for addr in core::iter::successors(self.next_page(&(from..usize::MAX)), |a| {
            self.next_page(&(a + PAGE_SIZE..usize::MAX))
        }) {
            if n == list.len().min(want) {
                next = addr;
                break;
            }
            if !vma.as_ref().is_some_and(|(start, end, _)| (*start..*end).contains(&addr)) {
                vma = self.vmas.find(addr).map(|(start, v)| (start, v.end, of_cache(v)));
            }
            let Some(e) = self.tables.as_ref().and_then(|t| t.entry(addr)) else { continue };
            if vma.is_some_and(|(_, _, of_cache)| of_cache)
                && e.load(Relaxed) & (WRITE | OWNED) == 0
                // A stale translation may be used without setting the mark again: then a fault brings the page back.
                && e.fetch_and(!ACCESSED, Relaxed) & ACCESSED == 0
            {
                list[n] = addr;
                n += 1;
            }
        }
        self.unmap_list(&list[..n]);
        next
    }

    /// Unmaps the pages of files in the range, but not private copies of such pages.
    pub fn unmap_pages(&mut self, range: Range<usize>) {
        let mut list = [0; 64];
        loop {
            let mut n = 0;
            let mut from = range.start;
            while n < list.len()
                && let Some(addr) = self.next_page(&(from..range.end))
            {
                list[n] = addr;
                n += 1;
                from = addr + PAGE_SIZE;
            }
            if n == 0 {
                return;
            }
            self.unmap_list(&list[..n]);
        }
    }

    /// Unmaps pages of files, at ascending addresses.
    fn unmap_list(&mut self, list: &[usize]) {
        let mut touched = Touched::default();
        for &addr in list {
            if let Some(e) = self.tables().entry(addr) {
                e.store(0, Relaxed);
                touched.add(addr);
            }
        }
        tlb::flush(touched.0);
        for addr in list {
            self.pages.take(index(*addr));
        }
    }

    /// Removes write access from the pages of a shared mapping: the next write faults.
    pub fn protect_shared(&mut self, range: Range<usize>) {
        let mut touched = Touched::default();
        self.tables().for_each(range, &mut |addr, e| {
            if e.fetch_and(!(WRITE | DIRTY), Relaxed) & WRITE != 0 {
                touched.add(addr);
            }
        });
        tlb::flush(touched.0);
    }

    /// Whether the page is present with these rights.
    pub fn allows(&mut self, addr: usize, write: bool, exec: bool) -> bool {
        let Some(e) = self.tables().entry(addr).map(|e| e.load(Relaxed)) else { return false };
        e & PRESENT != 0 && (!write || e & WRITE != 0) && (!exec || e & NO_EXEC == 0)
    }

    /// Gives a page of the image that lost its rights for a while (PROT_NONE) its rights back. False when the page is
    /// gone.
    pub fn restore(&mut self, addr: usize, vma: &Vma) -> bool {
        match self.tables().entry(addr) {
            Some(e) if e.load(Relaxed) != 0 => {
                e.store(e.load(Relaxed) & KEPT | rights(vma.prot, true), Relaxed);
                cpu::invalidate_page(addr);
                true
            }
            _ => false,
        }
    }
}

/// The part of an entry that a change of rights keeps.
const KEPT: u64 = ADDRESS | OWNED | SEALED;

/// Makes the direct map follow what the program may do with a frame of its own: an executable frame is writable
/// nowhere. False when there is no memory for that.
fn follow(entry: &mut u64, prot: Prot) -> bool {
    let frame = *entry & ADDRESS;
    match (prot.contains(Prot::EXEC), *entry & SEALED != 0) {
        (true, false) if *entry & OWNED != 0 => {
            if !seal(frame) {
                return false;
            }
            *entry |= SEALED;
        }
        (false, true) => {
            unseal(frame);
            *entry &= !SEALED;
        }
        _ => {}
    }
    true
}

/// Gives one of the mapping's own pages the rights that it should have.
fn regain(e: &AtomicU64, addr: usize, prot: Prot) -> Result<()> {
    let mut v = e.load(Relaxed);
    let was = v & SEALED;
    if !follow(&mut v, prot) {
        return Err(Errno::ENOMEM);
    }
    e.store(v & KEPT | rights(prot, true), Relaxed);
    cpu::invalidate_page(addr);
    if v & SEALED != was {
        cpu::pinned(|_| tlb::flush_soon());
    }
    Ok(())
}

/// A frame for the program.
fn frame(level: Level) -> Result<u64> {
    super::frames_for(level, 1, 0).ok_or(Errno::ENOMEM)
}

fn level(vma: &Vma) -> Level {
    let strict = commit::mode() == commit::STRICT;
    if strict && !vma.flags.contains(Flags::PROMISED) { Level::Normal } else { Level::Promised }
}
