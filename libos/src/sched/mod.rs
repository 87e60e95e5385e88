//! Threads and processors: per-CPU run queues with stealing, preemption, parking.
//!
//! A thread is in exactly one of three places: running (its CPU's `Runner::current`), in one run queue, or parked
//! (held by the thread table and by whatever will unpark it). Whoever moves its state from parked to runnable
//! ([`state`]) enqueues it, so it is enqueued once. A thread that still stands on its stack (`on_cpu`) is enqueued
//! where it stands and is not stolen, so no CPU ever runs a stack that another one has not left.
//!
//! Its locks are `IrqSpinLock`s; under them nothing allocates but the heap's own vectors.
#![cfg_attr(not(unibody_kernel), allow(dead_code, reason = "host builds test the logic and never switch threads"))]

mod cpu;
mod exit;
mod hw;
mod idle;
pub mod park;
mod queue;
mod run;
mod spawn;
pub mod state;
mod switch;
mod table;
mod thread;
#[cfg(unibody_kernel)]
mod work;

pub use cpu::{MAX_CPUS, cpu_times, online_mask};
pub use exit::{exit_process, exit_program_thread, exit_thread, exiting, stop_others};
pub use idle::idle;
pub use park::Unpark;
pub use queue::SLICE_NS;
pub use run::{barrier_everywhere, on_reschedule_ipi, preempt, preempt_from_interrupt, yield_now};
pub use spawn::{JoinHandle, init, spawn_kernel};
#[cfg(unibody_kernel)]
pub use spawn::{clone_program_thread, prepare_cpu, run_cpu, start_program_main};
pub use table::{find, for_each_thread, process_cpu_ns, program_threads};
pub use thread::{Affinity, Thread, ThreadName, current, current_arc, describe_current, try_current};
#[cfg(unibody_kernel)]
pub use work::{ExitContext, SyscallExit, exit_work, on_fault};

pub(crate) use cpu::{cpu, this_cpu};
#[cfg(unibody_kernel)]
pub(crate) use hw::call_frame;
pub(crate) use hw::may_switch;
pub(crate) use run::{migrate_now, poke, slice_ended};
#[cfg(unibody_kernel)]
pub(crate) use spawn::program_segments;
#[cfg(unibody_kernel)]
pub(crate) use work::{enter_program, restart_code};

/// The process id: the one program thread group. The main thread has the same number.
pub const PID: u32 = 1;
