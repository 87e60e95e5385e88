//! Threads: creation, end.

use super::scheduling::target;
use crate::arch::{self, TrapFrame};
use crate::futex::{self, Spot, op};
use crate::sched::{self, Thread, current};
use crate::{entry, exit};
use core::sync::atomic::{AtomicI32, Ordering::*};
use libos_base::abi::{Address, ArchPrctlCode, CloneFlags, MembarrierCommand, MembarrierFlags, Out, Pid};
use libos_base::{Errno, Result, user};

/// The flags that make a thread of this process rather than another process.
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
        // Both words are in the one address space, and must be there before either thread continues.
        if flags.contains(CloneFlags::PARENT_SETTID) {
            user::write(parent_tid, &(t.tid as i32))?;
        }
        if flags.contains(CloneFlags::CHILD_SETTID) {
            user::write(child_tid, &(t.tid as i32))?;
        }
        Ok(())
    };
    entry::clone_thread(None, regs, tls_pointer, prepare).map(|t| t.tid as usize)
}

/// Does what the kernel does with program memory when a thread ends, then ends it.
fn end(status: i32) -> ! {
    let me = current();
    let robust = me.robust_list.swap(0, Relaxed);
    if robust != 0 {
        futex::robust::thread_ends(robust, me.tid);
    }
    if let Some(pi) = futex::PI.get() {
        (pi.thread_ends)(me);
    }
    let word = me.clear_child_tid.swap(0, Relaxed);
    // Nobody waits on a word that is gone.
    if word != 0 && user::write(Out::new(word), &0u32).is_ok() {
        let _ = futex::wake_one(Spot::of(word, true), op::ANY);
    }
    exit::thread(status)
}

/// Ends this thread.
pub fn exit(status: i32) -> Result<usize> {
    end(status)
}

/// Ends the program.
pub fn exit_group(status: i32) -> Result<usize> {
    exit::group(status & 0xff)
}

/// libc's `__unmapself`: gives up the stack that the caller was on, and ends.
extern "C" fn unmapself(base: usize, size: usize) -> isize {
    // If it cannot be unmapped it stays, which does no harm.
    let _ = super::memory::munmap(Address(base), size);
    end(0)
}

crate::syscall_stub!(unmapself unmapself);

pub fn set_tid_address(addr: Address) -> Result<usize> {
    current().clear_child_tid.store(addr.0, Relaxed);
    gettid()
}

pub fn gettid() -> Result<usize> {
    Ok(current().tid as usize)
}

pub fn set_robust_list(head: Address, size: usize) -> Result<()> {
    if size != futex::robust::HEAD_SIZE {
        return Err(Errno::EINVAL);
    }
    current().robust_list.store(head.0, Relaxed);
    Ok(())
}

pub fn get_robust_list(tid: Pid, head: Out<u64>, size: Out<u64>) -> Result<()> {
    let t = target(tid.0)?;
    user::write(size, &(futex::robust::HEAD_SIZE as u64))?;
    user::write(head, &(t.robust_list.load(Relaxed) as u64))
}

/// `arch_prctl`: FS belongs to the program, GS to the kernel.
pub fn arch_prctl(code: ArchPrctlCode, addr: Address) -> Result<()> {
    match code {
        ArchPrctlCode::SET_FS if addr.0 < libos_base::layout::PROGRAM_END => current().set_own_tls(addr.0),
        ArchPrctlCode::SET_FS | ArchPrctlCode::SET_GS => return Err(Errno::EPERM),
        ArchPrctlCode::GET_FS => user::write(addr.to(), &current().tls())?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}

pub fn getcpu(cpu: Out<u32>, node: Out<u32>, _cache: Address) -> Result<()> {
    user::write_opt(cpu, &(current().cpu() as u32))?;
    user::write_opt(node, &0u32)
}

/// What the process has registered for (MEMBARRIER_CMD_REGISTER_*).
static REGISTERED: AtomicI32 = AtomicI32::new(0);

/// `membarrier`: every CPU that runs the program passes a full barrier. There is one process, so what is meant for all of
/// them and what is meant for this one are the same.
pub fn membarrier(command: MembarrierCommand, flags: MembarrierFlags, _cpu: i32) -> Result<usize> {
    use MembarrierCommand as C;
    /// MEMBARRIER_CMD_GET_REGISTRATIONS, which not all headers have.
    const GET_REGISTRATIONS: C = C(0x200);
    const ALL: [C; 6] = [
        C::GLOBAL,
        C::GLOBAL_EXPEDITED,
        C::REGISTER_GLOBAL_EXPEDITED,
        C::PRIVATE_EXPEDITED,
        C::REGISTER_PRIVATE_EXPEDITED,
        GET_REGISTRATIONS,
    ];
    if flags != MembarrierFlags::empty() {
        return Err(Errno::EINVAL);
    }
    match command {
        C::QUERY => return Ok(ALL.iter().fold(0, |all, c| all | c.0) as usize),
        GET_REGISTRATIONS => return Ok(REGISTERED.load(Relaxed) as usize),
        C::REGISTER_GLOBAL_EXPEDITED | C::REGISTER_PRIVATE_EXPEDITED => {
            REGISTERED.fetch_or(command.0, Relaxed);
        }
        C::PRIVATE_EXPEDITED if REGISTERED.load(Relaxed) & C::REGISTER_PRIVATE_EXPEDITED.0 == 0 => {
            return Err(Errno::EPERM);
        }
        C::GLOBAL | C::GLOBAL_EXPEDITED | C::PRIVATE_EXPEDITED => sched::barrier_everywhere(),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}
