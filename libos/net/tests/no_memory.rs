//! What happens when the kernel's allocator fails: nothing may be lost for good, and nothing may panic.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::file::FileLike;
use libos_base::poll::Events;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

std::thread_local! { static MOST: Cell<usize> = const { Cell::new(usize::MAX) }; }

/// Refuses allocations larger than a thread allows itself.
struct Stingy;

// SAFETY: every call is passed to the system's allocator unchanged, or refused with a null pointer.
unsafe impl GlobalAlloc for Stingy {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        if l.size() > MOST.get() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise about `l`.
        unsafe { System.alloc(l) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        // SAFETY: `p` came from `alloc` above.
        unsafe { System.dealloc(p, l) }
    }
}

#[global_allocator]
static ALLOCATOR: Stingy = Stingy;

#[test]
fn loopback_waits_for_memory_and_loses_nothing() {
    let p = Pair::new();
    let l = listen(&p.a, 80, 4);
    let c = tcp(&p.a);
    let _ = c.connect(&v4([127, 0, 0, 1], 80));
    let s = l.accept(true).unwrap().0;
    let data = noise(60_000);
    // Enough for what is written, not for a frame.
    MOST.set(5000);
    let mut sent = send(&c, &data[..30_000]).unwrap();
    p.run(200_000_000);
    MOST.set(usize::MAX);
    let start = now();
    let mut got = Vec::new();
    assert!(p.until(|| {
        sent += send(&c, &data[sent..]).unwrap_or(0);
        got.extend(recv(&s, 70_000).unwrap_or_default());
        got.len() == data.len()
    }));
    assert!(got == data);
    assert!(now() - start < 100_000_000, "{} ms", (now() - start) / 1_000_000);
    assert_eq!(p.a.with(|st| st.stats.retransmits), 0);
}

#[test]
fn connect_is_refused_and_leaves_nothing_behind() {
    let p = Pair::new();
    let l = listen(&p.a, 80, 64);
    // In between, a frame waits for memory.
    for most in [100, 500, 1000, 2000, 20_000, 40_000, 100_000] {
        let c = tcp(&p.a);
        MOST.set(most);
        let r = c.connect(&v4([127, 0, 0, 1], 80));
        let e = c.poll(None);
        MOST.set(usize::MAX);
        while l.accept(true).is_ok() {}
        match r {
            Err(Errno::ENOBUFS | Errno::ENOMEM) => {}
            Err(Errno::EINPROGRESS) => assert!(e.intersects(Events::ERR | Events::OUT), "with {most} bytes"),
            r => panic!("{r:?} with {most} bytes"),
        }
    }
    p.run(2_000_000_000);
    p.a.with(|st| assert_eq!((st.connections.len(), st.memory.used()), (0, 0)));
}
