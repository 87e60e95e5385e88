//! Scheduling: policies and priorities, processors, giving way (sched(7)).

use crate::sched::{self, Setting, Thread};
use alloc::sync::Arc;
use libos_base::abi::{
    Bits, CpuSet, In, InOut, Out, Pid, Policy, PolicyFlags, SchedAttr, SchedFlags, SchedParam, Timespec,
};
use libos_base::cred::{cap, capable};
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result, limits, user};

/// The thread that a scheduling call means: 0 is the caller. The program cannot see kernel threads.
pub(super) fn target(tid: i32) -> Result<Arc<Thread>> {
    match u32::try_from(tid).map_err(|_| Errno::EINVAL)? {
        0 => Ok(sched::current_arc()),
        tid => sched::find(tid).filter(|t| t.is_program).ok_or(Errno::ESRCH),
    }
}

pub fn sched_yield() -> Result<()> {
    sched::yield_now();
    Ok(())
}

pub fn sched_setaffinity(tid: Pid, size: usize, mask: In<CpuSet>) -> Result<()> {
    let t = target(tid.0)?;
    let mut b = [0u8; 8];
    let n = size.min(8);
    user::copy_in(&mut b[..n], mask.address())?;
    let wanted = u64::from_le_bytes(b) & sched::online_mask();
    if wanted == 0 {
        return Err(Errno::EINVAL);
    }
    t.set_affinity(wanted);
    Ok(())
}

/// `sched_getaffinity`: returns how many bytes were written.
pub fn sched_getaffinity(tid: Pid, size: usize, mask: Out<CpuSet>) -> Result<usize> {
    let t = target(tid.0)?;
    if size < 8 || !size.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    user::write(mask.cast(), &(t.affinity() & sched::online_mask()))?;
    Ok(8)
}

pub fn sched_getscheduler(tid: Pid) -> Result<usize> {
    let now = target(tid.0)?.setting();
    let reset = if now.reset { PolicyFlags::RESET_ON_FORK } else { PolicyFlags::empty() };
    Ok((reset.bits() | now.policy.0 as u32) as usize)
}

pub fn sched_setscheduler(tid: Pid, policy: PolicyFlags, param: In<SchedParam>) -> Result<()> {
    if (policy.bits() as i32) < 0 || param.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = user::read(param)?.priority as u32;
    let t = target(tid.0)?;
    let now = t.setting();
    let reset = policy.contains(PolicyFlags::RESET_ON_FORK);
    let policy = Policy((policy - PolicyFlags::RESET_ON_FORK).bits() as i32);
    change(&t, &Wanted { policy, reset, priority, nice: now.nice.into(), attr: None })
}

pub fn sched_getparam(tid: Pid, param: Out<SchedParam>) -> Result<()> {
    if param.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = target(tid.0)?.setting().priority.into();
    user::write(param, &SchedParam { priority })
}

pub fn sched_setparam(tid: Pid, param: In<SchedParam>) -> Result<()> {
    if param.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = user::read(param)?.priority as u32;
    let t = target(tid.0)?;
    change(&t, &Wanted { priority, ..Wanted::now(&t) })
}

/// The sizes of `struct sched_attr` in Linux 3.14, and since utilization clamps.
const ATTR_FIRST: u32 = 48;
const ATTR: u32 = size_of::<SchedAttr>() as u32;

/// The structure, which the program may know as a shorter or longer one. What lies beyond the known end must be 0;
/// otherwise E2BIG, and its size becomes the known one.
fn read_attr(attr: InOut<SchedAttr>) -> Result<SchedAttr> {
    let size: u32 = match user::read(attr.cast())? {
        0 => ATTR_FIRST,
        size => size,
    };
    let more = size.saturating_sub(ATTR) as usize;
    let known = size >= ATTR_FIRST && size as usize <= PAGE_SIZE;
    if !known || user::read_vec(attr.nth(1).cast::<u8>(), more)?.iter().any(|&b| b != 0) {
        user::write(Out::new(attr.address()), &ATTR)?;
        return Err(Errno::E2BIG);
    }
    let found: SchedAttr = user::read_front(attr, size.min(ATTR) as usize)?;
    Ok(SchedAttr { size, ..found })
}

pub fn sched_setattr(tid: Pid, attr: InOut<SchedAttr>, flags: Bits) -> Result<()> {
    if attr.is_null() || tid.0 < 0 || flags.0 != 0 {
        return Err(Errno::EINVAL);
    }
    let attr = read_attr(attr)?;
    let asked = SchedFlags::from_bits(attr.flags);
    if asked.is_some_and(|f| f.intersects(CLAMPS)) && attr.size < ATTR || (attr.policy as i32) < 0 {
        return Err(Errno::EINVAL);
    }
    let t = target(tid.0)?;
    let (now, asked) = (Wanted::now(&t), asked.ok_or(Errno::EINVAL)?);
    let keep = |flag| asked.contains(flag);
    let (policy, reset) = if keep(SchedFlags::KEEP_POLICY) {
        (now.policy, now.reset)
    } else {
        (Policy(attr.policy as i32), keep(SchedFlags::RESET_ON_FORK))
    };
    // What is kept is checked as if it were passed.
    let (priority, nice) = match now.policy {
        Policy::FIFO | Policy::RR if keep(SchedFlags::KEEP_PARAMS) => (now.priority, attr.nice),
        _ if keep(SchedFlags::KEEP_PARAMS) => (attr.priority, now.nice),
        _ => (attr.priority, attr.nice),
    };
    change(&t, &Wanted { policy, reset, priority, nice: nice.clamp(-20, 19), attr: Some(attr) })
}

pub fn sched_getattr(tid: Pid, attr: Out<SchedAttr>, size: u32, flags: Bits) -> Result<()> {
    if attr.is_null() || !(ATTR_FIRST..=PAGE_SIZE as u32).contains(&size) || flags.0 != 0 {
        return Err(Errno::EINVAL);
    }
    let now = target(tid.0)?.setting();
    let told = SchedAttr {
        size: size.min(ATTR),
        policy: now.policy.0 as u32,
        flags: if now.reset { SchedFlags::RESET_ON_FORK.bits() } else { 0 },
        nice: if now.priority == 0 { now.nice.into() } else { 0 },
        priority: now.priority.into(),
        ..SchedAttr::default()
    };
    user::write_front(attr, &told, told.size as usize)
}

const CLAMPS: SchedFlags = SchedFlags::UTIL_CLAMP_MIN.union(SchedFlags::UTIL_CLAMP_MAX);

/// What a call asks for, before it is checked.
struct Wanted {
    policy: Policy,
    reset: bool,
    priority: u32,
    nice: i32,
    /// All that `sched_setattr` was passed.
    attr: Option<SchedAttr>,
}

impl Wanted {
    fn now(t: &Thread) -> Self {
        let Setting { policy, reset, priority, nice } = t.setting();
        Self { policy, reset, priority: priority.into(), nice: nice.into(), attr: None }
    }
}

/// Changes a thread's scheduling, if that makes sense and may be, in the order in which Linux looks at it
/// (`__sched_setscheduler`).
fn change(t: &Arc<Thread>, want: &Wanted) -> Result<()> {
    let real_time = match want.policy {
        Policy::FIFO | Policy::RR => true,
        Policy::OTHER | Policy::BATCH | Policy::IDLE => false,
        Policy::DEADLINE if want.attr.is_some_and(|attr| has_deadline(&attr)) => {
            // There are no deadlines: as on a machine all of whose time has been promised to others.
            return Err(if capable(cap::SYS_NICE) { Errno::EBUSY } else { Errno::EPERM });
        }
        _ => return Err(Errno::EINVAL),
    };
    if want.priority > 99 || real_time != (want.priority > 0) {
        return Err(Errno::EINVAL);
    }
    let now = t.setting();
    let usual = matches!(want.policy, Policy::OTHER | Policy::BATCH);
    let nice = if usual { want.nice as i8 } else { now.nice };
    if !(capable(cap::SYS_NICE) || allowed(&now, want)) {
        return Err(Errno::EPERM);
    }
    // As Linux that is built without clamps.
    if want.attr.is_some_and(|attr| attr.flags & CLAMPS.bits() != 0) {
        return Err(Errno::EOPNOTSUPP);
    }
    // To keep the parameters is to keep the policy, too.
    let keeps = want.attr.is_some_and(|attr| attr.flags & SchedFlags::KEEP_PARAMS.bits() != 0);
    let to = Setting { policy: want.policy, reset: want.reset, priority: want.priority as u8, nice };
    sched::set_urgency(t, if keeps { Setting { reset: want.reset, ..now } } else { to });
    Ok(())
}

/// Whether a thread without CAP_SYS_NICE may be changed like that (`user_check_sched_setscheduler` of Linux).
fn allowed(now: &Setting, want: &Wanted) -> bool {
    let may_be_nice = |nice: i32| (20 - nice) as u64 <= limits::NICE.soft();
    let most = limits::RTPRIO.soft();
    let priority = match want.policy {
        Policy::FIFO | Policy::RR => {
            (want.policy == now.policy || most > 0)
                && (want.priority <= now.priority.into() || u64::from(want.priority) <= most)
        }
        Policy::IDLE => true,
        _ => want.nice >= now.nice.into() || may_be_nice(want.nice),
    };
    let leaves_idle = now.policy == Policy::IDLE && want.policy != Policy::IDLE;
    priority && (!leaves_idle || may_be_nice(now.nice.into())) && (want.reset || !now.reset)
}

/// Whether the periods are such that Linux would consider them (`__checkparam_dl`).
fn has_deadline(d: &SchedAttr) -> bool {
    const PERIODS_NS: core::ops::RangeInclusive<u64> = 100_000..=(1 << 22) * 1000;
    let period = if d.period == 0 { d.deadline } else { d.period };
    d.priority == 0
        && d.runtime >= 1 << 10
        && d.runtime <= d.deadline
        && d.deadline <= period
        && PERIODS_NS.contains(&period)
}

/// `sched_get_priority_max` and `_min`: as on Linux, for the policies that it knows.
pub fn sched_get_priority_max(policy: Policy) -> Result<usize> {
    match policy {
        Policy::OTHER | Policy::BATCH | Policy::IDLE | Policy::DEADLINE | Policy::EXT => Ok(0),
        Policy::FIFO | Policy::RR => Ok(99),
        _ => Err(Errno::EINVAL),
    }
}

/// See [`sched_get_priority_max`].
pub fn sched_get_priority_min(policy: Policy) -> Result<usize> {
    sched_get_priority_max(policy).map(|max| (max != 0) as usize)
}

/// `sched_rr_get_interval`: how long a thread runs while its equals wait. 0: until it gives way.
pub fn sched_rr_get_interval(tid: Pid, interval: Out<Timespec>) -> Result<()> {
    let ns = match target(tid.0)?.setting().policy {
        Policy::FIFO => 0,
        Policy::RR => sched::TURN_NS,
        _ => sched::SLICE_NS,
    };
    user::write(interval, &Timespec::from_ns(ns))
}
