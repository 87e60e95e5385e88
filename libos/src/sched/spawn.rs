//! New threads, and the idle threads that the CPUs start as.

#[cfg(unibody_kernel)]
use super::cpu;
use super::thread::{Stack, Thread};
use super::{exit, hw, run, switch, table};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::*;
use libos_base::sync::WaitQueue;
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

type Job = Box<dyn FnOnce() + Send>;

/// Waits for kernel threads that end.
pub(super) static FINISHED: WaitQueue = WaitQueue::new();

/// A kernel thread that was started.
pub struct JoinHandle(Arc<Thread>);

impl JoinHandle {
    /// The thread.
    pub fn thread(&self) -> &Arc<Thread> {
        &self.0
    }
    /// Waits until it has ended.
    pub fn join(&self) {
        let done = || self.0.finished.load(SeqCst).then_some(());
        // Not interruptible and without a deadline, so it cannot fail.
        let _ = FINISHED.wait(FOREVER, false, done);
    }
}

#[cfg(unibody_kernel)]
fn new_stack() -> Result<(Stack, (usize, usize))> {
    let s = crate::mm::kstack::alloc()?;
    let range = (s.bottom, s.top);
    Ok((s, range))
}
#[cfg(not(unibody_kernel))]
fn new_stack() -> Result<(Stack, (usize, usize))> {
    Err(Errno::ENOMEM)
}

/// What a new thread does first.
const KERNEL: usize = 0;
const PROGRAM: usize = 1;

fn new_thread(tid: u32, is_program: bool, argument: usize) -> Result<Arc<Thread>> {
    let (stack, range) = new_stack()?;
    let t = Thread::new(tid, is_program, Some(stack), range)?;
    // SAFETY: a fresh stack that only this thread will use.
    unsafe { *t.saved_rsp.get() = switch::prepare(range.1, if is_program { PROGRAM } else { KERNEL }, argument) };
    Ok(t)
}

fn start(t: &Arc<Thread>) {
    if let Some(me) = super::try_current() {
        t.vruntime.store(me.vruntime.load(Relaxed), Relaxed);
    }
    t.last_cpu.store(hw::cpu_id() as u32, Relaxed);
    run::enqueue(t.clone());
}

/// Starts a kernel thread. ENOMEM, EAGAIN.
pub fn spawn_kernel(name: &str, f: impl FnOnce() + Send + 'static) -> Result<JoinHandle> {
    let job: Job = Box::new(f);
    let argument = Box::into_raw(Box::new(job));
    let made = new_thread(table::new_tid(), false, argument as usize).and_then(|t| {
        t.set_name(name.as_bytes());
        table::insert(t.clone()).inspect_err(|_| exit::free_stack(&t))?;
        Ok(t)
    });
    match made {
        Ok(t) => {
            start(&t);
            Ok(JoinHandle(t))
        }
        Err(e) => {
            // SAFETY: made above; no thread got it.
            drop(unsafe { Box::from_raw(argument) });
            Err(e)
        }
    }
}

/// A new thread of the program that begins with `regs`. It inherits the mask, nice value, affinity and name of the
/// running one; `prepare` may change it before it runs.
#[cfg(unibody_kernel)]
pub fn clone_program_thread(
    tid: Option<u32>,
    regs: hw::frame::TrapFrame,
    fs_base: usize,
    prepare: impl FnOnce(&Thread) -> Result<()>,
) -> Result<Arc<Thread>> {
    let argument = Box::into_raw(Box::new(regs));
    let made = new_thread(tid.unwrap_or_else(table::new_tid), true, argument as usize).and_then(|t| {
        t.fs_base.store(fs_base, Relaxed);
        if let Some(me) = super::try_current() {
            t.set_name(&me.name());
            t.affinity.store(if me.is_program { me.affinity() } else { u64::MAX }, Relaxed);
            t.nice.store(me.nice(), Relaxed);
            t.signals.set_blocked(me.signals.blocked());
        }
        let placed = prepare(&t).and_then(|()| table::insert(t.clone()));
        placed.inspect_err(|_| exit::free_stack(&t))?;
        Ok(t)
    });
    match made {
        Ok(t) => {
            // One that was cloned while the others are being stopped stops too.
            t.signals.killed.store(exit::exiting(), SeqCst);
            start(&t);
            Ok(t)
        }
        Err(e) => {
            // SAFETY: made above; no thread got it.
            drop(unsafe { Box::from_raw(argument) });
            Err(if e == Errno::ENOMEM { Errno::EAGAIN } else { e })
        }
    }
}

/// Starts the program's main thread at `entry` with stack pointer `sp` (rdx = 0), as the kernel's ELF loader would.
#[cfg(unibody_kernel)]
pub fn start_program_main(entry: usize, sp: usize) -> Result<()> {
    use crate::arch::frame::{RFLAGS_FIXED, RFLAGS_IF, TrapFrame};
    let regs = TrapFrame { rip: entry as u64, rsp: sp as u64, rflags: RFLAGS_IF | RFLAGS_FIXED, ..program_segments() };
    clone_program_thread(Some(super::PID), regs, 0, |t| {
        t.set_name(b"main");
        Ok(())
    })
    .map(|_| ())
}

/// A frame whose segment registers are right and whose others are 0.
#[cfg(unibody_kernel)]
pub(crate) fn program_segments() -> hw::frame::TrapFrame {
    let none = hw::frame::SyscallFrame {
        r15: 0,
        r14: 0,
        r13: 0,
        r12: 0,
        rbp: 0,
        rbx: 0,
        args: [0; 6],
        nr: 0,
        rip: 0,
        rsp: 0,
        pad: 0,
    };
    hw::frame::TrapFrame::of_syscall(&none, 0)
}

/// The first Rust code of a new thread, called by `libos_thread_start` with interrupts off.
#[cfg(unibody_kernel)]
pub(super) extern "C" fn first_run(function: usize, argument: usize) -> ! {
    run::finish();
    hw::restore_interrupts(true);
    if function == PROGRAM {
        // SAFETY: made by `clone_program_thread` for this thread alone.
        let regs = *unsafe { Box::from_raw(argument as *mut hw::frame::TrapFrame) };
        super::work::enter_program(regs, None)
    }
    // SAFETY: made by `spawn_kernel` for this thread alone.
    let job = *unsafe { Box::from_raw(argument as *mut Job) };
    job();
    exit::exit_thread()
}

/// The boot CPU's part, on the boot stack: after this threads can be made; they run once `idle` is called.
pub fn init() -> Result<()> {
    #[cfg(unibody_kernel)]
    {
        unsafe extern "C" {
            static LIBOS_BOOT_STACK: u8;
            static LIBOS_BOOT_STACK_END: u8;
        }
        let range = (&raw const LIBOS_BOOT_STACK as usize, &raw const LIBOS_BOOT_STACK_END as usize);
        let idle = Thread::new(0, false, None, range)?;
        idle.set_name(b"idle");
        cpu::add(0, idle)?;
        enter_cpu(0);
    }
    Ok(())
}

/// Prepares a CPU that is about to be started; the top of the stack that it is to start on.
#[cfg(unibody_kernel)]
pub fn prepare_cpu(id: usize) -> Option<usize> {
    let (stack, range) = new_stack().ok()?;
    let idle = Thread::new(0, false, Some(stack), range).ok()?;
    idle.set_name(b"idle");
    idle.last_cpu.store(id as u32, Relaxed);
    cpu::add(id, idle).ok()?;
    Some(range.1)
}

/// A started CPU, on the stack from `prepare_cpu`: runs threads for ever.
#[cfg(unibody_kernel)]
pub fn run_cpu(id: usize) -> ! {
    enter_cpu(id);
    super::idle(id)
}

/// Makes the caller this CPU's idle thread.
#[cfg(unibody_kernel)]
fn enter_cpu(id: usize) {
    let idle = super::cpu(id).expect("added").run.lock().idle.clone();
    idle.on_cpu.store(true, SeqCst);
    let head = hw::head();
    head.kstack_bottom.store(idle.stack_range.0, Relaxed);
    head.kstack_top.store(idle.stack_range.1, Relaxed);
    // The run queue keeps it alive.
    head.current.store(Arc::as_ptr(&idle) as usize, Relaxed);
    cpu::set_online(id);
}
