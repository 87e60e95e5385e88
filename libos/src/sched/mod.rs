//! Threads and processors: per-CPU run queues with stealing, preemption, parking, timers.
//! Floor: threads.
//!
//! A thread is in exactly one of three places: running (its CPU's `Runner::current`), in one run queue, or parked
//! (held by the thread table and by whatever will unpark it). Whichever party moves its state from parked to runnable
//! ([`state`]) enqueues it, so it is enqueued once. A thread that is still on its stack (`on_cpu`) is enqueued
//! on that CPU and is not stolen, so no CPU ever runs a stack that another one has not left.
//!
//! All locks here are `IrqSpinLock`s; under them nothing allocates but the heap's own vectors.

mod cpu;
mod exit;
mod heap;
#[cfg_attr(not(unibody_kernel), path = "tests/hw.rs")]
mod hw;
mod idle;
pub mod load;
pub mod park;
mod queue;
mod realtime;
mod run;
mod spawn;
pub mod state;
mod table;
mod thread;
pub mod timer;
mod urgency;

pub use cpu::{cpu_times, online_mask};
pub use exit::{begin_exit, exit_thread, leave_program, stop_others};
pub use idle::idle;
pub use libos_base::thread::PID;
pub use park::Unpark;
pub use queue::SLICE_NS;
pub use realtime::{TURN_NS, set as set_urgency};
pub use run::{barrier_everywhere, is_wanted, on_reschedule_ipi, preempt, preempt_from_interrupt, yield_now};
#[cfg(unibody_kernel)]
pub use spawn::{init, prepare_cpu, run_cpu};
pub use spawn::{spawn_kernel, spawn_program};
pub use table::{find, for_each_thread, process_cpu_ns, process_usage, program_threads};
pub use thread::{Thread, current, current_arc, describe_current, try_current};
pub use urgency::{Setting, lend};

pub(crate) use cpu::{cpu, idle_mask, this_cpu};
#[cfg(unibody_kernel)]
pub(crate) use run::resched_if_due;
pub(crate) use run::{migrate_now, poke, slice_ended};
