//! New threads, and the idle threads as which the CPUs start.

#[cfg(unibody_kernel)]
use super::cpu;
use super::this_cpu;
use super::thread::{Stack, Thread};
use super::urgency::BEYOND;
use super::{exit, hw, run, table};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::*;
use libos_base::Result;
use libos_base::time::monotonic_ns;

type Job = Box<dyn FnOnce() + Send>;

#[cfg(unibody_kernel)]
fn new_stack() -> Result<(Stack, (usize, usize))> {
    let s = crate::mm::kstack::alloc()?;
    let range = (s.bottom, s.top);
    Ok((s, range))
}
#[cfg(not(unibody_kernel))]
fn new_stack() -> Result<(Stack, (usize, usize))> {
    Err(libos_base::Errno::ENOMEM)
}

/// The function that a new thread starts in, with its argument.
type First = extern "C" fn(usize) -> !;

fn new_thread(tid: u32, is_program: bool) -> Result<Arc<Thread>> {
    let (stack, range) = new_stack()?;
    Thread::new(tid, is_program, Some(stack), range)
}

/// `argument` lies at the top of its stack; `first` is passed the address. It begins with the virtual runtime that its
/// creator has reached by now: with less, it would run until it has caught up with that, before its creator goes on.
fn start<A>(t: &Arc<Thread>, first: First, argument: A) {
    const { assert!(size_of::<A>().is_multiple_of(16)) };
    let at = t.stack_range.1 - size_of::<A>();
    // SAFETY: a fresh stack that only this thread will use.
    unsafe {
        (at as *mut A).write(argument);
        *t.saved_sp.get() = hw::prepare(at, first_run, [first as usize, at]);
    }
    if super::try_current().is_some() {
        let irq = hw::disable_interrupts();
        t.vruntime.store(this_cpu().run.lock().reached(monotonic_ns()), Relaxed);
        hw::restore_interrupts(irq);
    }
    t.last_cpu.store(hw::cpu_id() as u32, Relaxed);
    run::enqueue(t.clone());
}

/// Starts a kernel thread. ENOMEM, EAGAIN.
pub fn spawn_kernel(name: &str, f: impl FnOnce() + Send + 'static) -> Result<Arc<Thread>> {
    let job: Job = Box::new(f);
    let t = new_thread(table::new_tid(), false)?;
    t.set_name(name.as_bytes());
    table::insert(t.clone()).inspect_err(|_| exit::free_stack(&t))?;
    if let Some(beyond) = BEYOND.get() {
        (beyond.hurry)(&t, true);
    }
    start(&t, run_job, job);
    Ok(t)
}

/// Makes a thread of the program, which begins in `first` with the address of `argument`. It inherits the mask, policy,
/// nice value, affinity and name of the running one; `prepare` may change it before it runs.
pub fn spawn_program<A>(
    tid: Option<u32>,
    first: First,
    argument: A,
    tls: usize,
    prepare: impl FnOnce(&Thread) -> Result<()>,
) -> Result<Arc<Thread>> {
    let t = new_thread(tid.unwrap_or_else(table::new_tid), true)?;
    t.tls.store(tls, Relaxed);
    if let Some(me) = super::try_current() {
        t.set_name(&me.name());
        t.affinity.store(if me.is_program { me.affinity() } else { u64::MAX }, Relaxed);
        t.urgency.inherit(&me.urgency);
        t.signals.set_blocked(me.signals.blocked());
    }
    let placed = prepare(&t).and_then(|()| table::insert(t.clone()));
    placed.inspect_err(|_| exit::free_stack(&t))?;
    // A thread that is cloned while the others are being stopped stops too.
    t.signals.killed.store(exit::exiting(), SeqCst);
    start(&t, first, argument);
    Ok(t)
}

/// The first Rust code of a new thread, with interrupts off.
extern "C" fn first_run(first: usize, argument: usize) -> ! {
    run::finish();
    hw::restore_interrupts(true);
    // SAFETY: a `First`, from `start`.
    let first: First = unsafe { core::mem::transmute(first) };
    first(argument)
}

extern "C" fn run_job(argument: usize) -> ! {
    // SAFETY: `start` put it there for this thread alone.
    let job = unsafe { (argument as *mut Job).read() };
    job();
    exit::exit_thread()
}

/// Sets up the boot CPU, on the boot stack: after this, threads can be made; they run once `idle` is called. `stack`:
/// its bottom and top.
#[cfg(unibody_kernel)]
pub fn init(stack: (usize, usize)) -> Result<()> {
    let idle = Thread::new(0, false, None, stack)?;
    idle.set_name(b"idle");
    cpu::add(0, idle)?;
    enter_cpu(0);
    Ok(())
}

/// Prepares a CPU that is about to be started; returns the top of the stack to start it on.
#[cfg(unibody_kernel)]
pub fn prepare_cpu(id: usize) -> Option<usize> {
    let (stack, range) = new_stack().ok()?;
    let idle = Thread::new(0, false, Some(stack), range).ok()?;
    idle.set_name(b"idle");
    idle.last_cpu.store(id as u32, Relaxed);
    cpu::add(id, idle).ok()?;
    Some(range.1)
}

/// Runs threads forever on a CPU that was started, on the stack from `prepare_cpu`.
#[cfg(unibody_kernel)]
pub fn run_cpu(id: usize) -> ! {
    enter_cpu(id);
    super::idle(id)
}

/// Makes the caller this CPU's idle thread.
#[cfg(unibody_kernel)]
fn enter_cpu(id: usize) {
    let cpu = super::cpu(id).expect("added");
    let idle = cpu.run.lock().idle.clone();
    idle.on_cpu.store(true, SeqCst);
    let head = hw::head();
    head.kstack_bottom.store(idle.stack_range.0, Relaxed);
    head.kstack_top.store(idle.stack_range.1, Relaxed);
    // The run queue keeps it alive.
    head.current.store(Arc::as_ptr(&idle) as usize, Relaxed);
    cpu::enter(cpu);
}
