//! Readiness: asm-generic/poll.h, linux/eventpoll.h, linux/eventfd.h.

use crate::macros::{flags, names};

flags! {
    /// poll(2).
    PollEvents: u16, "POLL" {
        IN = 1, PRI = 2, OUT = 4, ERR = 8, HUP = 0x10, NVAL = 0x20, RDNORM = 0x40, RDBAND = 0x80, WRNORM = 0x100,
        WRBAND = 0x200, MSG = 0x400, RDHUP = 0x2000,
    }
    /// epoll_ctl(2).
    EpollEvents: u32, "EPOLL" {
        IN = 1, PRI = 2, OUT = 4, ERR = 8, HUP = 0x10, NVAL = 0x20, RDNORM = 0x40, RDBAND = 0x80, WRNORM = 0x100,
        WRBAND = 0x200, MSG = 0x400, RDHUP = 0x2000, EXCLUSIVE = 0x1000_0000, WAKEUP = 0x2000_0000, ONESHOT = 0x4000_0000,
        ET = 0x8000_0000,
    }
    /// epoll_create1(2).
    EpollFlags: u32, "EPOLL_" { CLOEXEC = 0o2000000, }
    /// eventfd2(2).
    EventfdFlags: u32, "EFD_" { SEMAPHORE = 1, CLOEXEC = 0o2000000, NONBLOCK = 0o4000, }
}

names! {
    /// epoll_ctl(2).
    EpollOperation: i32, "EPOLL_CTL_" { ADD = 1, DEL = 2, MOD = 3, }
}
