//! Monotonic time from the counter that every processor has (here the time stamp counter); wall time from the clock read at boot.

use super::cpu::rdtsc;
use super::extable::fixup;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::Errno;
use libos_base::abi::ClockId;
use libos_base::layout::PROGRAM_END;

/// Nanoseconds per tick and ticks per nanosecond, 32.32 fixed point; 0 before `init`.
static SCALE: AtomicU64 = AtomicU64::new(0);
static TICKS: AtomicU64 = AtomicU64::new(0);
static START: AtomicU64 = AtomicU64::new(0);
static HZ: AtomicU64 = AtomicU64::new(0);
/// Wall time minus monotonic time, ns.
static WALL_OFFSET: AtomicU64 = AtomicU64::new(0);

/// Monotonic time until which the wall clock needs no check; see `timer::wallclock`.
static CHECKED_UNTIL: AtomicU64 = AtomicU64::new(0);

// clock_gettime for the monotonic and the wall clock, into memory that is surely the program's (`mm::image`): the call
// itself, on the program's stack (see `syscall::leaf`). Everything else, and a wall clock that is to be checked, goes to
// the leaf in Rust.
global_asm!(
    r#"
    .macro libos_clock_read              # RAX: nanoseconds since the start
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, [rip + {start}]
    js libos_leaf_228
    mul qword ptr [rip + {scale}]
    shrd rax, rdx, 32
    .endm

    .section .text.libos_clock_gettime,"ax",@progbits
    .globl libos_clock_gettime
libos_clock_gettime:
    cmp edi, {monotonic}
    jne 3f
    libos_clock_read
.Lclock_store:
    lea rcx, [rip + __data_start]
    cmp rsi, rcx
    jb libos_leaf_228
    movabs rcx, {last}
    cmp rsi, rcx
    ja libos_leaf_228
    mov rcx, rax
    shr rax, 9                           # by 10^9, as compilers divide
    movabs rdx, 0x44b82fa09b5a53
    mul rdx
    shr rdx, 11
    imul rax, rdx, 1000000000
    sub rcx, rax
.Lclock_seconds:
    mov [rsi], rdx
.Lclock_rest:
    mov [rsi + 8], rcx
    xor eax, eax
    ret
3:  test edi, edi
    jne libos_leaf_228
    libos_clock_read
    cmp rax, [rip + {checked}]
    jae libos_leaf_228
    add rax, [rip + {wall}]
    jmp .Lclock_store
.Lclock_fault:
    mov rax, -{efault}
    ret
"#,
    fixup!("libos_clock_gettime", ".Lclock_seconds", ".Lclock_fault"),
    fixup!("libos_clock_gettime", ".Lclock_rest", ".Lclock_fault"),
    ".text",
    efault = const Errno::EFAULT as i32,
    start = sym START,
    scale = sym SCALE,
    checked = sym CHECKED_UNTIL,
    wall = sym WALL_OFFSET,
    monotonic = const ClockId::MONOTONIC.0,
    last = const PROGRAM_END - 16,
);

unsafe extern "C" {
    /// The leaf call, in assembly.
    pub fn libos_clock_gettime();
}

/// Monotonic time until which the wall clock needs no check.
pub fn checked_until() -> u64 {
    CHECKED_UNTIL.load(Ordering::Relaxed)
}

/// Sets it.
pub fn set_checked_until(ns: u64) {
    CHECKED_UNTIL.store(ns, Ordering::Relaxed);
}

/// Starts the clock. `hz`: ticks of the counter per second; `wall_ns`: nanoseconds since 1970 now.
pub fn init(hz: u64, wall_ns: u64) {
    START.store(rdtsc(), Ordering::Relaxed);
    HZ.store(hz, Ordering::Relaxed);
    SCALE.store(((1_000_000_000u128 << 32) / hz as u128) as u64, Ordering::Relaxed);
    TICKS.store((((hz as u128) << 32) / 1_000_000_000) as u64, Ordering::Relaxed);
    WALL_OFFSET.store(wall_ns, Ordering::Relaxed);
}

/// Nanoseconds since `init`.
#[inline]
pub fn monotonic_ns() -> u64 {
    at(rdtsc())
}

#[inline]
fn at(tsc: u64) -> u64 {
    let ticks = tsc.wrapping_sub(START.load(Ordering::Relaxed));
    // A CPU whose counter lags the boot CPU's by a little must not see time before the start.
    if (ticks as i64) < 0 { 0 } else { scaled(ticks, &SCALE) }
}

/// By a factor in 32.32 fixed point.
#[inline]
fn scaled(v: u64, by: &AtomicU64) -> u64 {
    ((v as u128 * by.load(Ordering::Relaxed) as u128) >> 32) as u64
}

/// Nanoseconds since 1970.
pub fn realtime_ns() -> u64 {
    realtime_at(monotonic_ns())
}

/// The wall clock's time at a monotonic time, as it is set now.
pub fn realtime_at(monotonic: u64) -> u64 {
    monotonic.wrapping_add(WALL_OFFSET.load(Ordering::Relaxed))
}

/// Sets the wall clock. Ordered before anything that the caller does afterwards; see `timer::wall`.
pub fn set_realtime_ns(ns: u64) {
    WALL_OFFSET.store(ns.wrapping_sub(monotonic_ns()), Ordering::SeqCst);
}

/// Moves the wall clock by `by` nanoseconds. Ordered as above.
pub fn step_realtime_ns(by: i64) {
    WALL_OFFSET.fetch_add(by as u64, Ordering::SeqCst);
}

/// Ticks per second.
pub fn hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// The counter value at `ns`, or shortly after it. Counted from now, so that rounding does not add up over the days.
pub(super) fn tsc_at(ns: u64) -> u64 {
    /// Further away than this, something else comes first.
    const FAR: u64 = 1 << 40;
    let tsc = rdtsc();
    let left = ns.saturating_sub(at(tsc)).min(FAR);
    tsc.wrapping_add(scaled(left, &TICKS) + 2)
}

/// The counter itself, for values that must differ each time.
pub fn counter() -> u64 {
    rdtsc()
}
