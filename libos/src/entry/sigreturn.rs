//! The return from a handler: libc's restorer comes here through `arch`.

use crate::arch::TrapFrame;
use crate::arch::signal_frame as frame;
use crate::crash;
use crate::sched::current;
use crate::signal::{SIGSEGV, SigSet, StackFlags, set_mask};

/// Continues what the signal interrupted. `area`: room for the vector state, on this kernel stack.
pub fn sigreturn(uc: usize, area: &'static mut [u8]) -> ! {
    let me = current();
    let Ok((regs, mask, stack, vectors)) = frame::pop(uc) else { bad_frame(uc) };
    let vectors = if vectors == 0 {
        None
    } else if frame::load_vector_state(vectors, area).is_ok() {
        Some(area.as_mut_ptr())
    } else {
        bad_frame(uc)
    };
    set_mask(mask.without(SigSet::UNBLOCKABLE));
    if stack.flags().contains(StackFlags::AUTODISARM) {
        me.signals.set_altstack(stack);
    }
    super::enter_program(regs, vectors)
}

/// As on Linux: SIGSEGV, which cannot be handled on such a stack.
fn bad_frame(uc: usize) -> ! {
    crash::fatal_signal(SIGSEGV, &TrapFrame::starting(0, uc), "sigreturn from a damaged frame", uc)
}
