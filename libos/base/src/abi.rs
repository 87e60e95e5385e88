//! Structures and constants of the Linux x86-64 ABI (linux/fs.h, asm/stat.h, linux/uio.h, ...). A subsystem's own
//! constants live beside its code; here is what several share.

/// Declares a `repr(C)` structure of integers that programs and kernel exchange; padding is a compile error.
#[macro_export]
macro_rules! abi_struct {
    ($(#[$m:meta])* $name:ident { $($(#[$fm:meta])* $f:ident: $t:ty,)* }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $($(#[$fm])* pub $f: $t,)* }
        const _: () = assert!(core::mem::size_of::<$name>() == 0 $(+ core::mem::size_of::<$t>())*, "padding");
        // SAFETY: repr(C), integer fields only, and the assertion above shows there is no padding.
        unsafe impl $crate::user::Pod for $name {}
    };
}

abi_struct! {
    /// struct iovec.
    IoVec { base: usize, len: usize, }
}
abi_struct! {
    /// struct timespec.
    Timespec { sec: i64, nsec: i64, }
}
abi_struct! {
    /// struct timeval.
    Timeval { sec: i64, usec: i64, }
}
abi_struct! {
    /// struct stat (x86-64).
    Stat {
        dev: u64, ino: u64, nlink: u64,
        mode: u32, uid: u32, gid: u32, pad0: u32,
        rdev: u64, size: i64, blksize: i64, blocks: i64,
        atime: Timespec, mtime: Timespec, ctime: Timespec,
        unused: [i64; 3],
    }
}

/// File type bits of `st_mode`.
pub mod mode {
    pub const S_IFMT: u32 = 0o170000;
    pub const S_IFSOCK: u32 = 0o140000;
    pub const S_IFLNK: u32 = 0o120000;
    pub const S_IFREG: u32 = 0o100000;
    pub const S_IFBLK: u32 = 0o060000;
    pub const S_IFDIR: u32 = 0o040000;
    pub const S_IFCHR: u32 = 0o020000;
    pub const S_IFIFO: u32 = 0o010000;
}

bitflags::bitflags! {
    /// O_* flags (asm-generic/fcntl.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct OpenFlags: u32 {
        const WRONLY = 0o1;
        const RDWR = 0o2;
        const CREAT = 0o100;
        const EXCL = 0o200;
        const NOCTTY = 0o400;
        const TRUNC = 0o1000;
        const APPEND = 0o2000;
        const NONBLOCK = 0o4000;
        const DSYNC = 0o10000;
        const ASYNC = 0o20000;
        const DIRECT = 0o40000;
        const LARGEFILE = 0o100000;
        const DIRECTORY = 0o200000;
        const NOFOLLOW = 0o400000;
        const NOATIME = 0o1000000;
        const CLOEXEC = 0o2000000;
        const SYNC = 0o4010000;
        const PATH = 0o10000000;
        const TMPFILE = 0o20200000;
    }
}

impl OpenFlags {
    /// Open for reading.
    pub fn readable(self) -> bool {
        matches!(self.bits() & 3, 0 | 2) && !self.contains(OpenFlags::PATH)
    }
    /// Open for writing.
    pub fn writable(self) -> bool {
        matches!(self.bits() & 3, 1 | 2) && !self.contains(OpenFlags::PATH)
    }
}
