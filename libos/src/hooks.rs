//! Clock hooks of `libos-base`. The others are answered beside what they ask for.

use crate::arch::clock;

#[unsafe(no_mangle)]
fn libos_monotonic_ns() -> u64 {
    clock::monotonic_ns()
}

#[unsafe(no_mangle)]
fn libos_realtime_ns() -> u64 {
    clock::realtime_ns()
}
