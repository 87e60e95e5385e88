//! Signals.

use super::support::only;
use crate::process::process;
use crate::sched::{self, Thread, current};
use crate::signal::{self, ActionFlags, Info, SigSet, StackFlags, code, signalfd::SignalFd};
use core::sync::atomic::Ordering::*;
use libos_base::abi::{Fd, In, MaskHow, Out, Pid, SigAction, SigInfo, SignalfdFlags, Signo, StackT, Timespec};
use libos_base::cred::{self, cap, capable};
use libos_base::file::FileLike;
use libos_base::thread::{self, FOREVER, Wake};
use libos_base::{Errno, Result, time, user};

/// The only size of sigset_t that Linux accepts.
const SIGSET_SIZE: usize = 8;
/// MINSIGSTKSZ of the kernel.
const MINSIGSTKSZ: usize = 2048;

fn check_size(size: usize) -> Result<()> {
    if size == SIGSET_SIZE { Ok(()) } else { Err(Errno::EINVAL) }
}

fn check_signo(signo: i32) -> Result<()> {
    if signal::valid(signo) { Ok(()) } else { Err(Errno::EINVAL) }
}

pub fn rt_sigaction(signo: Signo, new: In<SigAction>, old: Out<SigAction>, size: usize) -> Result<()> {
    check_size(size)?;
    check_signo(signo.0)?;
    let new = user::read_opt(new)?;
    if new.is_some() && SigSet::UNBLOCKABLE.has(signo.0) {
        return Err(Errno::EINVAL);
    }
    // Unknown flags are cleared, which is how programs ask what there is (Linux 5.11).
    let new = new.map(|a| SigAction { flags: (a.flags() & ActionFlags::all()).bits(), ..a });
    let before = process().set_action(signo.0, new);
    user::write_opt(old, &before)
}

pub fn rt_sigprocmask(how: MaskHow, new: In<SigSet>, old: Out<SigSet>, size: usize) -> Result<()> {
    check_size(size)?;
    let before = current().signals.blocked();
    if let Some(s) = user::read_opt(new)? {
        match how {
            MaskHow::BLOCK => signal::change_mask(|m| m.union(s)),
            MaskHow::UNBLOCK => signal::change_mask(|m| m.without(s)),
            MaskHow::SETMASK => signal::set_mask(s),
            _ => return Err(Errno::EINVAL),
        };
    }
    user::write_opt(old, &before)
}

pub fn rt_sigpending(set: Out<SigSet>, size: usize) -> Result<()> {
    if size > SIGSET_SIZE {
        return Err(Errno::EINVAL);
    }
    let s = &current().signals;
    user::copy_out(set.address(), &(s.pending().0 & s.blocked().0).to_le_bytes()[..size])
}

/// Sleeps until a signal must be taken.
fn until_signal() -> Result<usize> {
    loop {
        if thread::park(FOREVER, true) == Wake::Interrupted {
            return Err(Errno::ERESTARTNOHAND);
        }
    }
}

pub fn rt_sigsuspend(mask: In<SigSet>, size: usize) -> Result<usize> {
    check_size(size)?;
    signal::with_temporary_mask(user::read(mask)?, until_signal)
}

pub fn pause() -> Result<usize> {
    until_signal()
}

pub fn rt_sigtimedwait(set: In<SigSet>, info: Out<SigInfo>, timeout: In<Timespec>, size: usize) -> Result<usize> {
    check_size(size)?;
    let wanted = user::read(set)?.without(SigSet::UNBLOCKABLE);
    let deadline = match user::read_opt(timeout)? {
        None => FOREVER,
        Some(t) => time::after(t.to_ns()?),
    };
    let s = &current().signals;
    // Announced first, checked second: a sender that posts afterwards unparks us.
    s.waited.store(wanted.0, SeqCst);
    let got = loop {
        if let Some(i) = signal::take_pending(wanted) {
            break Ok(i);
        }
        match thread::park(deadline, true) {
            Wake::Token => {}
            Wake::Timeout => break signal::take_pending(wanted).ok_or(Errno::EAGAIN),
            Wake::Interrupted => break signal::take_pending(wanted).ok_or(Errno::EINTR),
        }
    };
    s.waited.store(0, SeqCst);
    let got = got?;
    if !info.is_null() {
        user::copy_out(info.address(), &got.to_bytes())?;
    }
    Ok(got.signo as usize)
}

pub fn sigaltstack(new: In<StackT>, old: Out<StackT>) -> Result<()> {
    let mut now = current().signals.altstack();
    // SAFETY: the thread is in this call, so its frame is there.
    let sp = unsafe { (*crate::arch::syscall::frame()).sp() };
    let on = !now.flags().intersects(StackFlags::DISABLE | StackFlags::AUTODISARM) && now.holds(sp);
    let new = user::read_opt(new)?;
    now.flags |= if on { StackFlags::ONSTACK.bits() } else { 0 };
    user::write_opt(old, &now)?;
    let Some(new) = new else { return Ok(()) };
    if on {
        return Err(Errno::EPERM);
    }
    let flags = new.flags();
    let set = match flags - StackFlags::AUTODISARM {
        StackFlags::DISABLE => StackT { flags: StackFlags::DISABLE.bits(), ..StackT::default() },
        none if !(none - StackFlags::ONSTACK).is_empty() => return Err(Errno::EINVAL),
        _ if new.size < MINSIGSTKSZ => return Err(Errno::ENOMEM),
        _ => StackT { flags: (flags & StackFlags::AUTODISARM).bits(), ..new },
    };
    current().signals.set_altstack(set);
    Ok(())
}

/// Sends to one thread of the program; signal 0 only asks whether it exists.
fn send_to(tid: i32, info: Info) -> Result<()> {
    let t = u32::try_from(tid).ok().and_then(sched::find).filter(|t| t.is_program).ok_or(Errno::ESRCH)?;
    if info.signo != 0 {
        signal::post_thread(&t, info)?;
    }
    Ok(())
}

fn check_or_zero(signo: i32) -> Result<()> {
    if signo == 0 { Ok(()) } else { check_signo(signo) }
}

/// `kill`: the process, its group and "everyone" all mean this program.
pub fn kill(pid: Pid, signo: Signo) -> Result<()> {
    check_or_zero(signo.0)?;
    let me = sched::PID as i32;
    match pid.0 {
        // -1 means everyone except init and the caller: nobody.
        -1 => return Err(Errno::ESRCH),
        0 => {}
        p if p == me || p == -me => {}
        p if p == thread::INIT as i32 => return to_init(),
        _ => return Err(Errno::ESRCH),
    }
    if signo.0 != 0 {
        signal::post_process_info(Info::user(signo.0, code::USER))?;
    }
    Ok(())
}

/// A signal to init: it ignores them all, but not everybody may send one (kill_ok_by_cred() of Linux).
fn to_init() -> Result<()> {
    if [cred::real().0, cred::effective().0].contains(&0) || capable(cap::KILL) { Ok(()) } else { Err(Errno::EPERM) }
}

pub fn tkill(tid: Pid, signo: Signo) -> Result<()> {
    check_or_zero(signo.0)?;
    if tid.0 <= 0 {
        return Err(Errno::EINVAL);
    }
    send_to(tid.0, Info::user(signo.0, code::TKILL))
}

pub fn tgkill(pid: Pid, tid: Pid, signo: Signo) -> Result<()> {
    if pid.0 <= 0 {
        return Err(Errno::EINVAL);
    }
    if pid.0 != sched::PID as i32 {
        return Err(Errno::ESRCH);
    }
    tkill(tid, signo)
}

fn queued(signo: Signo, info: In<SigInfo>) -> Result<Info> {
    check_or_zero(signo.0)?;
    let mut b = [0; 128];
    user::copy_in(&mut b, info.address())?;
    Ok(Info { signo: signo.0, ..Info::from_bytes(&b) })
}

pub fn rt_sigqueueinfo(pid: Pid, signo: Signo, info: In<SigInfo>) -> Result<()> {
    let i = queued(signo, info)?;
    if pid.0 == thread::INIT as i32 {
        // Nobody may claim that the kernel or kill() sent it, but to itself.
        return if i.code >= 0 || i.code == code::TKILL { Err(Errno::EPERM) } else { to_init() };
    }
    if pid.0 != sched::PID as i32 {
        return Err(Errno::ESRCH);
    }
    if signo.0 != 0 {
        signal::post_process_info(i)?;
    }
    Ok(())
}

pub fn rt_tgsigqueueinfo(pid: Pid, tid: Pid, signo: Signo, info: In<SigInfo>) -> Result<()> {
    let i = queued(signo, info)?;
    if pid.0 != sched::PID as i32 {
        return Err(Errno::ESRCH);
    }
    send_to(tid.0, i)
}

pub fn signalfd4(fd: Fd, mask: In<SigSet>, size: usize, flags: SignalfdFlags) -> Result<usize> {
    check_size(size)?;
    only(flags, SignalfdFlags::all())?;
    let mask = user::read(mask)?;
    let fds = &libos_fs::files().fds;
    if fd == Fd(-1) {
        return fds.add(SignalFd::new(mask, flags)?, flags.contains(SignalfdFlags::CLOEXEC)).map(Fd::result);
    }
    let file = fds.get(fd)?;
    let s: &SignalFd = <dyn FileLike>::downcast(&*file).ok_or(Errno::EINVAL)?;
    s.set_mask(mask);
    Ok(fd.result())
}

pub fn signalfd(fd: Fd, mask: In<SigSet>, size: usize) -> Result<usize> {
    signalfd4(fd, mask, size, SignalfdFlags::empty())
}

/// Whether a wait of the running thread must end because of a signal (and not one that another thread took).
pub fn must_stop(t: &Thread) -> bool {
    t.is_program && t.signals.interrupts_park()
}
