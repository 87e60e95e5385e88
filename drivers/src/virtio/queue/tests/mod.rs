pub mod sim;

use super::*;
use alloc::vec;
use sim::{Sim, pair};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

fn segment(addr: u64) -> Segment {
    Segment { addr, len: 1, device_writes: false }
}

/// Adds a chain of `n` segments, called `n`.
fn add(q: &mut Queue, n: u16) -> Result<(), Full> {
    // SAFETY: the simulated device reads nothing.
    unsafe { q.add(&vec![segment(7); n.into()], n) }
}

#[test]
fn event_test_is_the_specification() {
    // 2.7.10: notify iff the event index lies in [old, new) on the circle.
    for old in [0u16, 1, 100, 0x7fff, 0x8000, 0xfffe, 0xffff] {
        for moved in [0u16, 1, 2, 255, 256, 0x7fff, 0xffff] {
            let new = old.wrapping_add(moved);
            for event in (0..=u16::MAX).step_by(if moved < 300 { 1 } else { 97 }) {
                let inside = event.wrapping_sub(old) < moved;
                assert_eq!(passed(event, new, old), inside, "event {event} old {old} new {new}");
            }
        }
    }
}

#[test]
fn layouts() {
    assert_eq!(layout(128, true), (2048, 4096, 4096 + 6 + 1024));
    assert_eq!(layout(256, true), (4096, 8192, 8192 + 6 + 2048));
    assert_eq!(layout(4, false), (64, 80, 118));
}

#[test]
fn chains_fill_and_drain() {
    let (mut q, mut d) = pair(8, false, false);
    assert_eq!(add(&mut q, 9), Err(Full));
    add(&mut q, 3).unwrap();
    add(&mut q, 5).unwrap();
    assert_eq!((q.free(), add(&mut q, 1)), (0, Err(Full)));
    assert!(!d.waiting(), "not published yet");
    q.kick();
    assert!(d.rung());
    let ((a, first), (b, second)) = (d.take().unwrap(), d.take().unwrap());
    assert_eq!((first.len(), second.len()), (3, 5));
    d.give(b.into(), 50);
    d.give(a.into(), 30);
    assert_eq!(q.pop(), None);
    d.publish();
    assert_eq!((q.pop(), q.pop(), q.pop()), (Some((5, 50)), Some((3, 30)), None));
    assert_eq!((q.free(), q.outstanding()), (8, 0));
    q.kick();
    assert!(!d.rung(), "nothing new");
}

#[test]
fn lying_device_is_stopped() {
    for lie in [0u32, 8, 0xffff, 0xffff_ffff] {
        let (mut q, mut d) = pair(8, false, true);
        add(&mut q, 1).unwrap();
        add(&mut q, 2).unwrap();
        q.kick();
        d.take();
        let (second, _) = d.take().unwrap();
        d.give(second.into(), 0);
        d.publish();
        assert_eq!(q.pop(), Some((2, 0)));
        d.give(if lie == 0 { second.into() } else { lie }, 0);
        d.publish();
        assert_eq!(q.pop(), None);
        assert!(q.broken() && add(&mut q, 1) == Err(Full) && !q.pending());
    }
}

#[test]
fn batches_notify_once_and_only_when_wanted() {
    for event_idx in [false, true] {
        let (mut q, mut d) = pair(16, false, event_idx);
        assert!(d.sleep());
        (0..5).for_each(|_| assert!(add(&mut q, 1).is_ok()));
        q.kick();
        assert!(d.rung());
        d.wake();
        d.complete_all(0);
        (0..5).for_each(|_| assert!(add(&mut q, 1).is_ok()));
        q.kick();
        assert!(!d.rung(), "the device is awake");
        assert!(!d.sleep(), "and sees them itself");
    }
}

#[test]
fn interrupts_only_when_asked() {
    for event_idx in [false, true] {
        let (mut q, mut d) = pair(16, false, event_idx);
        let mut round = |q: &mut Queue, n: u16| {
            (0..n).for_each(|_| assert!(add(q, 1).is_ok()));
            q.kick();
            d.complete_all(0)
        };
        q.disable_interrupt();
        assert!(!round(&mut q, 3));
        assert!(q.enable_interrupt(), "completed before");
        while q.pop().is_some() {}
        assert!(!q.enable_interrupt());
        assert!(round(&mut q, 1));
        while q.pop().is_some() {}
        // After that wake-up nothing was re-armed: with EVENT_IDX no more come on their own.
        assert_eq!(round(&mut q, 1), !event_idx);
        while q.pop().is_some() {}
        assert!(!q.enable_interrupt_after(2));
        assert_eq!((round(&mut q, 1), round(&mut q, 1), round(&mut q, 1)), (!event_idx, !event_idx, true));
    }
}

/// A side that sleeps this long has lost its wake-up. Not a limit for the whole: that takes as long as the machine lets it.
const LOST: Duration = Duration::from_secs(60);

/// Both sides sleep whenever the protocol lets them; neither may sleep while the other waits for it. The ring's indices
/// wrap several times.
fn no_lost_wakeups(event_idx: bool, total: u32, batch: u32) {
    let (mut q, d) = pair(16, false, event_idx);
    let interrupts = AtomicU32::new(0);
    let stop = AtomicU32::new(0);
    std::thread::scope(|s| {
        let device = s.spawn(|| device_thread(d, &interrupts, &stop));
        let (mut sent, mut back, mut heard) = (0, 0, 0);
        let mut noise = 12345u32;
        while back < total {
            q.disable_interrupt();
            noise = noise.wrapping_mul(1664525).wrapping_add(1013904223);
            for _ in 0..(noise >> 16) % batch + 1 {
                if sent < total && add(&mut q, 1).is_ok() {
                    sent += 1;
                }
            }
            q.kick();
            while q.pop().is_some() {
                back += 1;
            }
            if sent > back && (q.free() == 0 || sent == total || noise & 0x10000 == 0) && !q.enable_interrupt() {
                // Asleep until an interrupt.
                let asleep = Instant::now();
                while interrupts.load(Ordering::SeqCst) == heard {
                    assert!(asleep.elapsed() < LOST, "lost interrupt: {back} of {sent} back");
                    std::thread::yield_now();
                }
            }
            heard = interrupts.load(Ordering::SeqCst);
        }
        stop.store(1, Ordering::SeqCst);
        device.join().expect("device");
    });
}

fn device_thread(mut d: Sim, interrupts: &AtomicU32, stop: &AtomicU32) {
    let mut n = 0u32;
    loop {
        while let Some((head, _)) = d.take() {
            d.give(head.into(), 0);
            n = n.wrapping_mul(1664525).wrapping_add(1013904223);
            if n >> 30 == 0 && d.publish() {
                interrupts.fetch_add(1, Ordering::SeqCst);
            }
        }
        if d.publish() {
            interrupts.fetch_add(1, Ordering::SeqCst);
        }
        if d.sleep() {
            let asleep = Instant::now();
            while !d.rung() {
                if stop.load(Ordering::SeqCst) != 0 {
                    return;
                }
                assert!(asleep.elapsed() < LOST, "lost notification");
                std::thread::yield_now();
            }
        }
        d.wake();
    }
}

#[test]
fn no_lost_wakeups_with_event_idx() {
    no_lost_wakeups(true, 400_000, 4);
    no_lost_wakeups(true, 100_000, 16);
}

#[test]
fn no_lost_wakeups_with_flags() {
    no_lost_wakeups(false, 400_000, 4);
    no_lost_wakeups(false, 100_000, 16);
}
