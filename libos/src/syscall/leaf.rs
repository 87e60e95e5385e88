//! Calls that need no kernel: they run as plain functions on the program's stack, with no frame and no way in or out.
//!
//! While one runs, the thread is in the program, as in the vDSO of Linux. It can be preempted anywhere, and a signal's
//! handler may interrupt it, make the same call, or never come back. So a leaf takes no lock, does not wait, keeps
//! preemption and interrupts as they are, and uses little stack (the debug kernel stops when a lock is taken on a
//! program's stack). It touches program memory with [`store`] and [`store_pair`] alone, which survive a bad address.
//! Whatever it does not want to do it leaves to the call's handler: `None` enters the kernel as any other call does.
//!
//! Tracing sees calls where they enter the kernel: while the byte `libos_traced` is not 0, leaf calls do, too.

use crate::mm::image::program_range;
use crate::sched::{self, current};
use crate::timer::wallclock;
use libos_base::abi::{Address, ClockId, Out, Timespec, Timeval, Timezone};
use libos_base::errno::encode;
use libos_base::time::{NS, monotonic_ns};

/// What the call returns; `None`: the handler decides.
type Leaf = Option<isize>;

fn store(to: Out<u32>, word: u32) -> Leaf {
    let addr = to.address();
    // SAFETY: may hold program data.
    program_range(addr, 4).then(|| unsafe { crate::arch::user::store(addr, word) })
}

fn store_pair(addr: usize, first: u64, second: u64) -> Leaf {
    // SAFETY: may hold program data.
    program_range(addr, 16).then(|| unsafe { crate::arch::user::store_pair(addr, first, second) })
}

/// Leaves that are the whole call.
macro_rules! whole {
    ($($family:ident::$name:ident)*) => { $(
        pub fn $name() -> Leaf {
            Some(encode(super::$family::$name()))
        }
    )* };
}
whole! { process::getpid process::getpgrp process::getppid thread::gettid cred::getuid cred::getgid cred::geteuid cred::getegid }

pub fn getcpu(cpu: Out<u32>, node: Out<u32>, _cache: Address) -> Leaf {
    if node.is_null() { store(cpu, current().cpu() as u32) } else { None }
}

/// Nobody waits for this CPU.
pub fn sched_yield() -> Leaf {
    (!sched::is_wanted()).then_some(0)
}

pub fn clock_gettime(clock: ClockId, out: Out<Timespec>) -> Leaf {
    let ns = match clock {
        ClockId::MONOTONIC => monotonic_ns(),
        ClockId::REALTIME => wallclock::now_if_known()?,
        _ => return None,
    };
    store_pair(out.address(), ns / NS, ns % NS)
}

pub fn gettimeofday(tv: Out<Timeval>, tz: Out<Timezone>) -> Leaf {
    if tv.is_null() || !tz.is_null() {
        return None;
    }
    let ns = wallclock::now_if_known()?;
    store_pair(tv.address(), ns / NS, ns % NS / 1000)
}

pub fn time(out: Out<i64>) -> Leaf {
    if !out.is_null() {
        return None;
    }
    Some((wallclock::now_if_known()? / NS) as isize)
}
