//! Files and directories of a volume, as the rest of the kernel sees them.

use crate::entry::{self, Entry, attr};
use crate::names;
use crate::object::{FatInode, Place, fat};
use crate::table;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::{FallocateMode, OpenFlags, Stat, Timespec, mode::*};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::memory::{push, with_room};
use libos_base::page::Page;
use libos_base::{Errno, Result};
use libos_fs::Path;
use libos_fs::inode::{At, Cached, DirEntry, FileSystem, Inode, New, Rename, SetAttr};

/// Longest file.
pub const SIZE_MAX: u64 = u32::MAX as u64;
/// The permissions of every object on the volume; the read-only attribute removes the write bits.
const MODE: u32 = 0o755;

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
            self.load_names()?;
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
        self.load_names()?;
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
        self.load_names()?;
        // `.` and `..` come first; after that a slot's offset is its number.
        const FIRST: u64 = 3;
        let mut at = u32::try_from(from.saturating_sub(FIRST)).unwrap_or(u32::MAX);
        loop {
            // Copied, since the caller may touch program memory.
            let mut some: Vec<(Box<[u8]>, u64, u32, u32)> = with_room(32)?;
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
                push(&mut m.unlinked, v.me.clone())?;
            }
            self.move_entry(m, r)?;
            r.replaced.map_or(Ok(()), |v| fat(v).map(FatInode::evict))
        })?;
        self.touch();
        fat(r.to)?.touch();
        Ok(())
    }
}
