//! What happens when the kernel's allocator fails: the books balance, and no byte is lost.
mod common;
use common::*;
use libos_tcp::{ACK, Options};
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
fn what_is_sent_after_a_reported_segment_counts_as_on_its_way() {
    let mut w = World::connected(Weather { delay: 10 * MS, ..Weather::default() });
    let data = noise(8 * 1460);
    w.write(0, &data);
    let (start, expected) = w.hosts[0].c.next();
    let now = w.now;
    // Room for a few segments, sent one at a time.
    let mut sent = Vec::with_capacity(100);
    let step = |w: &mut World, sent: &mut Vec<_>| {
        MOST.set(100);
        let t = w.hosts[0].c.transmit(now + sent.len() as u64, 0);
        MOST.set(usize::MAX);
        sent.extend(t);
        t.is_some()
    };
    (0..4).for_each(|_| assert!(step(&mut w, &mut sent)));
    let (last, next) = (sent[3].seq, sent[3].seq + 1460);
    let options = Options::sack(&[(last, next)]).bytes().to_vec();
    let hear = |w: &mut World, ack: u32, options: Vec<u8>| {
        let s = Wire { seq: expected.0, ack, flags: ACK, window: 1000, options, data: Vec::new() };
        let Host { c, pool, .. } = &mut w.hosts[0];
        c.on_segment(now + 10 * MS, &segment(&s), false, pool);
    };
    hear(&mut w, start.0, options);
    while sent.len() < 20 && step(&mut w, &mut sent) {}
    let end = w.hosts[0].c.next().0;
    hear(&mut w, end.0, Vec::new());
    while step(&mut w, &mut sent) {}
    let end = w.hosts[0].c.next().0;
    assert_eq!(end - start, data.len() as u32, "all of it went out");
    hear(&mut w, end.0, Vec::new());
    assert_eq!((w.hosts[0].c.send_queue(), w.hosts[0].pool.used()), (0, 0));
}

#[test]
fn data_that_found_no_memory_goes_out_soon() {
    let mut w = World::connected(Weather { delay: 50 * MS, rate: 2_000_000, queue: 1 << 20, ..Weather::default() });
    // A long flight gives its list back.
    w.transfer(0, &noise(1_000_000), 10 * S);
    w.run(S);
    w.write(0, b"late");
    MOST.set(0);
    let first = w.hosts[0].c.transmit(w.now, 0);
    MOST.set(usize::MAX);
    assert!(first.is_none(), "the list was not given back");
    // Nobody but the timer comes again.
    let at = w.hosts[0].c.next_deadline();
    assert!(at < w.now + S, "after {} s", (at - w.now) / S);
    w.now = at;
    let Host { c, pool, .. } = &mut w.hosts[0];
    c.on_timer(w.now, pool);
    w.run(S);
    assert_eq!(w.read(1), b"late");
    w.finish();
}
