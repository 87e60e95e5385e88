//! Files and directories, as the rest of the kernel sees them.

use crate::client::{Attrs, valid};
use crate::kept::Access;
use crate::object::{BOTH, P9Inode, READ, WRITE};
use crate::owner;
use alloc::sync::Arc;
use libos_base::abi::{OpenFlags, Stat, Timespec, mode::*};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::page::Page;
use libos_base::{Errno, Result};
use libos_fs::Path;
use libos_fs::inode::{At, Cached, DirEntry, FileSystem, Follow, Inode, New, Rename, SetAttr};
use libos_fs::time::now;

fn ours(i: &Arc<dyn Inode>) -> Result<&P9Inode> {
    i.downcast::<P9Inode>().ok_or(Errno::EXDEV)
}

fn access_mode(flags: OpenFlags) -> usize {
    (flags.bits() as usize & 3).min(BOTH)
}

impl Inode for P9Inode {
    fn kind(&self) -> u32 {
        self.kind
    }
    fn fs(&self) -> Arc<dyn FileSystem> {
        self.fs.clone()
    }
    fn volatile(&self) -> bool {
        true
    }
    fn stat(&self) -> Result<Stat> {
        self.settle();
        self.attr().map(|a| a.0)
    }
    fn set_attr(&self, a: &SetAttr) -> Result<()> {
        self.settle();
        if a.mtime.is_some()
            && let Some(c) = self.cache.get()
        {
            // If pages were written later, that would change the time again.
            c.flush(0..u64::MAX)?;
        }
        let mut set = Attrs { valid: valid::CTIME, ..Attrs::default() };
        let mut add = |is: bool, bits: u32| set.valid |= if is { bits } else { 0 };
        add(a.mode.is_some(), valid::MODE);
        add(a.uid.is_some(), valid::UID);
        add(a.gid.is_some(), valid::GID);
        add(a.atime.is_some(), valid::ATIME | valid::ATIME_SET);
        add(a.mtime.is_some(), valid::MTIME | valid::MTIME_SET);
        (set.mode, set.uid, set.gid) = (a.mode.unwrap_or(0), a.uid.unwrap_or(0), a.gid.unwrap_or(0));
        (set.atime, set.mtime) = (a.atime.unwrap_or_default(), a.mtime.unwrap_or_default());
        let base = {
            let mut s = self.state.lock();
            if s.lost {
                if s.attr.nlink > 0 {
                    return Err(Errno::ESTALE);
                }
                // Nobody else can see it.
                let t = &mut s.attr;
                t.mode = a.mode.map_or(t.mode, |m| t.mode & S_IFMT | m & 0o7777);
                (t.uid, t.gid) = (a.uid.unwrap_or(t.uid), a.gid.unwrap_or(t.gid));
                (t.atime, t.mtime) = (a.atime.unwrap_or(t.atime), a.mtime.unwrap_or(t.mtime));
                return Ok(());
            }
            s.base.clone()
        };
        self.fs.client.setattr(&base, &set)?;
        let mut s = self.state.lock();
        s.attr.ctime = now();
        if let Some(t) = a.mtime {
            (s.attr.mtime, s.touched) = (t, Timespec::default());
        }
        if let Some(t) = a.atime {
            (s.attr.atime, s.accessed) = (t, Timespec::default());
        }
        Ok(())
    }

    fn read_at(&self, pos: u64, dst: &mut Sink<'_>) -> Result<usize> {
        self.read(pos, dst)
    }
    fn write_at(&self, at: At, src: &mut Source<'_>, limit: u64) -> Result<(usize, u64)> {
        self.write(at, src, limit)
    }
    fn size(&self) -> u64 {
        match self.cache.get() {
            Some(c) => c.size(),
            None => self.attr().map_or(0, |a| a.0.size as u64),
        }
    }
    fn resize(&self, len: u64) -> Result<()> {
        self.truncate(len)
    }
    fn page(&self, index: u64, for_write: bool) -> Result<Option<Arc<Page>>> {
        let page = self.cache.get().ok_or(Errno::ENODEV)?.page(index, for_write)?;
        if for_write && page.is_some() {
            self.state.lock().touched = now();
        }
        Ok(page)
    }
    fn sync(&self, data_only: bool) -> Result<()> {
        if !matches!(self.kind, S_IFREG | S_IFDIR) {
            return Ok(());
        }
        self.settle();
        // Reported by this call, and once more through the file's error sequence.
        self.kept_error()?;
        if let Some(c) = self.cache.get() {
            c.flush(0..u64::MAX)?;
        }
        let open = self.state.lock().any_open().cloned();
        let fid = match open {
            Some(f) => f,
            None => self.open_fid(READ, OpenFlags::empty())?,
        };
        self.fs.client.fsync(&fid, data_only)
    }
    fn cache(&self) -> Option<&dyn Cached> {
        self.cache.get().map(|c| &**c as &dyn Cached)
    }

    fn follow(&self) -> Result<Follow> {
        if self.kind != S_IFLNK {
            return Err(Errno::EINVAL);
        }
        self.fs.client.readlink(&self.base()).map(Follow::Text)
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.find(&*self.dir()?, name)?)
    }
    fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        if self.kind != S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        self.listing.lock().list(self, from, emit)
    }
    fn create(&self, name: &[u8], new: New<'_>) -> Result<Arc<dyn Inode>> {
        let (dir, c) = (self.dir()?, &self.fs.client);
        let (gid, set_gid) = owner::group(self);
        match new.mode & S_IFMT {
            S_IFREG => return Ok(owner::give(self.create_file(&dir, name, new.mode, gid)?)),
            S_IFDIR => c.mkdir(&dir, name, new.mode & 0o7777 | set_gid, gid)?,
            S_IFLNK => c.symlink(&dir, name, new.target, gid)?,
            // A FIFO or a socket would exist for the host only, and device nodes are reserved to the superuser.
            _ => return Err(Errno::EPERM),
        }
        Ok(owner::give(self.find(&dir, name)?))
    }
    fn link(&self, name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let file = ours(inode)?.dir()?;
        self.fs.client.link(&*self.dir()?, name, &file)
    }
    fn unlink(&self, name: &[u8], inode: &Arc<dyn Inode>) -> Result<()> {
        let i = ours(inode)?;
        i.remember();
        self.fs.client.unlink(&*self.dir()?, name, i.kind == S_IFDIR)?;
        i.unlinked();
        Ok(())
    }
    fn rename(&self, r: &Rename<'_>) -> Result<()> {
        if r.exchange {
            return Err(Errno::EINVAL);
        }
        let (to, replaced) = (ours(r.to)?, r.replaced.map(ours).transpose()?);
        if let Some(i) = replaced {
            i.remember();
        }
        self.fs.client.rename(&*self.dir()?, r.old_name, &*to.dir()?, r.name)?;
        if let Some(i) = replaced {
            i.unlinked();
        }
        // From now on under its new name, whatever the server's fids are.
        let _ = self.find(&*to.dir()?, r.name);
        Ok(())
    }
    fn open(&self, _path: &Path, flags: OpenFlags) -> Result<Option<Arc<dyn FileLike>>> {
        if !matches!(self.kind, S_IFREG | S_IFDIR) {
            // FIFOs, sockets and devices of the host cannot be reached through this file system.
            return Err(Errno::ENXIO);
        }
        let mode = access_mode(flags);
        if self.kind == S_IFREG {
            self.revalidate().inspect_err(|_| self.let_go())?;
        }
        let (mine, at_end) = {
            let mut s = self.state.lock();
            // The creator's fid is good for every mode; a lost file can only be opened in a mode it is already open in.
            let as_open = if s.fresh.take().is_some() { s.open[BOTH].take() } else { None };
            // Only descriptors that can do nothing but append are opened with O_APPEND on the host: there it applies to
            // every write, including pages of a mapping and positioned writes of other descriptors.
            let appends = mode == WRITE && flags.contains(OpenFlags::APPEND);
            let at_end = appends && as_open.is_none() && !s.lost;
            let as_open = as_open.or_else(|| if s.lost { s.open[mode].clone() } else { None });
            let access = Access::of(&s.attr);
            (as_open.or_else(|| s.kept.take(mode, at_end, access)), at_end)
        };
        let fid = match mine {
            Some(f) => f,
            None => self.open_fid(mode, if at_end { OpenFlags::APPEND } else { OpenFlags::empty() })?,
        };
        let spare = {
            let mut s = self.state.lock();
            s.users[mode] += 1;
            let slot = if at_end { &mut s.append } else { &mut s.open[mode] };
            if slot.is_none() { slot.replace(fid) } else { Some(fid) }
        };
        drop(spare);
        Ok(None)
    }
    fn flush(&self) -> Result<()> {
        self.settle();
        self.kept_error()
    }
    fn closed(&self, flags: OpenFlags) {
        self.settle();
        let mode = access_mode(flags);
        let dirty = self.cache.get().is_some_and(|c| c.is_dirty());
        let gone = {
            let mut s = self.state.lock();
            s.users[mode] = s.users[mode].saturating_sub(1);
            // Dirty pages of a shared mapping still need it.
            if s.users[mode] == 0 && !(dirty && mode == BOTH) {
                let append = if mode == WRITE { s.append.take() } else { None };
                [s.open[mode].take(), append]
            } else {
                [None, None]
            }
        };
        let gone = self.keep(mode, gone);
        if gone.iter().any(Option::is_some) {
            drop(gone);
            self.fs.client.tidy();
        }
    }
}
