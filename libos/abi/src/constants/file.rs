//! Opening, names, attributes, locks and copies: asm-generic/fcntl.h, linux/fcntl.h, linux/fs.h, linux/stat.h, ...

use crate::macros::{flags, names};

flags! {
    /// open(2).
    OpenFlags: u32, "O_" values 0o3 { RDONLY = 0, WRONLY = 1, RDWR = 2, } {
        TMPFILE = 0o20200000, SYNC = 0o4010000,
        CREAT = 0o100, EXCL = 0o200, NOCTTY = 0o400, TRUNC = 0o1000, APPEND = 0o2000, NONBLOCK = 0o4000, DSYNC = 0o10000,
        ASYNC = 0o20000, DIRECT = 0o40000, LARGEFILE = 0o100000, DIRECTORY = 0o200000, NOFOLLOW = 0o400000,
        NOATIME = 0o1000000, CLOEXEC = 0o2000000, PATH = 0o10000000,
    }
    /// openat2(2), `resolve`.
    ResolveFlags: u64, "RESOLVE_" {
        NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 0x10, CACHED = 0x20,
    }
    /// The calls that take a directory and a path.
    AtFlags: u32, "AT_" {
        SYMLINK_NOFOLLOW = 0x100, REMOVEDIR = 0x200, SYMLINK_FOLLOW = 0x400, NO_AUTOMOUNT = 0x800, EMPTY_PATH = 0x1000,
        STATX_FORCE_SYNC = 0x2000, STATX_DONT_SYNC = 0x4000, RECURSIVE = 0x8000,
    }
    /// unlinkat(2).
    UnlinkFlags: u32, "AT_" { REMOVEDIR = 0x200, }
    /// faccessat2(2).
    AccessFlags: u32, "AT_" { SYMLINK_NOFOLLOW = 0x100, EACCESS = 0x200, EMPTY_PATH = 0x1000, }
    /// access(2); none is F_OK.
    AccessMode: u32, "" values 0 { F_OK = 0, } { R_OK = 4, W_OK = 2, X_OK = 1, }
    /// renameat2(2).
    RenameFlags: u32, "RENAME_" { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4, }
    /// statx(2).
    StatxMask: u32, "STATX_" {
        BASIC_STATS = 0x7ff, TYPE = 1, MODE = 2, NLINK = 4, UID = 8, GID = 0x10, ATIME = 0x20, MTIME = 0x40, CTIME = 0x80,
        INO = 0x100, SIZE = 0x200, BLOCKS = 0x400, BTIME = 0x800, MNT_ID = 0x1000, DIOALIGN = 0x2000,
    }
    /// fcntl(2), F_SETFD.
    FdFlags: u32, "FD_" { CLOEXEC = 1, }
    /// fallocate(2).
    FallocateMode: u32, "FALLOC_FL_" {
        KEEP_SIZE = 1, PUNCH_HOLE = 2, NO_HIDE_STALE = 4, COLLAPSE_RANGE = 8, ZERO_RANGE = 0x10, INSERT_RANGE = 0x20,
        UNSHARE_RANGE = 0x40,
    }
    /// preadv2(2), pwritev2(2).
    RwFlags: u32, "RWF_" { HIPRI = 1, DSYNC = 2, SYNC = 4, NOWAIT = 8, APPEND = 0x10, }
    /// splice(2), tee(2), vmsplice(2).
    SpliceFlags: u32, "SPLICE_F_" { MOVE = 1, NONBLOCK = 2, MORE = 4, GIFT = 8, }
    /// sync_file_range(2).
    SyncRangeFlags: u32, "SYNC_FILE_RANGE_" { WAIT_BEFORE = 1, WRITE = 2, WAIT_AFTER = 4, }
    /// close_range(2).
    CloseRangeFlags: u32, "CLOSE_RANGE_" { UNSHARE = 2, CLOEXEC = 4, }
    /// memfd_create(2).
    MemfdFlags: u32, "MFD_" { CLOEXEC = 1, ALLOW_SEALING = 2, HUGETLB = 4, }
    /// memfd_secret(2).
    SecretFlags: u32, "FD_" { CLOEXEC = 0o2000000, }
    /// setxattr(2).
    XattrFlags: u32, "XATTR_" { CREATE = 1, REPLACE = 2, }
    /// dup3(2), pipe2(2) and others that create a descriptor.
    DescriptorFlags: u32, "O_" { CLOEXEC = 0o2000000, NONBLOCK = 0o4000, DIRECT = 0o40000, }
    /// fcntl(2), F_ADD_SEALS.
    Seals: u32, "F_SEAL_" { SEAL = 1, SHRINK = 2, GROW = 4, WRITE = 8, FUTURE_WRITE = 0x10, }
    /// flock(2).
    FlockOperation: u32, "LOCK_" values 0xb { SH = 1, EX = 2, UN = 8, } { NB = 4, }
    /// inotify_add_watch(2).
    InotifyMask: u32, "IN_" {
        ALL_EVENTS = 0xfff, CLOSE = 0x18, MOVE = 0xc0,
        ACCESS = 1, MODIFY = 2, ATTRIB = 4, CLOSE_WRITE = 8, CLOSE_NOWRITE = 0x10, OPEN = 0x20, MOVED_FROM = 0x40,
        MOVED_TO = 0x80, CREATE = 0x100, DELETE = 0x200, DELETE_SELF = 0x400, MOVE_SELF = 0x800, UNMOUNT = 0x2000,
        Q_OVERFLOW = 0x4000, IGNORED = 0x8000, ONLYDIR = 0x100_0000, DONT_FOLLOW = 0x200_0000, EXCL_UNLINK = 0x400_0000,
        MASK_CREATE = 0x1000_0000, MASK_ADD = 0x2000_0000, ISDIR = 0x4000_0000, ONESHOT = 0x8000_0000,
    }
    /// inotify_init1(2).
    InotifyFlags: u32, "IN_" { CLOEXEC = 0o2000000, NONBLOCK = 0o4000, }
    /// mount(2).
    MountFlags: u64, "MS_" {
        RDONLY = 1, NOSUID = 2, NODEV = 4, NOEXEC = 8, SYNCHRONOUS = 0x10, REMOUNT = 0x20, MANDLOCK = 0x40, DIRSYNC = 0x80,
        NOATIME = 0x400, NODIRATIME = 0x800, BIND = 0x1000, MOVE = 0x2000, REC = 0x4000, SILENT = 0x8000,
        PRIVATE = 0x4_0000, SLAVE = 0x8_0000, SHARED = 0x10_0000, RELATIME = 0x20_0000, STRICTATIME = 0x100_0000,
        LAZYTIME = 0x200_0000,
    }
    /// umount2(2).
    UnmountFlags: u32, "" { MNT_FORCE = 1, MNT_DETACH = 2, MNT_EXPIRE = 4, UMOUNT_NOFOLLOW = 8, }
}

names! {
    /// lseek(2).
    Whence: u32, "SEEK_" { SET = 0, CUR = 1, END = 2, DATA = 3, HOLE = 4, }
    /// fcntl(2).
    FcntlCommand: i32, "F_" {
        DUPFD = 0, GETFD = 1, SETFD = 2, GETFL = 3, SETFL = 4, GETLK = 5, SETLK = 6, SETLKW = 7, SETOWN = 8, GETOWN = 9,
        SETSIG = 10, GETSIG = 11, SETOWN_EX = 15, GETOWN_EX = 16, OFD_GETLK = 36, OFD_SETLK = 37, OFD_SETLKW = 38,
        SETLEASE = 1024, GETLEASE = 1025, NOTIFY = 1026, DUPFD_CLOEXEC = 1030, SETPIPE_SZ = 1031, GETPIPE_SZ = 1032,
        ADD_SEALS = 1033, GET_SEALS = 1034, GET_RW_HINT = 1035, SET_RW_HINT = 1036,
    }
    /// fcntl(2), F_SETOWN_EX.
    OwnerType: i32, "F_OWNER_" { TID = 0, PID = 1, PGRP = 2, }
    /// struct flock, `l_type`.
    LockType: i16, "F_" { RDLCK = 0, WRLCK = 1, UNLCK = 2, }
    /// posix_fadvise(2).
    FileAdvice: i32, "POSIX_FADV_" { NORMAL = 0, RANDOM = 1, SEQUENTIAL = 2, WILLNEED = 3, DONTNEED = 4, NOREUSE = 5, }
    /// getdents64(2), `d_type`.
    DirEntryType: u8, "DT_" { UNKNOWN = 0, FIFO = 1, CHR = 2, DIR = 4, BLK = 6, REG = 8, LNK = 10, SOCK = 12, WHT = 14, }
}

/// File type and permission bits of `st_mode` (linux/stat.h).
#[allow(missing_docs, reason = "inode(7) has them")]
pub mod mode {
    pub const S_IFMT: u32 = 0o170000;
    pub const S_IFSOCK: u32 = 0o140000;
    pub const S_IFLNK: u32 = 0o120000;
    pub const S_IFREG: u32 = 0o100000;
    pub const S_IFBLK: u32 = 0o060000;
    pub const S_IFDIR: u32 = 0o040000;
    pub const S_IFCHR: u32 = 0o020000;
    pub const S_IFIFO: u32 = 0o010000;
    pub const S_ISUID: u32 = 0o4000;
    pub const S_ISGID: u32 = 0o2000;
    pub const S_ISVTX: u32 = 0o1000;
}

impl OpenFlags {
    /// Whether it is open for reading.
    pub fn readable(self) -> bool {
        matches!(self.bits() & 3, 0 | 2) && !self.contains(OpenFlags::PATH)
    }
    /// Whether it is open for writing.
    pub fn writable(self) -> bool {
        matches!(self.bits() & 3, 1 | 2) && !self.contains(OpenFlags::PATH)
    }
}
