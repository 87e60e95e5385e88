//! Planted faults: with boot parameter `plant=NAME`, the program's first call, or an interrupt, commits one.
//! The functions are small and separate so that backtraces show them (`tests/harness/src/checked.rs` looks).

use core::hint::black_box;
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
use libos_base::abi::In;
use libos_base::layout::PROGRAM_START;
use libos_base::sync::{IrqSpinLock, Mutex, SpinLock, class};
use libos_base::user;

const NAMES: [&[u8]; 7] = [b"", b"inversion", b"wait", b"copy", b"fault", b"exit", b"interrupt"];
static WHAT: AtomicU8 = AtomicU8::new(0);

static OUTER: Mutex<()> = Mutex::new(class::RENAME, ());
static INNER: Mutex<()> = Mutex::new(class::PIPE, ());
static SPIN: SpinLock<()> = SpinLock::new(class::POLLEE, ());
static IRQ: IrqSpinLock<()> = IrqSpinLock::new(class::RUN_QUEUE, ());

/// Plants a fault by name.
pub fn plant(name: &[u8]) {
    match NAMES.iter().position(|n| *n == name) {
        Some(i) => WHAT.store(i as u8, Relaxed),
        None => libos_base::warn!("no such fault can be planted"),
    }
}

/// Commits the planted fault, at the end of a call.
pub fn in_call() {
    match NAMES[WHAT.load(Relaxed) as usize] {
        b"inversion" => inversion(),
        b"wait" => wait(),
        b"copy" => copy(),
        b"fault" => fault(),
        b"exit" => core::mem::forget(hold_at_exit()),
        _ => {}
    }
}

/// The same, in an interrupt.
pub fn in_interrupt() {
    if NAMES[WHAT.load(Relaxed) as usize] == b"interrupt" {
        hold_in_interrupt();
    }
}

#[inline(never)]
fn inversion() {
    let _held = hold_inner();
    let _taken = take_outer();
}

#[inline(never)]
fn hold_inner() -> impl Drop {
    black_box(INNER.lock())
}

#[inline(never)]
fn take_outer() -> impl Drop {
    black_box(OUTER.lock())
}

#[inline(never)]
fn hold_at_exit() -> impl Drop {
    black_box(INNER.lock())
}

#[inline(never)]
fn hold_spin() -> impl Drop {
    black_box(SPIN.lock())
}

#[inline(never)]
fn wait() {
    let _held = hold_spin();
    let _taken = take_outer();
}

#[inline(never)]
fn hold_in_interrupt() {
    let _held = SPIN.lock();
}

#[inline(never)]
fn hold_irq() -> impl Drop {
    black_box(IRQ.lock())
}

#[inline(never)]
fn copy() {
    let _held = hold_spin();
    touch();
}

#[inline(never)]
fn touch() {
    let _ = black_box(user::read(In::<u8>::new(PROGRAM_START)));
}

#[inline(never)]
fn fault() {
    let _held = hold_irq();
    // SAFETY: none: nothing is mapped there, which is the fault that was planted.
    unsafe { (PROGRAM_START as *const u8).read_volatile() };
}
