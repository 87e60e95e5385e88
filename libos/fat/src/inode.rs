//! Files and directories of a volume, as the rest of the kernel sees them.
//!
//! Content moves between the page cache and the device by runs of clusters; only allocating clusters takes the volume's
//! lock. `valid` is how much of the file's content the device holds: beyond it the clusters have old content, which
//! reads as zeros here and is overwritten with zeros when something beyond it is written, or before the entry says that
//! the file extends there. So sparse files and fast upward truncation cost nothing until they are synced.

use crate::dir::Dir;
use crate::entry::{self, Entry, Raw, attr};
use crate::names;
use crate::table::{self, Run};
use crate::view;
use crate::volume::{Meta, Orphan, Volume};
use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::abi::{FallocateMode, OpenFlags, Stat, Timespec, mode::*};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::page::Page;
use libos_base::sync::{Mutex, Once, class};
use libos_base::{Errno, Result};
use libos_fs::Path;
use libos_fs::cache::{Backing, FileCache};
use libos_fs::inode::{At, Cached, DirEntry, FileSystem, Inode, New, Rename, SetAttr};

pub(crate) const PAGE: u64 = PAGE_SIZE as u64;
/// Longest file.
pub const SIZE_MAX: u64 = u32::MAX as u64;
/// The permissions of every object on the volume; the read-only attribute removes the write bits.
const MODE: u32 = 0o755;

/// Where an entry is: its directory, the slot of its short entry, and the number of slots before it with the long name.
#[derive(Clone)]
pub struct Place {
    pub dir: Arc<FatInode>,
    pub slot: u32,
    pub long: u32,
}

impl Place {
    /// Whether it is this slot of this directory.
    pub fn is(&self, dir: &FatInode, slot: u32) -> bool {
        core::ptr::eq(&*self.dir, dir) && self.slot == slot
    }
}

/// What is known of an object besides its clusters.
#[derive(Default)]
pub struct State {
    /// Its name in memory. `None`: the root, or removed.
    pub place: Option<Place>,
    /// The short entry at that place on the disk; `None`: there is none yet.
    pub disk: Option<Raw>,
    /// Writing the entry at that place failed: `disk` is the most that can be there.
    pub unsure: bool,
    /// The short entry to be written; the commit fills in clusters, size and times.
    pub raw: Raw,
    /// Slots of the long name that the disk does not have yet.
    pub long: Vec<Raw>,
    pub mtime: i64,
    pub atime: i64,
    /// The disk once had an entry for it, so its clusters must be freed in order.
    pub known: bool,
    /// Whether it is on the volume's list of what may have to be written.
    pub listed: bool,
    /// Operations in progress that will change it.
    pub busy: u32,
    /// It replaces another file, so its content must be on the disk first.
    pub flush_first: bool,
    /// The disk has the entry of a removed file at `place`: writing this one replaces it.
    pub over: bool,
    /// For a directory that moved, the parent for its `..`.
    pub parent: Option<u32>,
    /// Number of open descriptions.
    pub users: u32,
}

impl State {
    /// Called when it leaves its place. Returns whether the disk may have an entry there, and the slots of the long
    /// name that it may be missing.
    pub fn leave(&mut self) -> (bool, Vec<Raw>) {
        self.unsure = false;
        let there = self.disk.take().is_some();
        (core::mem::take(&mut self.over) || there, core::mem::take(&mut self.long))
    }
}

/// The clusters of an object.
#[derive(Default)]
pub struct Map {
    pub loaded: bool,
    pub runs: Vec<Run>,
    pub valid: u64,
    /// Clusters that a write in progress relies on.
    pub floor: u32,
}

/// A file or directory.
pub struct FatInode {
    pub vol: Arc<Volume>,
    pub me: Weak<FatInode>,
    pub ino: u64,
    pub kind: u32,
    pub state: Mutex<State>,
    pub map: Mutex<Map>,
    /// Held while content is written to the device, and while clusters are cut off.
    pub io: Mutex<()>,
    /// No name refers to it any more.
    pub removed: AtomicBool,
    pub(crate) writer: Mutex<()>,
    cache: Once<Arc<FileCache>>,
    pub dir: Mutex<Dir>,
}

impl FatInode {
    /// An object with this entry. `disk`: whether the entry is on the disk.
    pub fn new(vol: &Arc<Volume>, ino: u64, raw: Raw, place: Option<Place>, disk: bool) -> Result<Arc<FatInode>> {
        libos_base::memory::check()?;
        let dir = raw.attr() & attr::DIR != 0;
        let state = State {
            place,
            disk: disk.then_some(raw),
            raw,
            mtime: raw.mtime(),
            atime: raw.atime(),
            known: disk,
            ..State::default()
        };
        let map = Map { valid: u64::from(raw.size()), ..Map::default() };
        let i = Arc::new_cyclic(|me| FatInode {
            vol: vol.clone(),
            me: me.clone(),
            ino,
            kind: if dir { S_IFDIR } else { S_IFREG },
            state: Mutex::new(class::FAT_STATE, state),
            map: Mutex::new(class::FAT_MAP, map),
            io: Mutex::new(class::FAT_IO, ()),
            removed: AtomicBool::new(false),
            writer: Mutex::new(class::FAT_WRITER, ()),
            cache: Once::new(),
            dir: Mutex::new(class::FAT_NAMES, Dir::default()),
        });
        if !dir {
            let backing: Weak<dyn Backing> = i.me.clone();
            let cache = FileCache::new(backing, u64::from(raw.size()))?;
            i.cache.set(|| cache);
        }
        Ok(i)
    }
    pub(crate) fn arc(&self) -> Result<Arc<FatInode>> {
        self.me.upgrade().ok_or(Errno::EIO)
    }
    pub fn is_dir(&self) -> bool {
        self.kind == S_IFDIR
    }
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
    pub(crate) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
        if let Some(c) = self.cache.get() {
            c.set_orphan();
        }
    }
    /// Gives up the clusters of a file with neither a name nor an open description: the object itself may live on for a
    /// while if the background is working on it. A directory keeps its clusters as long as it lives: names in it may
    /// still have to be removed from the disk.
    pub(crate) fn evict(&self) {
        if self.is_dir() {
            return;
        }
        // After any write in progress.
        let _io = self.io.lock();
        let mut map = self.map.lock();
        let known = {
            let s = self.state.lock();
            if !self.is_removed() || s.users > 0 {
                return;
            }
            s.known
        };
        let runs = core::mem::take(&mut map.runs);
        drop(map);
        if !runs.is_empty() {
            self.vol.orphan(Orphan { runs, first: 0, known });
        }
    }
    pub(crate) fn file(&self) -> Result<&Arc<FileCache>> {
        self.cache.get().ok_or(Errno::EISDIR)
    }
    /// Length of a file.
    pub(crate) fn length(&self) -> u64 {
        self.cache.get().map_or(0, |c| c.size())
    }
    /// Writes dirty pages of a file to the device.
    pub fn flush(&self) -> Result<()> {
        self.cache.get().map_or(Ok(()), |c| c.flush(0..u64::MAX))
    }
    /// Whether the device is missing zeros that the file has.
    pub fn is_behind(&self) -> bool {
        !self.is_dir() && self.map.lock().valid < self.length()
    }
    /// Whether dirty pages are waiting.
    pub fn is_dirty(&self) -> bool {
        self.cache.get().is_some_and(|c| c.is_dirty())
    }

    /// The first cluster; 0: none.
    pub fn first(&self) -> u32 {
        let map = self.map.lock();
        if map.loaded { map.runs.first().map_or(0, |r| r.start) } else { self.state.lock().raw.first() }
    }

    /// Reads the chain, unless that has been done.
    pub(crate) fn load_map(&self) -> Result<()> {
        if self.map.lock().loaded {
            return Ok(());
        }
        self.load_map_in(&mut self.vol.meta.lock())
    }
    pub fn load_map_in(&self, m: &mut Meta) -> Result<()> {
        if self.map.lock().loaded {
            return Ok(());
        }
        let geo = &self.vol.geo;
        let (root, raw) = {
            let s = self.state.lock();
            (s.place.is_none() && !self.is_removed(), s.raw)
        };
        let mut runs = Vec::new();
        if self.is_dir() {
            let first = if root { geo.root_cluster } else { geo.first_of(&raw) };
            if !root || geo.root_len == 0 {
                let max = (view::SLOTS_MAX as u32 * 32).div_ceil(geo.cluster) + 1;
                let (r, ends) = m.table.chain(first, max).map_err(|e| self.broken(e))?;
                if !ends {
                    return Err(self.broken(Errno::EIO));
                }
                runs = r;
            }
        } else if raw.size() > 0 {
            let n = geo.clusters_for(u64::from(raw.size()));
            let (r, _) = m.table.chain(geo.first_of(&raw), n).map_err(|e| self.broken(e))?;
            if table::total(&r) < n {
                return Err(self.broken(Errno::EIO));
            }
            runs = r;
        }
        let mut map = self.map.lock();
        map.runs = runs;
        map.loaded = true;
        Ok(())
    }
    pub(crate) fn broken(&self, e: Errno) -> Errno {
        if e == Errno::EIO {
            self.vol.damaged("a chain of clusters is broken");
        }
        e
    }

    /// Where a slot of a directory is on the device.
    pub fn slot_at(&self, slot: u32) -> Result<u64> {
        let geo = &self.vol.geo;
        let at = u64::from(slot) * 32;
        let map = self.map.lock();
        if map.runs.is_empty() {
            // Only the root of FAT12 and FAT16 has no clusters.
            return if self.is_removed() { Err(Errno::EIO) } else { Ok(geo.root_at + at) };
        }
        let size = u64::from(geo.cluster);
        let run = table::find(&map.runs, (at / size) as u32).ok_or(Errno::EIO)?;
        Ok(geo.at(run.start) + at - u64::from(run.index) * size)
    }

    /// Reads the names of a directory, unless that has been done.
    pub fn load_dir(&self, m: &mut Meta) -> Result<()> {
        if self.dir.lock().loaded {
            return Ok(());
        }
        self.load_map_in(m)?;
        let slots = self.read_slots(m)?;
        let doubles = self.dir.lock().load(&slots, || self.vol.next_ino())?;
        if !doubles.is_empty() {
            self.vol.damaged("a directory has two entries of one name");
        }
        Ok(())
    }
    /// All slots of a directory.
    pub fn read_slots(&self, m: &mut Meta) -> Result<Vec<Raw>> {
        let geo = self.vol.geo;
        let runs = self.map.lock().runs.clone();
        let mut pieces = Vec::new();
        pieces.try_reserve(runs.len() + 1)?;
        if runs.is_empty() {
            pieces.push((geo.root_at, geo.root_len));
        }
        pieces.extend(runs.iter().map(|r| (geo.at(r.start), u64::from(r.len) * u64::from(geo.cluster))));
        let bytes: u64 = pieces.iter().map(|p| p.1).sum();
        let mut slots = view::slot_buffer((bytes as usize / 32).min(view::SLOTS_MAX))?;
        let mut left = slots.as_flattened_mut();
        for (at, len) in pieces {
            let n = left.len().min(len as usize);
            let (now, rest) = left.split_at_mut(n);
            m.table.buf.read(at, now)?;
            left = rest;
        }
        Ok(slots)
    }

    /// Records that the volume may have to write this object's entry.
    pub fn list(&self, m: &mut Meta) -> Result<()> {
        let mut s = self.state.lock();
        if !s.listed {
            m.dirty.try_reserve(1)?;
            m.dirty.push(self.arc()?);
            s.listed = true;
        }
        Ok(())
    }
    /// Begins a change of content or attributes.
    fn begin(&self) -> Result<Busy<'_>> {
        self.vol.check_writable()?;
        {
            let mut s = self.state.lock();
            s.busy += 1;
            if s.listed {
                return Ok(Busy(self));
            }
        }
        let busy = Busy(self);
        self.list(&mut self.vol.meta.lock())?;
        self.vol.wake_later();
        Ok(busy)
    }
    pub(crate) fn touch(&self) {
        let t = entry::whole(libos_fs::time::now());
        self.state.lock().mtime = t;
    }
}

/// While this exists, the object stays on the list of what may have to be written.
struct Busy<'a>(&'a FatInode);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state.lock().busy -= 1;
    }
}

pub(crate) fn fat(i: &Arc<dyn Inode>) -> Result<&FatInode> {
    i.downcast::<FatInode>().ok_or(Errno::EXDEV)
}

impl Drop for FatInode {
    fn drop(&mut self) {
        let known = self.state.lock().known;
        if self.is_removed() {
            let runs = core::mem::take(&mut self.map.lock().runs);
            let first = if runs.is_empty() && !self.map.lock().loaded { self.state.lock().raw.first() } else { 0 };
            self.vol.orphan(Orphan { runs, first, known });
        }
    }
}

impl Inode for FatInode {
    fn kind(&self) -> u32 {
        self.kind
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.vol.clone()
    }
    fn stat(&self) -> Result<Stat> {
        let geo = &self.vol.geo;
        let mut nlink = 1;
        if self.is_dir() {
            if !self.dir.lock().loaded {
                self.load_dir(&mut self.vol.meta.lock())?;
            }
            nlink = 2 + u64::from(self.dir.lock().subdirs);
        }
        let clusters = {
            let map = self.map.lock();
            if map.loaded { table::total(&map.runs) } else { geo.clusters_for(self.length()) }
        };
        let bytes = u64::from(clusters) * u64::from(geo.cluster);
        let root = self.is_dir() && bytes == 0;
        let size = if self.is_dir() { if root { geo.root_len } else { bytes } } else { self.length() };
        let s = self.state.lock();
        let ro = s.raw.attr() & attr::READ_ONLY != 0 && !self.is_dir();
        let at = |sec| Timespec { sec, nsec: 0 };
        Ok(Stat {
            dev: self.vol.id,
            ino: self.ino,
            nlink: if self.is_removed() { 0 } else { nlink },
            mode: self.kind | if ro { MODE & !0o222 } else { MODE },
            size: size as i64,
            blksize: i64::from(geo.cluster),
            blocks: (bytes / 512) as i64,
            atime: at(s.atime),
            mtime: at(s.mtime),
            ctime: at(s.mtime),
            ..Stat::default()
        })
    }
    fn set_attr(&self, a: &SetAttr) -> Result<()> {
        // There is one owner for all files; Linux's vfat reports the same.
        if a.uid.is_some_and(|u| u != 0) || a.gid.is_some_and(|g| g != 0) {
            return Err(Errno::EPERM);
        }
        let _busy = self.begin()?;
        let mut s = self.state.lock();
        // Only "nobody may write" can be stored; other modes are silently ignored, as by Linux's vfat.
        if let (Some(mode), false) = (a.mode, self.is_dir())
            && mode & 0o555 & MODE == MODE & 0o555
        {
            match mode & 0o222 & MODE {
                0 => s.raw[11] |= attr::READ_ONLY,
                w if w == MODE & 0o222 => s.raw[11] &= !attr::READ_ONLY,
                _ => {}
            }
        }
        if let Some(t) = a.mtime {
            s.mtime = entry::whole(t);
        }
        if let Some(t) = a.atime {
            s.atime = entry::day(t);
        }
        Ok(())
    }

    fn open(&self, _path: &Path, _flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        self.load_map()?;
        let mut s = self.state.lock();
        if self.is_removed() && s.users == 0 {
            // Found just before its name was removed.
            return Err(Errno::ENOENT);
        }
        s.users += 1;
        Ok(None)
    }
    fn closed(&self, _flags: OpenFlags) {
        let users = {
            let mut s = self.state.lock();
            s.users = s.users.saturating_sub(1);
            s.users
        };
        if users == 0 && self.is_removed() {
            self.evict();
        }
    }
    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        self.load_map()?;
        let n = self.file()?.read(pos, dst)?;
        let today = entry::day(libos_fs::time::now());
        let mut s = self.state.lock();
        if s.atime != today {
            s.atime = today;
        }
        Ok(n)
    }
    fn write_at(&self, at: At, src: &mut Source<'_>, limit: u64) -> Result<(usize, u64)> {
        let cache = self.file()?;
        self.load_map()?;
        let _w = self.writer.lock();
        let pos = match at {
            At::Pos(p) => p,
            At::End => cache.size(),
        };
        if src.left() == 0 {
            return Ok((0, pos));
        }
        let max = limit.min(SIZE_MAX);
        if pos >= max {
            return Err(Errno::EFBIG);
        }
        src.limit(usize::try_from(max - pos).unwrap_or(usize::MAX));
        let _busy = self.begin()?;
        let fits = self.reserve(pos, pos + src.left() as u64).inspect_err(|_| self.release_floor())?;
        src.limit((fits - pos) as usize);
        let r = cache.write(pos, src);
        self.release_floor();
        let n = r?;
        self.touch();
        Ok((n, pos + n as u64))
    }
    fn size(&self) -> u64 {
        self.length()
    }
    fn resize(&self, len: u64) -> Result<()> {
        let cache = self.file()?;
        if len > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        self.load_map()?;
        let _w = self.writer.lock();
        let _busy = self.begin()?;
        let grows = len > cache.size();
        if grows && let Err(e) = self.reserve(len - 1, len) {
            self.release_floor();
            return Err(e);
        }
        let r = cache.set_size(len);
        if !grows {
            let _io = self.io.lock();
            let mut map = self.map.lock();
            map.valid = map.valid.min(len);
        }
        self.release_floor();
        self.touch();
        r
    }
    fn allocate(&self, mode: FallocateMode, pos: u64, len: u64) -> Result<()> {
        if !FallocateMode::KEEP_SIZE.contains(mode) {
            return Err(Errno::EOPNOTSUPP);
        }
        let end = pos.checked_add(len).filter(|&e| e <= SIZE_MAX).ok_or(Errno::EFBIG)?;
        let cache = self.file()?;
        if !mode.is_empty() && end > cache.size() {
            // Clusters beyond the end would not survive: the chain is as long as the file.
            return Err(Errno::EOPNOTSUPP);
        }
        if end <= cache.size() {
            return Ok(());
        }
        self.resize(end)
    }
    fn page(&self, index: u64, for_write: bool) -> Result<Option<Arc<Page>>> {
        self.load_map()?;
        if for_write {
            // It must be on the list of what is to be written, or the time would not reach the disk.
            let _busy = self.begin()?;
            self.touch();
        }
        self.file().map_err(|_| Errno::ENODEV)?.page(index, for_write)
    }
    fn cache(&self) -> Option<&dyn Cached> {
        self.cache.get().map(|c| &**c as &dyn Cached)
    }
    fn sync(&self, data_only: bool) -> Result<()> {
        self.vol.sync_inode(self, data_only)
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let name = names::text(name).map_err(|_| Errno::ENOENT)?;
        if !self.dir.lock().loaded {
            self.load_dir(&mut self.vol.meta.lock())?;
        }
        let mut d = self.dir.lock();
        let slot = d.find(name)?.ok_or(Errno::ENOENT)?.slot;
        let rec = d.recs.get_mut(&slot).ok_or(Errno::ENOENT)?;
        if let Some(i) = rec.inode.upgrade() {
            return Ok(i);
        }
        let place = Place { dir: self.arc()?, slot, long: rec.long };
        let i = FatInode::new(&self.vol, rec.ino, rec.raw, Some(place), true)?;
        rec.inode = i.me.clone();
        Ok(i)
    }
    fn real_name(&self, name: &[u8]) -> Option<Vec<u8>> {
        let d = self.dir.lock();
        let rec = d.find(names::text(name).ok()?).ok()??;
        (*rec.name != *name).then(|| rec.name.to_vec())
    }
    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if !self.dir.lock().loaded {
            self.load_dir(&mut self.vol.meta.lock())?;
        }
        // `.` and `..` come first; after that a slot's offset is its number.
        const FIRST: u64 = 3;
        let mut at = u32::try_from(from.saturating_sub(FIRST)).unwrap_or(u32::MAX);
        loop {
            // Copied, since the caller may touch program memory.
            let mut some: Vec<(Box<[u8]>, u64, u32, u32)> = Vec::new();
            some.try_reserve(32)?;
            for (slot, r) in self.dir.lock().recs.range(at..).take(32) {
                let kind = if r.raw.attr() & attr::DIR != 0 { S_IFDIR } else { S_IFREG };
                some.push((r.name.clone(), r.ino, kind, *slot));
            }
            let Some(last) = some.last() else { return Ok(()) };
            at = last.3 + 1;
            for (name, ino, kind, slot) in &some {
                if !emit(DirEntry { name, ino: *ino, kind: *kind, next: u64::from(*slot) + 1 + FIRST }) {
                    return Ok(());
                }
            }
        }
    }
    fn create(&self, name: &[u8], new: New<'_>) -> Result<Arc<dyn Inode>> {
        let dir = match new.mode & S_IFMT {
            S_IFREG => false,
            S_IFDIR => true,
            _ => return Err(Errno::EPERM),
        };
        let name = names::check(name)?;
        let i = self.with_space(|m| self.make(m, name, dir))?;
        self.touch();
        Ok(i)
    }
    fn unlink(&self, _name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let i = fat(inode)?;
        self.with_space(|m| {
            self.load_dir(m)?;
            i.load_map_in(m)?;
            m.unlinked.try_reserve(1)?;
            let mut d = self.dir.lock();
            self.drop_entry(m, &mut d, i, true)?;
            m.unlinked.push(i.me.clone());
            i.set_removed();
            if i.is_dir() {
                i.dir.lock_nested(1).dead = true;
            }
            drop(d);
            i.evict();
            Ok(())
        })?;
        self.touch();
        Ok(())
    }
    fn rename(&self, r: &Rename<'_>) -> Result<()> {
        if r.exchange {
            return Err(Errno::EINVAL);
        }
        self.with_space(|m| {
            if let Some(v) = r.replaced {
                let v = fat(v)?;
                v.load_map_in(m)?;
                m.unlinked.try_reserve(1)?;
                m.unlinked.push(v.me.clone());
            }
            self.move_entry(m, r)?;
            r.replaced.map_or(Ok(()), |v| fat(v).map(FatInode::evict))
        })?;
        self.touch();
        fat(r.to)?.touch();
        Ok(())
    }
}

// A volume is shared by all threads.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<FatInode>();
    shared::<Volume>();
};
