//! The descriptor table: lowest number first, close-on-exec, reservation before costly opens.
//!
//! One spin lock, held for a few loads and a reference count. Files are dropped outside of it.

use crate::locks;
use crate::util::try_box;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{Fd, OpenFlags};
use libos_base::file::FileLike;
use libos_base::limits::{self, NOFILE_MAX};
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

const CHUNK: usize = 64;

/// The most files that may be open in the system (fs.file-max). Each takes about a KiB, so this keeps them from using
/// up memory. Linux lets root exceed it; here nobody would clean up after root. Descriptor numbers are counted,
/// including those from `dup`, but not files in flight through a socket. It is derived from the memory size that boot
/// reports, which is known before the first file is opened.
pub fn file_max() -> u64 {
    (crate::root::memory() as u64 >> 10).clamp(1024, NOFILE_MAX)
}

/// The soft limit with which a program starts: what memory allows. Programs that close all descriptors there could be
/// need not close millions.
pub fn usual_limit() -> u64 {
    file_max().min(1 << 16)
}

struct Slot {
    file: Arc<dyn FileLike>,
    cloexec: bool,
    /// What it is open for: [`READ`], [`WRITE`], [`USE`].
    access: u8,
}

const READ: u8 = 1;
const WRITE: u8 = 2;
/// Anything but its place: not opened with O_PATH.
const USE: u8 = 4;

struct Chunk {
    /// Bit set: in use or reserved.
    used: u64,
    slots: [Option<Slot>; CHUNK],
}

struct Inner {
    /// By number; `None`: none of its numbers was ever used.
    chunks: Vec<Option<Box<Chunk>>>,
    /// No chunk below this one has a free number.
    first_free: usize,
    /// Numbers in use or reserved.
    used: usize,
}

/// Descriptors of the process.
pub struct FdTable {
    inner: SpinLock<Inner>,
}

/// A number that is taken but does not refer to a file yet. Dropping it frees the number.
pub struct Reservation<'a> {
    table: &'a FdTable,
    fd: Fd,
}

impl Inner {
    #[inline]
    fn at(&self, fd: Fd) -> Option<&Slot> {
        // No chunk has a negative number.
        let n = fd.0 as u32 as usize;
        self.chunks.get(n / CHUNK)?.as_ref()?.slots[n % CHUNK].as_ref()
    }
    fn slot(&self, fd: Fd) -> Result<&Slot> {
        self.at(fd).ok_or(Errno::EBADF)
    }
    fn slot_mut(&mut self, fd: Fd) -> Result<&mut Slot> {
        let n = usize::try_from(fd.0).map_err(|_| Errno::EBADF)?;
        self.chunks.get_mut(n / CHUNK).and_then(|c| c.as_mut()?.slots[n % CHUNK].as_mut()).ok_or(Errno::EBADF)
    }
    /// The chunk of a number in use.
    fn chunk(&mut self, fd: Fd) -> Option<&mut Chunk> {
        self.chunks[fd.0 as usize / CHUNK].as_deref_mut()
    }
    /// The chunk with this index, which is made if there is none yet.
    fn make(&mut self, index: usize) -> Result<&mut Chunk> {
        if self.chunks.len() <= index {
            self.chunks.try_reserve(index + 1 - self.chunks.len())?;
            self.chunks.resize_with(index + 1, || None);
        }
        let chunk = &mut self.chunks[index];
        if chunk.is_none() {
            *chunk = Some(try_box(Chunk { used: 0, slots: [const { None }; CHUNK] })?);
        }
        chunk.as_deref_mut().ok_or(Errno::ENOMEM)
    }
    /// Takes the lowest free number that is at least `min`, unless `most` are taken.
    #[inline]
    fn take(&mut self, min: usize, most: usize) -> Result<Fd> {
        let limit = limits::NOFILE.soft() as usize;
        // Nearly always the first chunk that may have a free number has one.
        if let Some(Some(chunk)) = self.chunks.get_mut(self.first_free)
            && chunk.used != u64::MAX
            && min == 0
        {
            let bit = chunk.used.trailing_ones() as usize;
            let n = self.first_free * CHUNK + bit;
            if n < limit && self.used < most {
                chunk.used |= 1 << bit;
                self.used += 1;
                return Ok(Fd(n as i32));
            }
        }
        self.search(min, most, limit)
    }
    #[cold]
    fn search(&mut self, min: usize, most: usize, limit: usize) -> Result<Fd> {
        let mut c = (min / CHUNK).max(self.first_free);
        loop {
            if c * CHUNK >= limit {
                return Err(Errno::EMFILE);
            }
            let used = self.used;
            let chunk = self.make(c)?;
            let below = if c == min / CHUNK { (1u64 << (min % CHUNK)) - 1 } else { 0 };
            let taken = chunk.used | below;
            let bit = taken.trailing_ones() as usize;
            if bit < CHUNK {
                let n = c * CHUNK + bit;
                if n >= limit {
                    return Err(Errno::EMFILE);
                }
                if used >= most {
                    return Err(Errno::ENFILE);
                }
                chunk.used |= 1 << bit;
                self.used += 1;
                return Ok(Fd(n as i32));
            }
            if chunk.used == u64::MAX && self.first_free == c {
                self.first_free = c + 1;
            }
            c += 1;
        }
    }
    fn release(&mut self, fd: Fd) {
        let n = fd.0 as usize;
        if let Some(chunk) = self.chunk(fd) {
            chunk.used &= !(1 << (n % CHUNK));
        }
        self.used -= 1;
        self.first_free = self.first_free.min(n / CHUNK);
    }
    fn put(&mut self, fd: Fd, slot: Slot) -> Option<Slot> {
        self.chunk(fd)?.slots[fd.0 as usize % CHUNK].replace(slot)
    }
}

fn slot_for(file: Arc<dyn FileLike>, cloexec: bool) -> Slot {
    let flags = file.flags();
    // Of the access modes 0 to 2, one more is what it is open for; 3 allows neither.
    let mode = (flags.bits() + 1) as u8 & (READ | WRITE);
    Slot { file, cloexec, access: if flags.contains(OpenFlags::PATH) { 0 } else { mode | USE } }
}

impl FdTable {
    /// An empty table.
    pub const fn new() -> Self {
        Self { inner: SpinLock::new(class::FD_TABLE, Inner { chunks: Vec::new(), first_free: 0, used: 0 }) }
    }

    /// The file; EBADF if closed or opened with O_PATH.
    #[inline]
    pub fn get(&self, fd: Fd) -> Result<Arc<dyn FileLike>> {
        self.open_for(fd, USE).ok_or(Errno::EBADF)
    }
    /// The file, even if opened with O_PATH.
    pub fn get_any(&self, fd: Fd) -> Result<Arc<dyn FileLike>> {
        self.open_for(fd, 0).ok_or(Errno::EBADF)
    }
    /// The file; EBADF unless open for reading.
    #[inline]
    pub fn readable(&self, fd: Fd) -> Result<Arc<dyn FileLike>> {
        self.open_for(fd, READ).ok_or(Errno::EBADF)
    }
    /// The file; EBADF unless open for writing.
    #[inline]
    pub fn writable(&self, fd: Fd) -> Result<Arc<dyn FileLike>> {
        self.open_for(fd, WRITE).ok_or(Errno::EBADF)
    }
    /// The file, if it is open for all of this. An option, because that is returned in registers.
    #[inline(never)]
    fn open_for(&self, fd: Fd, access: u8) -> Option<Arc<dyn FileLike>> {
        let t = self.inner.lock();
        let file = match t.at(fd) {
            Some(slot) if slot.access & access == access => Some(slot.file.clone()),
            _ => None,
        };
        drop(t);
        file
    }
    /// See [`FileLike::idle_epoll`]; no reference of its own is needed for that.
    #[inline]
    pub fn idle_epoll(&self, fd: Fd) -> bool {
        let t = self.inner.lock();
        let idle = match t.at(fd) {
            Some(slot) if slot.access & USE != 0 => slot.file.idle_epoll(),
            _ => false,
        };
        drop(t);
        idle
    }

    /// Takes the lowest free number for a new description; EMFILE at the process's limit, ENFILE at the system's.
    pub fn reserve(&self) -> Result<Reservation<'_>> {
        self.reserve_among(0, file_max() as usize)
    }
    /// Takes the lowest free number that is at least `min` for a description that is already open; EMFILE at the limit.
    pub fn reserve_from(&self, min: usize) -> Result<Reservation<'_>> {
        self.reserve_among(min, usize::MAX)
    }
    fn reserve_among(&self, min: usize, most: usize) -> Result<Reservation<'_>> {
        let fd = self.inner.lock().take(min, most)?;
        Ok(Reservation { table: self, fd })
    }
    /// Gives a file the lowest free number.
    pub fn add(&self, file: Arc<dyn FileLike>, cloexec: bool) -> Result<Fd> {
        Ok(self.reserve()?.install(file, cloexec))
    }
    /// `dup2`/`dup3`: makes `to` refer to the file of `from`, closing what it referred to.
    pub fn dup_to(&self, from: Fd, to: Fd, cloexec: bool) -> Result<Fd> {
        let file = self.get_any(from)?;
        if to.0 < 0 || to.0 as u64 >= limits::NOFILE.soft() {
            return Err(Errno::EBADF);
        }
        let slot = slot_for(file, cloexec);
        let old = {
            let mut t = self.inner.lock();
            let n = to.0 as usize;
            let chunk = t.make(n / CHUNK)?;
            if chunk.used & (1 << (n % CHUNK)) != 0 && chunk.slots[n % CHUNK].is_none() {
                return Err(Errno::EBUSY);
            }
            let bit = 1 << (n % CHUNK);
            let fresh = chunk.used & bit == 0;
            chunk.used |= bit;
            t.used += usize::from(fresh);
            t.put(to, slot)
        };
        if let Some(old) = old {
            locks::on_close(&*old.file);
        }
        Ok(to)
    }

    /// Closes a descriptor.
    pub fn close(&self, fd: Fd) -> Result<()> {
        let slot = {
            let mut t = self.inner.lock();
            let n = fd.0 as u32 as usize;
            let chunk = t.chunks.get_mut(n / CHUNK).and_then(Option::as_mut).ok_or(Errno::EBADF)?;
            let slot = chunk.slots[n % CHUNK].take().ok_or(Errno::EBADF)?;
            chunk.used &= !(1 << (n % CHUNK));
            t.used -= 1;
            t.first_free = t.first_free.min(n / CHUNK);
            slot
        };
        // The number is free whatever `flush` returns (close(2)).
        locks::on_close(&*slot.file);
        slot.file.flush()
    }
    /// `close_range`: closes everything from `first` to `last`, or with `cloexec` marks it.
    pub fn close_range(&self, first: u32, last: u32, cloexec: bool) {
        let mut at = first as usize;
        while let Some(fd) = self.next(at).filter(|&fd| fd.0 as u32 <= last) {
            if cloexec {
                let _ = self.set_cloexec(fd, true);
            } else {
                let _ = self.close(fd);
            }
            at = fd.0 as usize + 1;
        }
    }
    /// The lowest open descriptor that is at least `from`.
    pub fn next(&self, from: usize) -> Option<Fd> {
        let t = self.inner.lock();
        for (i, chunk) in t.chunks.iter().enumerate().skip(from / CHUNK) {
            let Some(chunk) = chunk else { continue };
            let begin = from.max(i * CHUNK) % CHUNK;
            if let Some(at) = (begin..CHUNK).find(|&at| chunk.slots[at].is_some()) {
                return Some(Fd((i * CHUNK + at) as i32));
            }
        }
        None
    }
    /// Every number in use is below this.
    pub fn size(&self) -> usize {
        self.inner.lock().chunks.len() * CHUNK
    }
    /// Numbers in use or reserved.
    pub fn used(&self) -> usize {
        self.inner.lock().used
    }
    /// FD_CLOEXEC.
    pub fn cloexec(&self, fd: Fd) -> Result<bool> {
        Ok(self.inner.lock().slot(fd)?.cloexec)
    }
    /// Sets FD_CLOEXEC.
    pub fn set_cloexec(&self, fd: Fd, on: bool) -> Result<()> {
        self.inner.lock().slot_mut(fd)?.cloexec = on;
        Ok(())
    }
}

impl Reservation<'_> {
    /// The reserved number.
    pub fn fd(&self) -> Fd {
        self.fd
    }
    /// Makes the number refer to `file`.
    pub fn install(self, file: Arc<dyn FileLike>, cloexec: bool) -> Fd {
        let slot = slot_for(file, cloexec);
        let fd = self.fd;
        let mut t = self.table.inner.lock();
        if let Some(chunk) = t.chunk(fd) {
            let old = chunk.slots[fd.0 as usize % CHUNK].replace(slot);
            debug_assert!(old.is_none());
            // Nothing to drop.
            core::mem::forget(old);
        }
        drop(t);
        // The number is no longer only reserved.
        core::mem::forget(self);
        fd
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.table.inner.lock().release(self.fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventfd::EventFd;

    fn file() -> Arc<dyn FileLike> {
        EventFd::new(0, libos_base::abi::EventfdFlags::empty()).unwrap()
    }

    #[test]
    fn lowest_free_number_first() {
        let t = FdTable::new();
        for i in 0..200 {
            assert_eq!(t.add(file(), false).unwrap(), Fd(i));
        }
        t.close(Fd(130)).unwrap();
        t.close(Fd(5)).unwrap();
        assert_eq!(t.add(file(), true).unwrap(), Fd(5));
        assert!(t.cloexec(Fd(5)).unwrap() && !t.cloexec(Fd(6)).unwrap());
        assert_eq!(t.reserve_from(7).unwrap().fd(), Fd(130));
        assert_eq!(t.add(file(), false).unwrap(), Fd(130));
        assert_eq!(t.add(file(), false).unwrap(), Fd(200));
        assert_eq!(t.close(Fd(-1)), Err(Errno::EBADF));
        assert_eq!(t.close(Fd(1000)), Err(Errno::EBADF));
    }

    #[test]
    fn limit_and_reservation() {
        let t = FdTable::new();
        assert!(matches!(t.reserve_from(1024), Err(Errno::EMFILE)));
        let all: Vec<_> = (0..1024).map(|_| t.reserve().unwrap()).collect();
        assert!(matches!(t.reserve(), Err(Errno::EMFILE)));
        drop(all);
        let f = t.add(file(), false).unwrap();
        let r = t.reserve().unwrap();
        assert_eq!(t.dup_to(f, r.fd(), false), Err(Errno::EBUSY));
        assert_eq!(t.dup_to(f, Fd(1024), false), Err(Errno::EBADF));
        assert_eq!(t.dup_to(f, Fd(700), true), Ok(Fd(700)));
        assert!(Arc::ptr_eq(&t.get(Fd(700)).unwrap(), &t.get(f).unwrap()));
        t.close_range(1, u32::MAX, false);
        assert_eq!(t.next(0), Some(Fd(0)));
        assert_eq!(t.next(1), None);
    }

    #[test]
    fn a_high_number_takes_no_room_below_it() {
        let t = FdTable::new();
        let low = t.add(file(), false).unwrap();
        assert_eq!(t.size(), CHUNK);
        t.dup_to(low, Fd(1000), false).unwrap();
        assert_eq!(t.inner.lock().chunks.iter().flatten().count(), 2);
        assert_eq!((t.next(1), t.next(1000), t.next(1001)), (Some(Fd(1000)), Some(Fd(1000)), None));
        assert!(matches!(t.get(Fd(500)), Err(Errno::EBADF)) && t.size() == 1024);
        assert_eq!(t.reserve_from(500).unwrap().fd(), Fd(500));
    }
}
