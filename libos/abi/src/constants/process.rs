//! Properties and resources of a process: linux/wait.h, asm-generic/resource.h, linux/prctl.h, linux/reboot.h, ...

use crate::macros::{flags, names};

flags! {
    /// wait4(2), waitid(2).
    WaitOptions: u32, "" {
        WNOHANG = 1, WSTOPPED = 2, WEXITED = 4, WCONTINUED = 8, WNOWAIT = 0x100_0000, __WNOTHREAD = 0x2000_0000,
        __WALL = 0x4000_0000, __WCLONE = 0x8000_0000,
    }
    /// getrandom(2).
    RandomFlags: u32, "GRND_" { NONBLOCK = 1, RANDOM = 2, INSECURE = 4, }
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
    /// reboot(2).
    RebootCommand: u32, "LINUX_REBOOT_CMD_" {
        RESTART = 0x0123_4567, HALT = 0xcdef_0123, CAD_ON = 0x89ab_cdef, CAD_OFF = 0, POWER_OFF = 0x4321_fedc,
        RESTART2 = 0xa1b2_c3d4, SW_SUSPEND = 0xd000_fce2, KEXEC = 0x4558_4543,
    }
    /// personality(2), the part without flags.
    Persona: u32, "PER_" { LINUX = 0, LINUX32 = 8, }
}
