//! Out of memory: what is done and reported before the program ends.
//!
//! Linux kills the process that uses the most (SIGKILL, status 137), and here that is the program. Nothing can be
//! handled: a handler would need memory, too. The kernel continues, from its reserve, until files are written and the
//! report is out.

use super::{commit, frames, kstack, space};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use libos_base::layout::{PAGE_SIZE, PROGRAM_END, PROGRAM_START};
use libos_base::{memory, thread, time};

/// Pages to make room for at a time.
const ROOM: usize = 32;
/// How often to try: others may hold the space's lock, or be busy writing what is to be dropped.
const ROUNDS: usize = 16;
const PAUSE_NS: u64 = 5_000_000;

/// The page at `addr` cannot be provided. True: try again. False: the program ends, at its instruction or at the end of
/// the call that touched it. Call it without the space's lock.
#[cold]
#[inline(never)]
pub fn averted(addr: usize, in_call: bool) -> bool {
    for round in 0..ROUNDS {
        if room(in_call) {
            return true;
        }
        if round > 0 && libos_fs::sync::cached() < ROOM {
            break;
        }
        // In a call, a pause could use up a wake-up that is on its way.
        let until = time::after(if in_call { 0 } else { PAUSE_NS });
        while time::monotonic_ns() < until {
            thread::park(until, false);
        }
    }
    report(addr);
    false
}

/// Drops pages of files; returns whether there were any.
fn room(in_call: bool) -> bool {
    if in_call {
        // The call may hold locks of file systems: nothing can be written now.
        memory::unmap_untouched(ROOM);
        return super::reclaim(ROOM) > 0;
    }
    libos_fs::sync::make_room(ROOM)
}

/// Reports once who touched what, who has the memory, and what can be done.
fn report(addr: usize) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Relaxed) {
        return;
    }
    let kib = |pages: usize| pages * (PAGE_SIZE / 1024);
    let own = space::lock().count_own(PROGRAM_START..PROGRAM_END);
    let (total, free, files, stacks) =
        (frames::total_frames(), frames::free_frames(), libos_fs::sync::cached(), kstack::mapped());
    let rest = total.saturating_sub(free + own + files + stacks);
    let tid = libos_fs::kernel_info::tid();
    libos_base::error!("out of memory: thread {tid} touched {addr:#x}, and no page is left for it");
    libos_base::error!(
        "of {} KiB the program has {}, kernel stacks {}, cached files {}, kernel and files in RAM {}, the reserve {}",
        kib(total),
        kib(own),
        kib(stacks),
        kib(files),
        kib(rest),
        kib(free),
    );
    if commit::mode() != commit::STRICT {
        libos_base::error!("give it more (-m), or let mmap and malloc fail earlier (--sysctl vm.overcommit_memory=2)");
    }
}
