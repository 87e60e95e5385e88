//! Attributes: stat, chmod, chown, times, access, statfs.

use super::support::only;
use alloc::sync::Arc;
use libos_base::abi::{
    AccessFlags, AccessMode, AtFlags, DirFd, Fd, Id, In, Mode, Out, Path, ResolveFlags, Stat, StatFs, Statx, StatxMask,
    StatxTime, Timespec, Timeval, Utimbuf, mode::*,
};
use libos_base::file::FileLike;
use libos_base::{Errno, Result, user};
use libos_fs::files::{REAL, StatAt, files, new_owner};
use libos_fs::inode::SetAttr;
use libos_fs::openfile::{OpenFile, path_of};
use libos_fs::permission::{self, Who};

pub fn newfstatat(dir: DirFd, path: Path, out: Out<Stat>, flags: AtFlags) -> Result<()> {
    user::with_path(path, |path| put(out, &files().stat(dir, path, flags)))
}

pub fn stat(path: Path, out: Out<Stat>) -> Result<()> {
    newfstatat(DirFd::CWD, path, out, AtFlags::empty())
}

pub fn lstat(path: Path, out: Out<Stat>) -> Result<()> {
    newfstatat(DirFd::CWD, path, out, AtFlags::SYMLINK_NOFOLLOW)
}

pub fn fstat(fd: Fd, out: Out<Stat>) -> Result<()> {
    put(out, &files().fds.get_any(fd)?.stat())
}

/// Passes on what there is, by reference: `?` would copy it first.
#[inline]
fn put(out: Out<Stat>, stat: &Result<Stat>) -> Result<()> {
    match stat {
        Ok(stat) => user::write(out, stat),
        Err(e) => Err(*e),
    }
}

fn major_minor(dev: u64) -> (u32, u32) {
    let major = (dev >> 8 & 0xfff) | (dev >> 32 & !0xfff);
    let minor = (dev & 0xff) | (dev >> 12 & 0xffff_ff00);
    (major as u32, minor as u32)
}

/// `statx`. All fields are filled in, whether asked for or not; a mount's number is that of its file system.
pub fn statx(dir: DirFd, path: Path, flags: AtFlags, mask: StatxMask, out: Out<Statx>) -> Result<()> {
    const RESERVED: StatxMask = StatxMask::from_bits_retain(0x8000_0000);
    const SYNC: AtFlags = AtFlags::STATX_FORCE_SYNC.union(AtFlags::STATX_DONT_SYNC);
    const ATTR_MOUNT_ROOT: u64 = 0x2000;
    if mask.contains(RESERVED) || flags.contains(SYNC) {
        return Err(Errno::EINVAL);
    }
    let StatAt { stat: s, mount_root, born } = files().statx(dir, &user::read_path(path)?, flags)?;
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
    user::write(out, &x)
}

/// The target of a call that changes attributes: something in a file system, or an open description outside of all of
/// them.
enum Target {
    Path(libos_fs::Path),
    Loose(Arc<dyn FileLike>),
}

impl Target {
    fn of(f: Arc<dyn FileLike>) -> Self {
        path_of(&*f).cloned().map_or(Self::Loose(f), Self::Path)
    }

    /// The target that a path names, or the descriptor if the path is empty and may be.
    fn find(dir: DirFd, path: Path, flags: AtFlags) -> Result<Self> {
        Self::find_by(dir, path, flags, ResolveFlags::empty())
    }
    fn find_by(dir: DirFd, path: Path, flags: AtFlags, rules: ResolveFlags) -> Result<Self> {
        only(flags, AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH)?;
        let (path, empty) = (user::read_path(path)?, flags.contains(AtFlags::EMPTY_PATH));
        if empty
            && path.is_empty()
            && let Some(fd) = dir.fd()
        {
            return Ok(Self::of(files().fds.get_any(fd)?));
        }
        files().lookup_by(dir, &path, !flags.contains(AtFlags::SYMLINK_NOFOLLOW), empty, rules).map(Self::Path)
    }

    fn set(self, attr: &SetAttr) -> Result<()> {
        match self {
            Self::Path(p) => files().set_attr(&p, attr),
            Self::Loose(f) => f.set_attr(&permission::of_loose(&*f, attr)?),
        }
    }

    fn chmod(self, mode: u32) -> Result<()> {
        match self {
            Self::Path(p) => files().chmod(&p, mode),
            loose => loose.set(&SetAttr { mode: Some(mode & 0o7777), ..SetAttr::default() }),
        }
    }

    fn chown(self, uid: u32, gid: u32) -> Result<()> {
        match &self {
            Self::Path(p) => files().chown(p, uid, gid),
            Self::Loose(f) => {
                let attr = new_owner(&f.stat()?, uid, gid);
                self.set(&attr)
            }
        }
    }
}

pub fn fchmodat2(dir: DirFd, path: Path, mode: Mode, flags: AtFlags) -> Result<()> {
    Target::find(dir, path, flags)?.chmod(mode.0)
}

pub fn fchmodat(dir: DirFd, path: Path, mode: Mode) -> Result<()> {
    fchmodat2(dir, path, mode, AtFlags::empty())
}

pub fn chmod(path: Path, mode: Mode) -> Result<()> {
    fchmodat(DirFd::CWD, path, mode)
}

pub fn fchmod(fd: Fd, mode: Mode) -> Result<()> {
    Target::of(files().fds.get(fd)?).chmod(mode.0)
}

pub fn fchownat(dir: DirFd, path: Path, uid: Id, gid: Id, flags: AtFlags) -> Result<()> {
    Target::find(dir, path, flags)?.chown(uid.0, gid.0)
}

pub fn chown(path: Path, uid: Id, gid: Id) -> Result<()> {
    fchownat(DirFd::CWD, path, uid, gid, AtFlags::empty())
}

pub fn lchown(path: Path, uid: Id, gid: Id) -> Result<()> {
    fchownat(DirFd::CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

pub fn fchown(fd: Fd, uid: Id, gid: Id) -> Result<()> {
    Target::of(files().fds.get(fd)?).chown(uid.0, gid.0)
}

/// `faccessat2`: checks what the real user may do, or with AT_EACCESS what the program may do.
pub fn faccessat2(dir: DirFd, path: Path, want: AccessMode, flags: AccessFlags) -> Result<()> {
    only(want, AccessMode::all())?;
    let effective = flags.contains(AccessFlags::EACCESS);
    let (who, rules) = if effective { (Who::Fs, ResolveFlags::empty()) } else { (Who::Real, REAL) };
    let flags = AtFlags::from_bits_retain((flags - AccessFlags::EACCESS).bits());
    match Target::find_by(dir, path, flags, rules)? {
        Target::Path(p) => files().access(&p, want.bits(), who),
        Target::Loose(_) => Err(Errno::ENOTDIR),
    }
}

pub fn faccessat(dir: DirFd, path: Path, want: AccessMode) -> Result<()> {
    faccessat2(dir, path, want, AccessFlags::empty())
}

pub fn access(path: Path, want: AccessMode) -> Result<()> {
    faccessat(DirFd::CWD, path, want)
}

const UTIME_NOW: i64 = (1 << 30) - 1;
const UTIME_OMIT: i64 = (1 << 30) - 2;

/// Sets the times of a path (see [`Target`]), or where it is null, of the descriptor.
fn set_times(dir: DirFd, path: Path, flags: AtFlags, times: [Option<Timespec>; 2], touch: bool) -> Result<()> {
    let attr = SetAttr { atime: times[0], mtime: times[1], touch, ..SetAttr::default() };
    match dir.fd() {
        Some(_) if path.0 == 0 && !flags.is_empty() => Err(Errno::EINVAL),
        Some(fd) if path.0 == 0 => Target::of(files().fds.get(fd)?).set(&attr),
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

/// `utimensat`: a null path means the descriptor, null times mean now.
pub fn utimensat(dir: DirFd, path: Path, times: In<[Timespec; 2]>, flags: AtFlags) -> Result<()> {
    let mut touch = true;
    let all = match user::read_opt(times)? {
        None => [Some(libos_fs::time::now()); 2],
        Some([a, m]) => {
            touch = a.nsec == UTIME_NOW && m.nsec == UTIME_NOW;
            [chosen(a)?, chosen(m)?]
        }
    };
    // In that case Linux does not even look at the path.
    if all == [None; 2] {
        return Ok(());
    }
    set_times(dir, path, flags, all, touch)
}

pub fn futimesat(dir: DirFd, path: Path, times: In<[Timeval; 2]>) -> Result<()> {
    let precise = |t: Timeval| {
        if !(0..1_000_000).contains(&t.usec) {
            return Err(Errno::EINVAL);
        }
        Ok(Some(Timespec { sec: t.sec, nsec: t.usec * 1000 }))
    };
    let all = match user::read_opt(times)? {
        None => [Some(libos_fs::time::now()); 2],
        Some([a, m]) => [precise(a)?, precise(m)?],
    };
    set_times(dir, path, AtFlags::empty(), all, times.is_null())
}

pub fn utimes(path: Path, times: In<[Timeval; 2]>) -> Result<()> {
    futimesat(DirFd::CWD, path, times)
}
/// `utime`: two times in seconds.
pub fn utime(path: Path, times: In<Utimbuf>) -> Result<()> {
    let all = match user::read_opt(times)? {
        None => [Some(libos_fs::time::now()); 2],
        Some(t) => [t.actime, t.modtime].map(|sec| Some(Timespec { sec, nsec: 0 })),
    };
    set_times(DirFd::CWD, path, AtFlags::empty(), all, times.is_null())
}

pub fn statfs(path: Path, out: Out<StatFs>) -> Result<()> {
    let p = files().lookup(DirFd::CWD, &user::read_path(path)?, true)?;
    user::write(out, &files().statfs(&p))
}
/// `fstatfs`: objects without a file system report one of their own kind (linux/magic.h).
pub fn fstatfs(fd: Fd, out: Out<StatFs>) -> Result<()> {
    const PIPEFS: i64 = 0x5049_5045;
    const SOCKFS: i64 = 0x534f_434b;
    const ANON_INODE_FS: i64 = 0x0904_1934;
    let f = files().fds.get_any(fd)?;
    let s = match f.downcast::<OpenFile>() {
        Some(o) => files().statfs(&o.path),
        None => {
            let kind = match f.stat()?.mode & S_IFMT {
                S_IFIFO => PIPEFS,
                S_IFSOCK => SOCKFS,
                _ => ANON_INODE_FS,
            };
            StatFs { kind, bsize: 4096, frsize: 4096, namelen: 255, ..StatFs::default() }
        }
    };
    user::write(out, &s)
}
