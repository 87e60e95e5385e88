use super::*;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use std::time::Duration;

fn at(w: &AtomicU32) -> Spot {
    Spot::of(w as *const AtomicU32 as usize, false)
}

fn waiters(w: &AtomicU32) -> usize {
    let key = at(w).addr as u64;
    bucket_of(key).lock().iter().filter(|x| x.key.load(SeqCst) == key).count()
}

fn until(f: impl Fn() -> bool) {
    while !f() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn wait_checks_the_value_and_the_address() {
    let w = AtomicU32::new(1);
    assert_eq!(wait(at(&w), 2, op::ANY, When::NEVER), Err(Errno::EAGAIN));
    assert_eq!(wait(Spot::of(at(&w).addr + 1, false), 1, op::ANY, When::NEVER), Err(Errno::EINVAL));
    assert_eq!(wait(Spot::of(8, false), 1, op::ANY, When::NEVER), Err(Errno::EFAULT));
    let soon = When::after(5_000_000);
    assert_eq!(wait(at(&w), 1, op::ANY, soon), Err(Errno::ETIMEDOUT));
    assert_eq!(waiters(&w), 0);
}

#[test]
fn no_wake_up_is_lost() {
    let w = AtomicU32::new(0);
    std::thread::scope(|s| {
        s.spawn(|| {
            for i in 0..2000 {
                while w.load(SeqCst) == i {
                    let _ = wait(at(&w), i, op::ANY, When::NEVER);
                }
            }
        });
        for i in 0..2000 {
            w.store(i + 1, SeqCst);
            wake(at(&w), 1, op::ANY).unwrap();
            if i % 7 == 0 {
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn bitsets_select_and_counts_are_exact() {
    let w = AtomicU32::new(0);
    let got = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for bits in [1, 2, 2] {
            let (w, got) = (&w, &got);
            s.spawn(move || {
                wait(at(w), 0, bits, When::NEVER).unwrap();
                got.fetch_add(bits as usize, SeqCst);
            });
        }
        until(|| waiters(&w) == 3);
        assert_eq!(wake(at(&w), 9, 1).unwrap(), 1);
        until(|| got.load(SeqCst) == 1);
        assert_eq!(wake(at(&w), 1, 2).unwrap(), 1);
        assert_eq!(wake(at(&w), 40, op::ANY).unwrap(), 1);
    });
    assert_eq!(got.load(SeqCst), 5);
}

#[test]
fn requeue_moves_without_waking() {
    let (a, b) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|s| {
        for _ in 0..5 {
            s.spawn(|| wait(at(&a), 0, op::ANY, When::NEVER).unwrap());
        }
        until(|| waiters(&a) == 5);
        assert_eq!(requeue(at(&a), at(&b), 1, 9, Some(3)), Err(Errno::EAGAIN));
        assert_eq!(requeue(at(&a), at(&b), 1, 3, Some(0)), Ok(4));
        assert_eq!((waiters(&a), waiters(&b)), (1, 3));
        assert_eq!(wake_op(at(&a), at(&b), 1, 9, 1 << 28), Ok(4));
        assert_eq!(b.load(SeqCst), 0);
    });
}

#[test]
fn a_requeued_waiter_can_still_time_out() {
    let (a, b) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|s| {
        let t = s.spawn(|| wait(at(&a), 0, op::ANY, When::after(30_000_000)));
        until(|| waiters(&a) == 1);
        assert_eq!(requeue(at(&a), at(&b), 0, 1, None), Ok(1));
        assert_eq!(t.join().unwrap(), Err(Errno::ETIMEDOUT));
        assert_eq!(waiters(&b), 0);
    });
}

/// It is in the one queue, on its way, or in the other, and leaves the one in which it is.
#[test]
fn waiters_leave_while_they_are_requeued() {
    let (a, b) = (AtomicU32::new(0), AtomicU32::new(0));
    let left = AtomicUsize::new(4);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for i in 0..20_000 {
                    assert_eq!(wait(at(&a), 0, op::ANY, When::after(i % 64)), Err(Errno::ETIMEDOUT));
                }
                left.fetch_sub(1, SeqCst);
            });
        }
        while left.load(SeqCst) > 0 {
            requeue(at(&a), at(&b), 0, 9, None).unwrap();
            requeue(at(&b), at(&a), 0, 9, None).unwrap();
        }
    });
    assert_eq!((waiters(&a), waiters(&b)), (0, 0));
}

/// Waiters may wait again at once, as a condition variable's do: a wake-up is for those that waited when it began.
#[test]
fn who_waits_again_is_not_woken_again() {
    const N: usize = 40;
    let (a, b) = (AtomicU32::new(0), AtomicU32::new(0));
    let (ends, end) = (AtomicUsize::new(0), AtomicU32::new(0));
    std::thread::scope(|s| {
        for _ in 0..N {
            s.spawn(|| {
                while end.load(SeqCst) == 0 {
                    wait(at(&a), 0, op::ANY, When::NEVER).unwrap();
                    ends.fetch_add(1, SeqCst);
                }
            });
        }
        let all_wait = || until(|| waiters(&a) + waiters(&b) == N);
        all_wait();
        assert_eq!(wake(at(&a), i32::MAX, op::ANY), Ok(N));
        all_wait();
        assert_eq!(ends.load(SeqCst), N);
        // More than a handful woken, and more moved; each exactly once.
        assert_eq!(requeue(at(&a), at(&b), 20, 17, Some(0)), Ok(37));
        all_wait();
        assert_eq!((ends.load(SeqCst), waiters(&a), waiters(&b)), (N + 20, 23, 17));
        assert_eq!(wake_op(at(&a), at(&b), 18, 16, 0), Ok(34));
        all_wait();
        assert_eq!((ends.load(SeqCst), waiters(&b)), (N + 20 + 34, 1));
        end.store(1, SeqCst);
        wake(at(&a), i32::MAX, op::ANY).unwrap();
        wake(at(&b), i32::MAX, op::ANY).unwrap();
    });
}

/// The last of several words that were woken counts.
#[test]
fn several_words_at_once() {
    let words: Vec<AtomicU32> = (0..3).map(AtomicU32::new).collect();
    let list: Vec<(Spot, u32)> = words.iter().zip(0..).map(|(w, v)| (at(w), v)).collect();
    let soon = When::after(5_000_000);
    assert_eq!(several::wait(&list, soon), Err(Errno::ETIMEDOUT));
    assert_eq!(several::wait(&[list[0], (at(&words[1]), 7)], When::NEVER), Err(Errno::EAGAIN));
    std::thread::scope(|s| {
        let t = s.spawn(|| several::wait(&list, When::NEVER));
        until(|| waiters(&words[2]) == 1);
        assert_eq!(wake(at(&words[1]), 1, op::ANY), Ok(1));
        assert_eq!(t.join().unwrap(), Ok(1));
    });
    assert_eq!(words.iter().map(waiters).sum::<usize>(), 0);
}
