//! Clocks, sleeping, timers.

use super::support::only;
use crate::sched::{self, current};
use crate::timer::posix::{self, Notify};
use crate::timer::wall::{self, Line, When};
use crate::timer::wallclock;
use crate::timer::{cpu_clock, cpu_interval, interval, timerfd::TimerFd};
use libos_base::abi::{
    AdjustModes, ClockId, Fd, In, InOut, IntervalTimer, ItimerSpec, ItimerVal, Out, SigEvent, SigEventNotify,
    TimerFlags, TimerfdFlags, TimerfdSetFlags, Timespec, Timeval, Timex, Timezone,
};
use libos_base::cred::{cap, capable};
use libos_base::file::FileLike;
use libos_base::thread::Wake;
use libos_base::time::{NS, monotonic_ns, realtime_ns};
use libos_base::{Errno, Result, user};

/// CPU clocks of a process or thread are negative numbers (linux/posix-timers.h): pid or tid, inverted, above three
/// bits of kind. The kinds (all time, user time, time as the scheduler counts it) are one here.
fn cpu_line(id: i32) -> Result<Line> {
    let who = !(id >> 3) as u32;
    if id & 3 == 3 {
        return Err(Errno::EINVAL);
    }
    if id & 4 == 0 {
        return if who == 0 || who == sched::PID { Ok(cpu_clock::of_process()) } else { Err(Errno::EINVAL) };
    }
    if who == 0 {
        return Ok(cpu_clock::of_thread(current().tid));
    }
    sched::find(who).filter(|t| t.is_program).map(|t| cpu_clock::of_thread(t.tid)).ok_or(Errno::EINVAL)
}

fn read_clock(id: ClockId) -> Result<u64> {
    Ok(match id {
        ClockId::MONOTONIC
        | ClockId::MONOTONIC_RAW
        | ClockId::MONOTONIC_COARSE
        | ClockId::BOOTTIME
        | ClockId::BOOTTIME_ALARM => monotonic_ns(),
        // TAI's offset is not known here; on Linux it is also 0 until someone sets it.
        ClockId::REALTIME | ClockId::REALTIME_COARSE | ClockId::REALTIME_ALARM | ClockId::TAI => wallclock::now(),
        ClockId::PROCESS_CPUTIME_ID => sched::process_cpu_ns(),
        ClockId::THREAD_CPUTIME_ID => current().cpu_ns(),
        ClockId(id @ ..0) => cpu_line(id)?.now(),
        _ => return Err(Errno::EINVAL),
    })
}

pub fn clock_gettime(clock: ClockId, out: Out<Timespec>) -> Result<()> {
    let ns = if clock == ClockId::MONOTONIC { monotonic_ns() } else { read_clock(clock)? };
    user::write(out, &Timespec::from_ns(ns))
}

pub fn clock_getres(clock: ClockId, out: Out<Timespec>) -> Result<()> {
    read_clock(clock)?;
    user::write_opt(out, &Timespec { sec: 0, nsec: 1 })
}

/// `clock_settime`: only the wall clock can be set.
pub fn clock_settime(clock: ClockId, new: In<Timespec>) -> Result<()> {
    if clock != ClockId::REALTIME {
        return Err(Errno::EINVAL);
    }
    set_wall_clock(user::read::<Timespec>(new)?.to_ns()?)
}

fn set_wall_clock(ns: u64) -> Result<()> {
    if !capable(cap::SYS_TIME) {
        return Err(Errno::EPERM);
    }
    // As on Linux: the time of boot must not come to lie before 1970.
    if ns < monotonic_ns() {
        return Err(Errno::EINVAL);
    }
    crate::arch::clock::set_realtime_ns(ns);
    wall::stepped();
    Ok(())
}

pub fn gettimeofday(tv: Out<Timeval>, tz: Out<Timezone>) -> Result<()> {
    let t = Timespec::from_ns(wallclock::now());
    user::write_opt(tv, &Timeval { sec: t.sec, usec: t.nsec / 1000 })?;
    user::write_opt(tz, &Timezone::default())
}

pub fn settimeofday(tv: In<Timeval>, _tz: In<Timezone>) -> Result<()> {
    if !tv.is_null() {
        let t: Timeval = user::read(tv)?;
        let ns = Timespec { sec: t.sec, nsec: t.usec.checked_mul(1000).ok_or(Errno::EINVAL)? }.to_ns()?;
        set_wall_clock(ns)?;
    }
    Ok(())
}

pub fn time(out: Out<i64>) -> Result<usize> {
    let s = (wallclock::now() / NS) as i64;
    user::write_opt(out, &s)?;
    Ok(s as usize)
}

/// Sleeps until `deadline`. Only a signal that this thread must take ends it early.
fn sleep_until(deadline: When) -> Result<()> {
    loop {
        match wall::park(deadline, true) {
            Wake::Timeout => return Ok(()),
            Wake::Interrupted if super::signal::must_stop(current()) => return Err(Errno::EINTR),
            _ => {}
        }
    }
}

fn sleep_for(deadline: When, rem: Out<Timespec>) -> Result<()> {
    let r = sleep_until(deadline);
    if r.is_err() {
        user::write_opt(rem, &Timespec::from_ns(deadline.ns.saturating_sub(deadline.line.now())))?;
    }
    r
}

pub fn nanosleep(req: In<Timespec>, rem: Out<Timespec>) -> Result<()> {
    sleep_for(When::after(user::read::<Timespec>(req)?.to_ns()?), rem)
}

/// The line that an absolute time of this clock is on. EINVAL: no such clock. EOPNOTSUPP: nothing can wait for it.
fn line_of(clock: ClockId) -> Result<Line> {
    /// The low bits of clocks that are descriptors (linux/posix-timers.h, CLOCKFD), of which there are none here.
    const DESCRIPTOR: i32 = 3;
    match clock {
        ClockId::REALTIME | ClockId::TAI | ClockId::REALTIME_ALARM => Ok(Line::Wall),
        ClockId::MONOTONIC | ClockId::BOOTTIME | ClockId::BOOTTIME_ALARM => Ok(Line::Monotonic),
        ClockId::PROCESS_CPUTIME_ID => Ok(cpu_clock::of_process()),
        ClockId::THREAD_CPUTIME_ID => Ok(cpu_clock::of_thread(current().tid)),
        ClockId(id @ ..0) if id & 7 == DESCRIPTOR => Err(Errno::EOPNOTSUPP),
        ClockId(id @ ..0) => cpu_line(id),
        _ => read_clock(clock).and(Err(Errno::EOPNOTSUPP)),
    }
}

pub fn clock_nanosleep(clock: ClockId, flags: TimerFlags, req: In<Timespec>, rem: Out<Timespec>) -> Result<()> {
    let line = line_of(clock)?;
    let ns = user::read::<Timespec>(req)?.to_ns()?;
    // A thread cannot wait for time that only it would use up.
    if cpu_clock::is_own(line) {
        return Err(if clock == ClockId::THREAD_CPUTIME_ID { Errno::EOPNOTSUPP } else { Errno::EINVAL });
    }
    if !flags.contains(TimerFlags::ABSTIME) {
        return sleep_for(line.after(ns), rem);
    }
    sleep_until(When { ns, line }).map_err(|_| Errno::ERESTARTNOHAND)
}

fn val_to_ns(t: Timeval) -> Result<u64> {
    if !(0..1_000_000).contains(&t.usec) {
        return Err(Errno::EINVAL);
    }
    Timespec { sec: t.sec, nsec: t.usec * 1000 }.to_ns()
}

/// Rounded up, so that an armed timer never reads as 0.
fn ns_to_val(ns: u64) -> Timeval {
    let us = ns.div_ceil(1000);
    Timeval { sec: (us / 1_000_000) as i64, usec: (us % 1_000_000) as i64 }
}

fn cpu_itimer(which: IntervalTimer) -> Result<cpu_interval::Which> {
    match which {
        IntervalTimer::VIRTUAL => Ok(cpu_interval::Which::Virtual),
        IntervalTimer::PROF => Ok(cpu_interval::Which::Prof),
        _ => Err(Errno::EINVAL),
    }
}

pub fn setitimer(which: IntervalTimer, new: In<ItimerVal>, old: Out<ItimerVal>) -> Result<()> {
    let v = user::read_opt(new)?.unwrap_or_default();
    let (value, every) = (val_to_ns(v.value)?, val_to_ns(v.interval)?);
    let (left, interval) = match which {
        IntervalTimer::REAL => interval::set(value, every)?,
        _ => cpu_interval::set(cpu_itimer(which)?, value, every)?,
    };
    user::write_opt(old, &ItimerVal { interval: ns_to_val(interval), value: ns_to_val(left) })
}

pub fn getitimer(which: IntervalTimer, out: Out<ItimerVal>) -> Result<()> {
    let (left, interval) = match which {
        IntervalTimer::REAL => interval::get(),
        _ => cpu_interval::get(cpu_itimer(which)?),
    };
    user::write(out, &ItimerVal { interval: ns_to_val(interval), value: ns_to_val(left) })
}

/// `alarm`: returns the seconds that were left, rounded as Linux does (never down to 0).
pub fn alarm(seconds: u32) -> Result<usize> {
    let (left, _) = interval::set(seconds as u64 * NS, 0)?;
    let rounded = (left + NS / 2) / NS;
    Ok(if left > 0 { rounded.max(1) } else { 0 } as usize)
}

pub fn timer_create(clock: ClockId, event: In<SigEvent>, out: Out<i32>) -> Result<()> {
    let line = line_of(clock)?;
    let notify = user::read_opt(event)?.map(|e| {
        let signal = || if crate::signal::valid(e.signo) { Ok(e.signo) } else { Err(Errno::EINVAL) };
        Ok(match SigEventNotify(e.notify as u32) {
            SigEventNotify::SIGNAL => Notify::Signal { tid: None, signo: signal()?, value: e.value },
            SigEventNotify::NONE => Notify::Nothing,
            SigEventNotify::THREAD_ID => {
                let tid = e.tid as u32;
                sched::find(tid).filter(|t| t.is_program).ok_or(Errno::EINVAL)?;
                Notify::Signal { tid: Some(tid), signo: signal()?, value: e.value }
            }
            _ => return Err(Errno::EINVAL),
        })
    });
    let id = posix::create(line, notify.transpose()?)?;
    if let Err(e) = user::write(out, &(id as i32)) {
        posix::delete(id)?;
        return Err(e);
    }
    Ok(())
}

/// (first expiry, interval) for a setting; 0: off.
fn first_of(line: Line, new: &ItimerSpec, absolute_time: bool) -> Result<(When, u64)> {
    let (value, every) = (new.value.to_ns()?, new.interval.to_ns()?);
    let first = match value {
        0 => When::default(),
        ns if absolute_time => When { ns, line },
        ns => line.after(ns),
    };
    Ok((first, every))
}

fn spec((left, interval): (u64, u64)) -> ItimerSpec {
    ItimerSpec { interval: Timespec::from_ns(interval), value: Timespec::from_ns(left) }
}

pub fn timer_settime(id: i32, flags: TimerFlags, new: In<ItimerSpec>, old: Out<ItimerSpec>) -> Result<()> {
    let new: ItimerSpec = user::read(new)?;
    let t = posix::find(id as usize)?;
    if cpu_clock::is_gone(t.line) {
        return Err(Errno::ESRCH);
    }
    let (first, every) = first_of(t.line, &new, flags.contains(TimerFlags::ABSTIME))?;
    let before = t.set(first, every)?;
    user::write_opt(old, &spec(before))
}

pub fn timer_gettime(id: i32, out: Out<ItimerSpec>) -> Result<()> {
    user::write(out, &spec(posix::find(id as usize)?.get()))
}

pub fn timer_getoverrun(id: i32) -> Result<usize> {
    Ok(posix::find(id as usize)?.overrun())
}

pub fn timer_delete(id: i32) -> Result<()> {
    posix::delete(id as usize)
}

pub fn timerfd_create(clock: ClockId, flags: TimerfdFlags) -> Result<usize> {
    match line_of(clock) {
        Ok(Line::Monotonic | Line::Wall) if clock != ClockId::TAI => {}
        _ => return Err(Errno::EINVAL),
    }
    only(flags, TimerfdFlags::all())?;
    libos_fs::files().fds.add(TimerFd::new(clock, flags)?, flags.contains(TimerfdFlags::CLOEXEC)).map(Fd::result)
}

fn with_timerfd<R>(fd: Fd, f: impl FnOnce(&TimerFd) -> Result<R>) -> Result<R> {
    let file = libos_fs::files().fds.get(fd)?;
    f(<dyn FileLike>::downcast(&*file).ok_or(Errno::EINVAL)?)
}

pub fn timerfd_settime(fd: Fd, flags: TimerfdSetFlags, new: In<ItimerSpec>, old: Out<ItimerSpec>) -> Result<()> {
    let new: ItimerSpec = user::read(new)?;
    only(flags, TimerfdSetFlags::all())?;
    let before = with_timerfd(fd, |t| {
        let (first, every) = first_of(line_of(t.clock())?, &new, flags.contains(TimerfdSetFlags::ABSTIME))?;
        t.set(first, every, flags.contains(TimerfdSetFlags::CANCEL_ON_SET))
    })?;
    user::write_opt(old, &spec(before))
}

pub fn timerfd_gettime(fd: Fd, out: Out<ItimerSpec>) -> Result<()> {
    let now = with_timerfd(fd, |t| Ok(t.get()))?;
    user::write(out, &spec(now))
}

const STA_UNSYNC: i32 = 0x40;
const TIME_ERROR: usize = 5;

/// `adjtimex`: nothing disciplines the clock, and the result says so. The clock can be set to another time
/// (ADJ_SETOFFSET), but not steered.
pub fn adjtimex(timex: InOut<Timex>) -> Result<usize> {
    let modes = AdjustModes::from_bits_retain(user::read(timex.cast())?);
    if !modes.is_empty() && !capable(cap::SYS_TIME) {
        return Err(Errno::EPERM);
    }
    if modes - AdjustModes::NANO == AdjustModes::SETOFFSET {
        // The second part counts microseconds or nanoseconds, and is never negative.
        let by = user::read(timex)?.time;
        let unit = if modes.contains(AdjustModes::NANO) { 1 } else { 1000 };
        if !(0..NS as i64 / unit).contains(&by.usec) {
            return Err(Errno::EINVAL);
        }
        let by = by.sec.checked_mul(NS as i64).and_then(|s| s.checked_add(by.usec * unit));
        set_wall_clock(by.and_then(|by| realtime_ns().checked_add_signed(by)).ok_or(Errno::EINVAL)?)?;
    } else if !modes.is_empty() {
        return Err(Errno::EPERM);
    }
    let now = Timespec::from_ns(realtime_ns());
    // Linux's values of a clock that was never set: 16 s of error, 500 ppm of tolerance, 10 ms ticks.
    let unset = Timex {
        maxerror: 16_000_000,
        esterror: 16_000_000,
        status: STA_UNSYNC,
        precision: 1,
        tolerance: 32_768_000,
        time: Timeval { sec: now.sec, usec: now.nsec / 1000 },
        tick: 10_000,
        ..Timex::default()
    };
    user::write(timex, &unset)?;
    Ok(TIME_ERROR)
}

pub fn clock_adjtime(clock: ClockId, timex: InOut<Timex>) -> Result<usize> {
    if clock == ClockId::REALTIME { adjtimex(timex) } else { read_clock(clock).and(Err(Errno::EOPNOTSUPP)) }
}
