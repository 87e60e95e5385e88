//! Threads, futexes and scheduling: linux/sched.h, linux/futex.h, linux/membarrier.h, asm/prctl.h.

use crate::macros::{flags, names};

flags! {
    /// clone(2). The low byte is the signal sent to the parent at the end.
    CloneFlags: u32, "CLONE_" {
        VM = 0x100, FS = 0x200, FILES = 0x400, SIGHAND = 0x800, PIDFD = 0x1000, PTRACE = 0x2000, VFORK = 0x4000,
        PARENT = 0x8000, THREAD = 0x1_0000, NEWNS = 0x2_0000, SYSVSEM = 0x4_0000, SETTLS = 0x8_0000,
        PARENT_SETTID = 0x10_0000, CHILD_CLEARTID = 0x20_0000, DETACHED = 0x40_0000, UNTRACED = 0x80_0000,
        CHILD_SETTID = 0x100_0000, NEWCGROUP = 0x200_0000, NEWUTS = 0x400_0000, NEWIPC = 0x800_0000,
        NEWUSER = 0x1000_0000, NEWPID = 0x2000_0000, NEWNET = 0x4000_0000, IO = 0x8000_0000,
    }
    /// futex(2).
    FutexOperation: u32, "FUTEX_" values 0x7f {
        WAIT = 0, WAKE = 1, FD = 2, REQUEUE = 3, CMP_REQUEUE = 4, WAKE_OP = 5, LOCK_PI = 6, UNLOCK_PI = 7, TRYLOCK_PI = 8,
        WAIT_BITSET = 9, WAKE_BITSET = 10, WAIT_REQUEUE_PI = 11, CMP_REQUEUE_PI = 12, LOCK_PI2 = 13,
    } { PRIVATE_FLAG = 0x80, CLOCK_REALTIME = 0x100, }
    /// futex_waitv(2) and what follows it.
    Futex2Flags: u32, "FUTEX2_" values 3 { SIZE_U8 = 0, SIZE_U16 = 1, SIZE_U32 = 2, SIZE_U64 = 3, } { PRIVATE = 0x80, }
    /// membarrier(2), `flags`.
    MembarrierFlags: u32, "MEMBARRIER_CMD_FLAG_" { CPU = 1, }
    /// sched_setscheduler(2), `policy`.
    PolicyFlags: u32, "SCHED_" values 0xff {
        OTHER = 0, FIFO = 1, RR = 2, BATCH = 3, IDLE = 5, DEADLINE = 6, EXT = 7,
    } { RESET_ON_FORK = 0x4000_0000, }
    /// sched_setattr(2), `sched_flags`.
    SchedFlags: u64, "SCHED_FLAG_" {
        RESET_ON_FORK = 1, RECLAIM = 2, DL_OVERRUN = 4, KEEP_POLICY = 8, KEEP_PARAMS = 0x10, UTIL_CLAMP_MIN = 0x20,
        UTIL_CLAMP_MAX = 0x40,
    }
    /// rseq(2).
    RseqFlags: u32, "RSEQ_FLAG_" { UNREGISTER = 1, }
}

names! {
    /// sched_setscheduler(2).
    Policy: i32, "SCHED_" { OTHER = 0, FIFO = 1, RR = 2, BATCH = 3, IDLE = 5, DEADLINE = 6, EXT = 7, }
    /// membarrier(2).
    MembarrierCommand: i32, "MEMBARRIER_CMD_" {
        QUERY = 0, GLOBAL = 1, GLOBAL_EXPEDITED = 2, REGISTER_GLOBAL_EXPEDITED = 4, PRIVATE_EXPEDITED = 8,
        REGISTER_PRIVATE_EXPEDITED = 0x10, PRIVATE_EXPEDITED_SYNC_CORE = 0x20,
        REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 0x40, PRIVATE_EXPEDITED_RSEQ = 0x80,
        REGISTER_PRIVATE_EXPEDITED_RSEQ = 0x100,
    }
    /// arch_prctl(2).
    ArchPrctlCode: i32, "ARCH_" { SET_GS = 0x1001, SET_FS = 0x1002, GET_FS = 0x1003, GET_GS = 0x1004, GET_CPUID = 0x1011, SET_CPUID = 0x1012, }
}
