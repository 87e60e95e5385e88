//! Clocks and timers: linux/time.h, linux/timerfd.h, linux/timex.h.

use crate::macros::{flags, names};

names! {
    /// clock_gettime(2). Negative numbers are the CPU-time clocks of one thread or process.
    ClockId: i32, "CLOCK_" {
        REALTIME = 0, MONOTONIC = 1, PROCESS_CPUTIME_ID = 2, THREAD_CPUTIME_ID = 3, MONOTONIC_RAW = 4, REALTIME_COARSE = 5,
        MONOTONIC_COARSE = 6, BOOTTIME = 7, REALTIME_ALARM = 8, BOOTTIME_ALARM = 9, TAI = 11,
    }
    /// setitimer(2).
    IntervalTimer: i32, "ITIMER_" { REAL = 0, VIRTUAL = 1, PROF = 2, }
    /// struct sigevent, `sigev_notify`.
    SigEventNotify: u32, "SIGEV_" { SIGNAL = 0, NONE = 1, THREAD = 2, THREAD_ID = 4, }
}

flags! {
    /// clock_nanosleep(2), timer_settime(2).
    TimerFlags: u32, "TIMER_" { ABSTIME = 1, }
    /// timerfd_create(2).
    TimerfdFlags: u32, "TFD_" { CLOEXEC = 0o2000000, NONBLOCK = 0o4000, }
    /// timerfd_settime(2).
    TimerfdSetFlags: u32, "TFD_TIMER_" { ABSTIME = 1, CANCEL_ON_SET = 2, }
    /// adjtimex(2), `modes`.
    AdjustModes: u32, "ADJ_" {
        OFFSET = 1, FREQUENCY = 2, MAXERROR = 4, ESTERROR = 8, STATUS = 0x10, TIMECONST = 0x20, TAI = 0x80,
        SETOFFSET = 0x100, MICRO = 0x1000, NANO = 0x2000, TICK = 0x4000,
    }
}
