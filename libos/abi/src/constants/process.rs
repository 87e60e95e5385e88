//! Properties and resources of a process: linux/capability.h, linux/auxvec.h, linux/wait.h, asm-generic/resource.h, linux/prctl.h, linux/reboot.h, ...

use crate::macros::{flags, names};

flags! {
    /// wait4(2), waitid(2).
    WaitOptions: u32, "" {
        WNOHANG = 1, WSTOPPED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x100_0000, __WNOTHREAD = 0x2000_0000,
        __WALL = 0x4000_0000, __WCLONE = 0x8000_0000,
    }
    /// getrandom(2).
    RandomFlags: u32, "GRND_" { NONBLOCK = 1, RANDOM = 2, INSECURE = 4, }
    /// PR_SET_SECUREBITS; each is followed by the bit that locks it.
    SecureBits: u32, "SECBIT_" {
        NOROOT = 1, NOROOT_LOCKED = 2, NO_SETUID_FIXUP = 4, NO_SETUID_FIXUP_LOCKED = 8, KEEP_CAPS = 16,
        KEEP_CAPS_LOCKED = 32, NO_CAP_AMBIENT_RAISE = 64, NO_CAP_AMBIENT_RAISE_LOCKED = 128,
    }
    /// pidfd_open(2).
    PidfdFlags: u32, "PIDFD_" { NONBLOCK = 0o4000, }
}

names! {
    /// waitid(2).
    IdType: i32, "P_" { ALL = 0, PID = 1, PGID = 2, PIDFD = 3, }
    /// getrlimit(2).
    Resource: u32, "RLIMIT_" {
        CPU = 0, FSIZE = 1, DATA = 2, STACK = 3, CORE = 4, RSS = 5, NPROC = 6, NOFILE = 7, MEMLOCK = 8, AS = 9, LOCKS = 10,
        SIGPENDING = 11, MSGQUEUE = 12, NICE = 13, RTPRIO = 14, RTTIME = 15,
    }
    /// getrusage(2).
    UsageOf: i32, "RUSAGE_" { SELF = 0, CHILDREN = -1, THREAD = 1, }
    /// getpriority(2).
    PriorityOf: i32, "PRIO_" { PROCESS = 0, PGRP = 1, USER = 2, }
    /// prctl(2).
    PrctlOption: i32, "PR_" {
        SET_PDEATHSIG = 1, GET_PDEATHSIG = 2, GET_DUMPABLE = 3, SET_DUMPABLE = 4, GET_KEEPCAPS = 7, SET_KEEPCAPS = 8,
        GET_TIMING = 13, SET_TIMING = 14, SET_NAME = 15, GET_NAME = 16, GET_SECCOMP = 21, SET_SECCOMP = 22,
        CAPBSET_READ = 23, CAPBSET_DROP = 24, GET_TSC = 25, SET_TSC = 26, GET_SECUREBITS = 27, SET_SECUREBITS = 28,
        SET_TIMERSLACK = 29, GET_TIMERSLACK = 30, MCE_KILL = 33, MCE_KILL_GET = 34, SET_MM = 35,
        SET_CHILD_SUBREAPER = 36, GET_CHILD_SUBREAPER = 37, SET_NO_NEW_PRIVS = 38, GET_NO_NEW_PRIVS = 39,
        GET_TID_ADDRESS = 40, SET_THP_DISABLE = 41, GET_THP_DISABLE = 42, CAP_AMBIENT = 47,
        GET_SPECULATION_CTRL = 52, SET_SPECULATION_CTRL = 53, SET_VMA = 0x53564d41,
    }
    /// capabilities(7).
    Capability: u32, mod cap: u32, "CAP_" {
        CHOWN = 0, DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2, FOWNER = 3, FSETID = 4, KILL = 5, SETGID = 6, SETUID = 7,
        SETPCAP = 8, LINUX_IMMUTABLE = 9, NET_BIND_SERVICE = 10, NET_BROADCAST = 11, NET_ADMIN = 12, NET_RAW = 13,
        IPC_LOCK = 14, IPC_OWNER = 15, SYS_MODULE = 16, SYS_RAWIO = 17, SYS_CHROOT = 18, SYS_PTRACE = 19, SYS_PACCT = 20,
        SYS_ADMIN = 21, SYS_BOOT = 22, SYS_NICE = 23, SYS_RESOURCE = 24, SYS_TIME = 25, SYS_TTY_CONFIG = 26, MKNOD = 27,
        LEASE = 28, AUDIT_WRITE = 29, AUDIT_CONTROL = 30, SETFCAP = 31, MAC_OVERRIDE = 32, MAC_ADMIN = 33, SYSLOG = 34,
        WAKE_ALARM = 35, BLOCK_SUSPEND = 36, AUDIT_READ = 37, PERFMON = 38, BPF = 39, CHECKPOINT_RESTORE = 40,
    }
    /// PR_CAP_AMBIENT.
    CapAmbient: u32, "PR_CAP_AMBIENT_" { IS_SET = 1, RAISE = 2, LOWER = 3, CLEAR_ALL = 4, }
    /// What a program's stack says at its start (getauxval(3)).
    Auxiliary: u64, mod auxv: u64, "AT_" {
        NULL = 0, PHDR = 3, PHENT = 4, PHNUM = 5, PAGESZ = 6, BASE = 7, FLAGS = 8, ENTRY = 9, UID = 11, EUID = 12, GID = 13,
        EGID = 14, HWCAP = 16, CLKTCK = 17, SECURE = 23, RANDOM = 25, EXECFN = 31,
    }
    /// reboot(2).
    RebootCommand: u32, "LINUX_REBOOT_CMD_" {
        RESTART = 0x0123_4567, HALT = 0xcdef_0123, CAD_ON = 0x89ab_cdef, CAD_OFF = 0, POWER_OFF = 0x4321_fedc,
        RESTART2 = 0xa1b2_c3d4, SW_SUSPEND = 0xd000_fce2, KEXEC = 0x4558_4543,
    }
    /// personality(2), the part without flags.
    Persona: u32, "PER_" { LINUX = 0, LINUX32 = 8, }
}
