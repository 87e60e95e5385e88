//! Threads: creation, end, scheduling, futex.

use crate::arch::{self, TrapFrame};
use crate::futex::{self, op};
use crate::sched::{self, Thread, current};
use crate::timer::wall::{Line, When};
use crate::{entry, exit};
use alloc::sync::Arc;
use core::sync::atomic::Ordering::*;
use libos_base::abi::{Address, CloneFlags, Out, Timespec};
use libos_base::{Errno, Result, user};

/// What makes a thread of this process and not another process.
const THREAD: CloneFlags =
    CloneFlags::VM.union(CloneFlags::FS).union(CloneFlags::FILES).union(CloneFlags::SIGHAND).union(CloneFlags::THREAD);
const KNOWN: CloneFlags = THREAD
    .union(CloneFlags::SYSVSEM)
    .union(CloneFlags::SETTLS)
    .union(CloneFlags::PARENT_SETTID)
    .union(CloneFlags::CHILD_CLEARTID)
    .union(CloneFlags::DETACHED)
    .union(CloneFlags::CHILD_SETTID);

/// `clone`: threads only. The child returns 0 from the same call on its own stack.
pub fn clone(
    flags: CloneFlags,
    stack: Address,
    parent_tid: Out<i32>,
    child_tid: Out<i32>,
    tls: Address,
) -> Result<usize> {
    if !flags.contains(THREAD) {
        super::refused::in_vm(56, "clone", Errno::ENOSYS, "there is one process; threads work, processes do not");
        return Err(Errno::ENOSYS);
    }
    if !KNOWN.contains(flags) || stack.0 == 0 {
        return Err(Errno::EINVAL);
    }
    if !super::process::may_have_thread() {
        return Err(Errno::EAGAIN);
    }
    // SAFETY: the thread is in this call, so its frame is there and nobody changes it.
    let mut regs = TrapFrame::of_syscall(unsafe { &*arch::syscall::frame() }, 0);
    regs.set_sp(stack.0);
    let tls_pointer = if flags.contains(CloneFlags::SETTLS) { tls.0 } else { current().tls() };
    let prepare = |t: &Thread| {
        if flags.contains(CloneFlags::CHILD_CLEARTID) {
            t.clear_child_tid.store(child_tid.address(), Relaxed);
        }
        // Both words are in the one address space, and must be there before either side runs on.
        if flags.contains(CloneFlags::PARENT_SETTID) {
            user::write(parent_tid.address(), &t.tid)?;
        }
        if flags.contains(CloneFlags::CHILD_SETTID) {
            user::write(child_tid.address(), &t.tid)?;
        }
        Ok(())
    };
    entry::clone_thread(None, regs, tls_pointer, prepare).map(|t| t.tid as usize)
}

/// What the kernel does with program memory when a thread ends, then its end.
fn end(status: i32) -> ! {
    let me = current();
    let robust = me.robust_list.swap(0, Relaxed);
    if robust != 0 {
        futex::robust::thread_ends(robust, me.tid);
    }
    let word = me.clear_child_tid.swap(0, Relaxed);
    // A word that is gone is not waited for.
    if word != 0 && user::write(word, &0u32).is_ok() {
        let _ = futex::wake(word, 1, op::ANY);
    }
    exit::thread(status)
}

/// `exit`: this thread.
pub fn exit(status: i32) -> Result<usize> {
    end(status)
}

/// `exit_group`: the program.
pub fn exit_group(status: i32) -> Result<usize> {
    exit::group(status & 0xff)
}

/// libc's `__unmapself`: gives up the stack that the caller stood on, and ends.
extern "C" fn unmapself(base: usize, size: usize) -> isize {
    // If it cannot be unmapped it stays, which harms nobody.
    let _ = super::memory::munmap(base, size);
    end(0)
}

crate::syscall_stub!(unmapself unmapself);

/// `set_tid_address`.
pub fn set_tid_address(addr: usize) -> Result<usize> {
    current().clear_child_tid.store(addr, Relaxed);
    gettid()
}

/// `gettid`.
pub fn gettid() -> Result<usize> {
    Ok(current().tid as usize)
}

/// The thread that a scheduling call means: 0 is the caller. Kernel threads are not the program's to see.
fn target(tid: i32) -> Result<Arc<Thread>> {
    match u32::try_from(tid).map_err(|_| Errno::EINVAL)? {
        0 => Ok(sched::current_arc()),
        tid => sched::find(tid).filter(|t| t.is_program).ok_or(Errno::ESRCH),
    }
}

/// `sched_yield`.
pub fn sched_yield() -> Result<usize> {
    sched::yield_now();
    Ok(0)
}

/// `sched_setaffinity`.
pub fn sched_setaffinity(tid: i32, size: usize, mask: usize) -> Result<usize> {
    let t = target(tid)?;
    let mut b = [0u8; 8];
    let n = size.min(8);
    user::copy_in(&mut b[..n], mask)?;
    let wanted = u64::from_le_bytes(b) & sched::online_mask();
    if wanted == 0 {
        return Err(Errno::EINVAL);
    }
    t.set_affinity(wanted);
    Ok(0)
}

/// `sched_getaffinity`: how many bytes were written.
pub fn sched_getaffinity(tid: i32, size: usize, mask: usize) -> Result<usize> {
    let t = target(tid)?;
    if size < 8 || !size.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    user::write(mask, &(t.affinity() & sched::online_mask()))?;
    Ok(8)
}

const SCHED_OTHER: i32 = 0;

/// `sched_getscheduler`.
pub fn sched_getscheduler(tid: i32) -> Result<usize> {
    target(tid).map(|_| SCHED_OTHER as usize)
}

/// `sched_setscheduler`: there is one policy.
pub fn sched_setscheduler(tid: i32, policy: i32, param: usize) -> Result<usize> {
    target(tid)?;
    let priority: i32 = user::read(param)?;
    match (policy, priority) {
        (SCHED_OTHER, 0) => Ok(0),
        // SCHED_FIFO, RR, BATCH, IDLE exist on Linux; here a program may not have them.
        (1..=3 | 5, _) => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// `sched_getparam`.
pub fn sched_getparam(tid: i32, param: usize) -> Result<usize> {
    target(tid)?;
    user::write(param, &0i32)?;
    Ok(0)
}

/// `sched_setparam`: the only priority of the only policy is 0.
pub fn sched_setparam(tid: i32, param: usize) -> Result<usize> {
    target(tid)?;
    if user::read::<i32>(param)? == 0 { Ok(0) } else { Err(Errno::EINVAL) }
}

/// `sched_get_priority_max` and `_min`: as Linux, for the policies that it knows.
pub fn sched_get_priority_max(policy: i32) -> Result<usize> {
    match policy {
        // SCHED_DEADLINE and SCHED_EXT (6, 7) have none either.
        0 | 3 | 5..=7 => Ok(0),
        1 | 2 => Ok(99),
        _ => Err(Errno::EINVAL),
    }
}

/// See [`sched_get_priority_max`].
pub fn sched_get_priority_min(policy: i32) -> Result<usize> {
    sched_get_priority_max(policy).map(|max| (max != 0) as usize)
}

/// `sched_rr_get_interval`: the time slice.
pub fn sched_rr_get_interval(tid: i32, interval: usize) -> Result<usize> {
    target(tid)?;
    user::write(interval, &Timespec::from_ns(sched::SLICE_NS))?;
    Ok(0)
}

/// `set_robust_list`.
pub fn set_robust_list(head: usize, size: usize) -> Result<usize> {
    if size != futex::robust::HEAD_SIZE {
        return Err(Errno::EINVAL);
    }
    current().robust_list.store(head, Relaxed);
    Ok(0)
}

/// `get_robust_list`.
pub fn get_robust_list(tid: i32, head: usize, size: usize) -> Result<usize> {
    let t = target(tid)?;
    user::write(size, &futex::robust::HEAD_SIZE)?;
    user::write(head, &t.robust_list.load(Relaxed))?;
    Ok(0)
}

/// `futex`. The fourth argument is a time-out or a count, by operation.
pub fn futex(addr: usize, operation: u32, val: u32, timeout: usize, addr2: usize, val3: u32) -> Result<usize> {
    use op::{Deadline, Op};
    let (op, when) = op::decode(operation, val3)?;
    match op {
        Op::Wait { bitset } => {
            let deadline = if timeout == 0 {
                When::NEVER
            } else {
                let ns = user::read::<Timespec>(timeout)?.to_ns()?;
                match when {
                    Deadline::Relative => When::after(ns),
                    Deadline::Monotonic => When { ns, line: Line::Monotonic },
                    Deadline::Realtime => When { ns, line: Line::Wall },
                }
            };
            futex::wait(addr, val, bitset, deadline)
        }
        Op::Wake { bitset } => futex::wake(addr, val as i32, bitset),
        Op::Requeue { compare } => futex::requeue(addr, addr2, val as i32, timeout as i32, compare.then_some(val3)),
        Op::WakeOp => futex::wake_op(addr, addr2, val as i32, timeout as i32, val3),
    }
}

const ARCH_SET_GS: i32 = 0x1001;
const ARCH_SET_FS: i32 = 0x1002;
const ARCH_GET_FS: i32 = 0x1003;

/// `arch_prctl`: FS is the program's; GS is the kernel's.
pub fn arch_prctl(code: i32, addr: usize) -> Result<usize> {
    match code {
        ARCH_SET_FS if addr < libos_base::layout::PROGRAM_END => current().set_own_tls(addr),
        ARCH_SET_FS | ARCH_SET_GS => return Err(Errno::EPERM),
        ARCH_GET_FS => user::write(addr, &current().tls())?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// `getcpu`.
pub fn getcpu(cpu: usize, node: usize, _cache: usize) -> Result<usize> {
    user::write_opt(cpu, &(current().cpu() as u32))?;
    user::write_opt(node, &0u32)?;
    Ok(0)
}

const MEMBARRIER_QUERY: i32 = 0;
const MEMBARRIER_PRIVATE_EXPEDITED: i32 = 1 << 3;
const MEMBARRIER_REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

/// `membarrier`: every CPU that runs the program passes a full barrier.
pub fn membarrier(command: i32, flags: u32, _cpu: i32) -> Result<usize> {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        MEMBARRIER_QUERY => Ok((MEMBARRIER_PRIVATE_EXPEDITED | MEMBARRIER_REGISTER_PRIVATE_EXPEDITED) as usize),
        MEMBARRIER_REGISTER_PRIVATE_EXPEDITED => Ok(0),
        MEMBARRIER_PRIVATE_EXPEDITED => {
            sched::barrier_everywhere();
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
