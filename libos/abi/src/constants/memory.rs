//! Mappings: asm-generic/mman-common.h, asm-generic/mman.h, linux/mman.h.

use crate::macros::{flags, names};

flags! {
    /// mmap(2), mprotect(2).
    Protection: u32, "PROT_" values 0 { NONE = 0, } { READ = 1, WRITE = 2, EXEC = 4, SEM = 8, GROWSDOWN = 0x100_0000, GROWSUP = 0x200_0000, }
    /// mmap(2).
    MapFlags: u32, "MAP_" values 0xf { FILE = 0, SHARED = 1, PRIVATE = 2, SHARED_VALIDATE = 3, } {
        FIXED = 0x10, ANONYMOUS = 0x20, _32BIT = 0x40, ABOVE4G = 0x80, GROWSDOWN = 0x100, DENYWRITE = 0x800,
        EXECUTABLE = 0x1000, LOCKED = 0x2000, NORESERVE = 0x4000, POPULATE = 0x8000, NONBLOCK = 0x1_0000,
        STACK = 0x2_0000, HUGETLB = 0x4_0000, SYNC = 0x8_0000, FIXED_NOREPLACE = 0x10_0000,
    }
    /// mremap(2).
    RemapFlags: u32, "MREMAP_" { MAYMOVE = 1, FIXED = 2, DONTUNMAP = 4, }
    /// msync(2).
    MsyncFlags: u32, "MS_" { ASYNC = 1, INVALIDATE = 2, SYNC = 4, }
    /// mlockall(2).
    LockAllFlags: u32, "MCL_" { CURRENT = 1, FUTURE = 2, ONFAULT = 4, }
    /// mlock2(2).
    LockFlags: u32, "MLOCK_" { ONFAULT = 1, }
    /// pkey_alloc(2).
    KeyRights: u32, "PKEY_DISABLE_" { ACCESS = 1, WRITE = 2, }
    /// userfaultfd(2).
    UserfaultFlags: u32, "" { O_CLOEXEC = 0o2000000, O_NONBLOCK = 0o4000, UFFD_USER_MODE_ONLY = 1, }
}

names! {
    /// madvise(2).
    MemoryAdvice: i32, "MADV_" {
        NORMAL = 0, RANDOM = 1, SEQUENTIAL = 2, WILLNEED = 3, DONTNEED = 4, FREE = 8, REMOVE = 9, DONTFORK = 10,
        DOFORK = 11, MERGEABLE = 12, UNMERGEABLE = 13, HUGEPAGE = 14, NOHUGEPAGE = 15, DONTDUMP = 16, DODUMP = 17,
        WIPEONFORK = 18, KEEPONFORK = 19, COLD = 20, PAGEOUT = 21, POPULATE_READ = 22, POPULATE_WRITE = 23,
        DONTNEED_LOCKED = 24, COLLAPSE = 25, HWPOISON = 100, SOFT_OFFLINE = 101,
    }
    /// mbind(2), set_mempolicy(2).
    MemoryPolicy: u32, "MPOL_" { DEFAULT = 0, PREFERRED = 1, BIND = 2, INTERLEAVE = 3, LOCAL = 4, PREFERRED_MANY = 5, }
}

impl MapFlags {
    /// The bits that give the kind of mapping.
    pub const TYPE: Self = Self::from_bits_retain(0xf);
}
