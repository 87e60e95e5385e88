//! Clock and thread hooks of `libos-base`. The others are answered beside what they ask for.

use crate::arch::clock;
use libos_base::thread::Job;

#[unsafe(no_mangle)]
fn libos_monotonic_ns() -> u64 {
    clock::monotonic_ns()
}

#[unsafe(no_mangle)]
fn libos_realtime_ns() -> u64 {
    clock::realtime_ns()
}

#[unsafe(no_mangle)]
fn libos_spawn(name: &'static str, f: Job) -> libos_base::Result<()> {
    crate::sched::spawn_kernel(name, f).map(|_| ())
}
