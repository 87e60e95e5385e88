//! Attributes: stat, chmod, chown, times, access, statfs.

use super::path::fs;
use alloc::sync::Arc;
use libos_base::abi::{AccessFlags, AtFlags, ResolveFlags, Statx, StatxMask, StatxTime, Timespec, Timeval, mode::*};
use libos_base::file::FileLike;
use libos_base::{Errno, Result, user};
use libos_fs::Path;
use libos_fs::inode::{SetAttr, StatFs};
use libos_fs::openfile::{OpenFile, place};
use libos_fs::permission::{self, Who};
use libos_fs::process;
use libos_fs::process::{AT_FDCWD, REAL, StatAt, new_owner};

pub fn newfstatat(dir: i32, path: usize, out: usize, flags: AtFlags) -> Result<usize> {
    let s = fs().stat(dir, &user::read_path(path)?, flags)?;
    user::write(out, &s.stat)?;
    Ok(0)
}

pub fn stat(path: usize, out: usize) -> Result<usize> {
    newfstatat(AT_FDCWD, path, out, AtFlags::empty())
}

pub fn lstat(path: usize, out: usize) -> Result<usize> {
    newfstatat(AT_FDCWD, path, out, AtFlags::SYMLINK_NOFOLLOW)
}

pub fn fstat(fd: i32, out: usize) -> Result<usize> {
    user::write(out, &process().fds.get_any(fd)?.stat()?)?;
    Ok(0)
}

fn major_minor(dev: u64) -> (u32, u32) {
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff);
    let minor = (dev & 0xff) | (dev >> 12 & 0xffff_ff00);
    (major as u32, minor as u32)
}

/// `statx`. All fields are given, asked for or not; a mount's number is that of its file system.
pub fn statx(dir: i32, path: usize, flags: AtFlags, mask: StatxMask, out: usize) -> Result<usize> {
    const RESERVED: StatxMask = StatxMask::from_bits_retain(0x8000_0000);
    const SYNC: AtFlags = AtFlags::STATX_FORCE_SYNC.union(AtFlags::STATX_DONT_SYNC);
    const ATTR_MOUNT_ROOT: u64 = 0x2000;
    if mask.contains(RESERVED) || flags.contains(SYNC) {
        return Err(Errno::EINVAL);
    }
    let StatAt { stat: s, mount_root, born } = fs().stat(dir, &user::read_path(path)?, flags)?;
    let mut mask = StatxMask::BASIC_STATS | StatxMask::MNT_ID;
    mask.set(StatxMask::BTIME, born.is_some());
    let (rdev_major, rdev_minor) = major_minor(s.rdev);
    let (dev_major, dev_minor) = major_minor(s.dev);
    let x = Statx {
        mask: mask.bits(),
        blksize: s.blksize as u32,
        attributes: if mount_root { ATTR_MOUNT_ROOT } else { 0 },
        attributes_mask: ATTR_MOUNT_ROOT,
        nlink: s.nlink as u32,
        uid: s.uid,
        gid: s.gid,
        mode: s.mode as u16,
        ino: s.ino,
        size: s.size as u64,
        blocks: s.blocks as u64,
        atime: StatxTime::of(s.atime),
        mtime: StatxTime::of(s.mtime),
        ctime: StatxTime::of(s.ctime),
        btime: StatxTime::of(born.unwrap_or_default()),
        mnt_id: s.dev,
        rdev_major,
        rdev_minor,
        dev_major,
        dev_minor,
        ..Statx::default()
    };
    user::write(out, &x)?;
    Ok(0)
}

/// What a call that changes attributes is about: something in a file system, or an open description that lies in none.
enum Target {
    Path(Path),
    Loose(Arc<dyn FileLike>),
}

impl Target {
    fn of(f: Arc<dyn FileLike>) -> Self {
        place(&*f).cloned().map_or(Self::Loose(f), Self::Path)
    }

    /// Of a path, or where that is empty and may be, of the descriptor.
    fn find(dir: i32, path: usize, flags: AtFlags) -> Result<Self> {
        Self::find_by(dir, path, flags, ResolveFlags::empty())
    }
    fn find_by(dir: i32, path: usize, flags: AtFlags, rules: ResolveFlags) -> Result<Self> {
        if !(AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH).contains(flags) {
            return Err(Errno::EINVAL);
        }
        let (path, empty) = (user::read_path(path)?, flags.contains(AtFlags::EMPTY_PATH));
        if empty && path.is_empty() && dir != AT_FDCWD {
            return Ok(Self::of(process().fds.get_any(dir)?));
        }
        fs().lookup_by(dir, &path, !flags.contains(AtFlags::SYMLINK_NOFOLLOW), empty, rules).map(Self::Path)
    }

    fn set(self, attr: &SetAttr) -> Result<usize> {
        match self {
            Self::Path(p) => fs().set_attr(&p, attr)?,
            Self::Loose(f) => f.set_attr(&permission::of_loose(&*f, attr)?)?,
        }
        Ok(0)
    }

    fn chmod(self, mode: u32) -> Result<usize> {
        match self {
            Self::Path(p) => fs().chmod(&p, mode).map(|()| 0),
            loose => loose.set(&SetAttr { mode: Some(mode & 0o7777), ..SetAttr::default() }),
        }
    }

    fn chown(self, uid: u32, gid: u32) -> Result<usize> {
        match &self {
            Self::Path(p) => fs().chown(p, uid, gid).map(|()| 0),
            Self::Loose(f) => {
                let attr = new_owner(&f.stat()?, uid, gid);
                self.set(&attr)
            }
        }
    }
}

pub fn fchmodat2(dir: i32, path: usize, mode: u32, flags: AtFlags) -> Result<usize> {
    Target::find(dir, path, flags)?.chmod(mode)
}

pub fn fchmodat(dir: i32, path: usize, mode: u32) -> Result<usize> {
    fchmodat2(dir, path, mode, AtFlags::empty())
}

pub fn chmod(path: usize, mode: u32) -> Result<usize> {
    fchmodat(AT_FDCWD, path, mode)
}

pub fn fchmod(fd: i32, mode: u32) -> Result<usize> {
    Target::of(process().fds.get(fd)?).chmod(mode)
}

pub fn fchownat(dir: i32, path: usize, uid: u32, gid: u32, flags: AtFlags) -> Result<usize> {
    Target::find(dir, path, flags)?.chown(uid, gid)
}

pub fn chown(path: usize, uid: u32, gid: u32) -> Result<usize> {
    fchownat(AT_FDCWD, path, uid, gid, AtFlags::empty())
}

pub fn lchown(path: usize, uid: u32, gid: u32) -> Result<usize> {
    fchownat(AT_FDCWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

pub fn fchown(fd: i32, uid: u32, gid: u32) -> Result<usize> {
    Target::of(process().fds.get(fd)?).chown(uid, gid)
}

/// `faccessat2`: as the real user may, with AT_EACCESS as the program may.
pub fn faccessat2(dir: i32, path: usize, want: u32, flags: AccessFlags) -> Result<usize> {
    if want & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    let effective = flags.contains(AccessFlags::EACCESS);
    let (who, rules) = if effective { (Who::Fs, ResolveFlags::empty()) } else { (Who::Real, REAL) };
    let flags = AtFlags::from_bits_retain((flags - AccessFlags::EACCESS).bits());
    match Target::find_by(dir, path, flags, rules)? {
        Target::Path(p) => fs().access(&p, want, who).map(|()| 0),
        Target::Loose(_) => Err(Errno::ENOTDIR),
    }
}

pub fn faccessat(dir: i32, path: usize, want: u32) -> Result<usize> {
    faccessat2(dir, path, want, AccessFlags::empty())
}

pub fn access(path: usize, want: u32) -> Result<usize> {
    faccessat(AT_FDCWD, path, want)
}

const UTIME_NOW: i64 = (1 << 30) - 1;
const UTIME_OMIT: i64 = (1 << 30) - 2;

/// Of a path (see [`Target`]), or where it is null, of the descriptor.
fn set_times(dir: i32, path: usize, flags: AtFlags, times: [Option<Timespec>; 2], touch: bool) -> Result<usize> {
    let attr = SetAttr { atime: times[0], mtime: times[1], touch, ..SetAttr::default() };
    match path {
        0 if dir != AT_FDCWD && !flags.is_empty() => Err(Errno::EINVAL),
        0 if dir != AT_FDCWD => Target::of(process().fds.get(dir)?).set(&attr),
        _ => Target::find(dir, path, flags)?.set(&attr),
    }
}
fn chosen(t: Timespec) -> Result<Option<Timespec>> {
    match t.nsec {
        UTIME_NOW => Ok(Some(libos_fs::time::now())),
        UTIME_OMIT => Ok(None),
        0..1_000_000_000 => Ok(Some(t)),
        _ => Err(Errno::EINVAL),
    }
}

/// `utimensat`: a null path is the descriptor, null times are now.
pub fn utimensat(dir: i32, path: usize, times: usize, flags: AtFlags) -> Result<usize> {
    let mut touch = true;
    let all = if times == 0 {
        [Some(libos_fs::time::now()); 2]
    } else {
        let [a, m] = [user::read::<Timespec>(times)?, user::read::<Timespec>(times + 16)?];
        touch = a.nsec == UTIME_NOW && m.nsec == UTIME_NOW;
        [chosen(a)?, chosen(m)?]
    };
    // Linux does not even look at the path then.
    if all == [None; 2] {
        return Ok(0);
    }
    set_times(dir, path, flags, all, touch)
}

pub fn futimesat(dir: i32, path: usize, times: usize) -> Result<usize> {
    let read = |at: usize| {
        let t: Timeval = user::read(at)?;
        if !(0..1_000_000).contains(&t.usec) {
            return Err(Errno::EINVAL);
        }
        Ok(Some(Timespec { sec: t.sec, nsec: t.usec * 1000 }))
    };
    let all = if times == 0 { [Some(libos_fs::time::now()); 2] } else { [read(times)?, read(times + 16)?] };
    set_times(dir, path, AtFlags::empty(), all, times == 0)
}

pub fn utimes(path: usize, times: usize) -> Result<usize> {
    futimesat(AT_FDCWD, path, times)
}
/// `utime`: two seconds counts.
pub fn utime(path: usize, times: usize) -> Result<usize> {
    let all = if times == 0 {
        [Some(libos_fs::time::now()); 2]
    } else {
        user::read::<[i64; 2]>(times)?.map(|sec| Some(Timespec { sec, nsec: 0 }))
    };
    set_times(AT_FDCWD, path, AtFlags::empty(), all, times == 0)
}

pub fn statfs(path: usize, out: usize) -> Result<usize> {
    let p = fs().lookup(AT_FDCWD, &user::read_path(path)?, true)?;
    user::write(out, &fs().statfs(&p))?;
    Ok(0)
}
/// `fstatfs`: objects without a file system have one of their own kind (linux/magic.h).
pub fn fstatfs(fd: i32, out: usize) -> Result<usize> {
    const PIPEFS: i64 = 0x5049_5045;
    const SOCKFS: i64 = 0x534f_434b;
    const ANON_INODE_FS: i64 = 0x0904_1934;
    let f = process().fds.get_any(fd)?;
    let s = match f.downcast::<OpenFile>() {
        Some(o) => fs().statfs(&o.path),
        None => {
            let kind = match f.stat()?.mode & S_IFMT {
                S_IFIFO => PIPEFS,
                S_IFSOCK => SOCKFS,
                _ => ANON_INODE_FS,
            };
            StatFs { kind, bsize: 4096, frsize: 4096, namelen: 255, ..StatFs::default() }
        }
    };
    user::write(out, &s)?;
    Ok(0)
}
