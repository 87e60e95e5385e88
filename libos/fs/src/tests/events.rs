//! poll, select, epoll.

use super::*;
use crate::epoll::Epoll;
use crate::eventfd::EventFd;
use crate::pipe::pipe;
use crate::poll::{PollFd, Sets};
use libos_base::abi::{DirFd, EpollEvent, EpollFlags, EpollOperation, EventfdFlags};
use libos_base::thread::FOREVER;
use libos_base::time::after;
use std::thread;
use std::time::{Duration, Instant};

type File = Arc<dyn FileLike>;
const IN: u32 = 1;
const OUT: u32 = 4;
const HUP: u32 = 0x10;
const ET: u32 = 1 << 31;
const ONESHOT: u32 = 1 << 30;
const EXCLUSIVE: u32 = 1 << 28;

fn ev(events: u32, data: u64) -> EpollEvent {
    EpollEvent { events, data }
}
fn eventfd() -> File {
    EventFd::new(0, EventfdFlags::NONBLOCK).unwrap()
}
fn bump(f: &File) {
    write(f, &1u64.to_ne_bytes()).unwrap();
}
/// Events that are ready within `ns`.
fn wait(e: &Epoll, max: usize, ns: u64) -> Vec<(u32, u64)> {
    let mut out = Vec::new();
    let until = if ns == 0 { 0 } else { after(ns) };
    let n = e.wait(max, until, &mut |n, event| {
        assert_eq!(n, out.len());
        out.push((event.events, event.data));
        Ok(())
    });
    assert_eq!(n, Ok(out.len()));
    out
}
fn now(e: &Epoll) -> Vec<(u32, u64)> {
    wait(e, 64, 0)
}

#[test]
fn level_edge_oneshot() {
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    let f = eventfd();
    e.ctl(EpollOperation::ADD, 5, &f, ev(IN, 77)).unwrap();
    assert_eq!(err(e.ctl(EpollOperation::ADD, 5, &f, ev(IN, 77))), Errno::EEXIST);
    assert_eq!(now(&e), []);
    bump(&f);
    assert_eq!((now(&e), now(&e)), (vec![(IN, 77)], vec![(IN, 77)]));
    e.ctl(EpollOperation::MOD, 5, &f, ev(IN | ET, 78)).unwrap();
    assert_eq!((now(&e), now(&e)), (vec![(IN, 78)], vec![]));
    bump(&f);
    assert_eq!((now(&e), now(&e)), (vec![(IN, 78)], vec![]));
    e.ctl(EpollOperation::MOD, 5, &f, ev(IN | ONESHOT, 79)).unwrap();
    assert_eq!(now(&e), [(IN, 79)]);
    bump(&f);
    assert_eq!(now(&e), []);
    e.ctl(EpollOperation::MOD, 5, &f, ev(IN | OUT | ONESHOT, 80)).unwrap();
    assert_eq!(now(&e), [(IN | OUT, 80)]);
    e.ctl(EpollOperation::DEL, 5, &f, EpollEvent::default()).unwrap();
    bump(&f);
    assert_eq!(now(&e), []);
    assert_eq!(err(e.ctl(EpollOperation::DEL, 5, &f, EpollEvent::default())), Errno::ENOENT);
    assert_eq!(err(e.ctl(EpollOperation::MOD, 5, &f, ev(IN, 0))), Errno::ENOENT);
    assert_eq!(err(e.ctl(EpollOperation(9), 5, &f, ev(IN, 0))), Errno::EINVAL);
    // One of two ready ones is dropped: the other is still reported once.
    let g = eventfd();
    bump(&g);
    e.ctl(EpollOperation::ADD, 5, &f, ev(IN, 1)).unwrap();
    e.ctl(EpollOperation::ADD, 6, &g, ev(IN, 2)).unwrap();
    e.ctl(EpollOperation::DEL, 5, &f, EpollEvent::default()).unwrap();
    assert_eq!(now(&e), [(IN, 2)]);
}

#[test]
fn hang_up_needs_no_asking() {
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    let (r, w) = pipe(true, false).unwrap();
    let r: File = r;
    e.ctl(EpollOperation::ADD, 1, &r, ev(0, 1)).unwrap();
    drop(w);
    assert_eq!(now(&e), [(HUP, 1)]);
}

#[test]
fn what_cannot_be_added() {
    let p = files();
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    for path in ["/etc/passwd", "/etc", "/dev/null"] {
        let f = open(&p, path, RD).unwrap();
        assert_eq!(err(e.ctl(EpollOperation::ADD, 1, &f, ev(IN, 0))), Errno::EPERM, "{path}");
    }
    let me: File = e.clone();
    assert_eq!(err(e.ctl(EpollOperation::ADD, 1, &me, ev(IN, 0))), Errno::EINVAL);
    let f = eventfd();
    assert_eq!(err(e.ctl(EpollOperation::ADD, 1, &f, ev(IN | EXCLUSIVE | ONESHOT, 0))), Errno::EINVAL);
    e.ctl(EpollOperation::ADD, 1, &f, ev(IN | EXCLUSIVE, 0)).unwrap();
    assert_eq!(err(e.ctl(EpollOperation::MOD, 1, &f, ev(IN, 0))), Errno::EINVAL);
    assert_eq!(err(Epoll::new(EpollFlags::from_bits_retain(1))), Errno::EINVAL);
}

#[test]
fn epolls_nest_but_not_in_circles() {
    let (a, b, c) = (
        Epoll::new(EpollFlags::empty()).unwrap(),
        Epoll::new(EpollFlags::empty()).unwrap(),
        Epoll::new(EpollFlags::empty()).unwrap(),
    );
    let (fa, fb): (File, File) = (a.clone(), b.clone());
    c.ctl(EpollOperation::ADD, 1, &fb, ev(IN, 3)).unwrap();
    b.ctl(EpollOperation::ADD, 1, &fa, ev(IN, 2)).unwrap();
    let fc: File = c.clone();
    assert_eq!(err(a.ctl(EpollOperation::ADD, 1, &fc, ev(IN, 1))), Errno::ELOOP);
    let f = eventfd();
    a.ctl(EpollOperation::ADD, 1, &f, ev(IN, 1)).unwrap();
    assert_eq!(now(&c), []);
    bump(&f);
    assert_eq!((now(&c), now(&b), now(&a)), (vec![(IN, 3)], vec![(IN, 2)], vec![(IN, 1)]));
    read(&f, 8).unwrap();
    assert_eq!((now(&c), now(&a)), (vec![], vec![]));
}

#[test]
fn a_chain_of_epolls_ends_in_whatever_order_it_is_made() {
    let chain = || (0..7).map(|_| Epoll::new(EpollFlags::empty()).unwrap()).collect::<Vec<_>>();
    let link = |outer: &Arc<Epoll>, inner: &Arc<Epoll>, op| {
        let file: File = inner.clone();
        outer.ctl(op, 1, &file, ev(IN, 1))
    };
    let longest = |order: &[usize]| {
        let c = chain();
        order.iter().map(|&n| link(&c[n], &c[n + 1], EpollOperation::ADD).is_ok()).collect::<Vec<_>>()
    };
    // Four links, five epolls, as on Linux.
    assert_eq!(longest(&[0, 1, 2, 3, 4, 5]), [true, true, true, true, false, true]);
    assert_eq!(longest(&[5, 4, 3, 2, 1, 0]), [true, true, true, true, false, true]);
    assert_eq!(longest(&[0, 1, 3, 4, 2]), [true, true, true, true, false]);
    // A link that is gone no longer counts.
    let c = chain();
    for n in 0..4 {
        link(&c[n], &c[n + 1], EpollOperation::ADD).unwrap();
    }
    assert_eq!(err(link(&c[4], &c[5], EpollOperation::ADD)), Errno::ELOOP);
    link(&c[0], &c[1], EpollOperation::DEL).unwrap();
    link(&c[4], &c[5], EpollOperation::ADD).unwrap();
}

#[test]
fn the_last_close_ends_a_registration() {
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    let f = eventfd();
    bump(&f);
    e.ctl(EpollOperation::ADD, 7, &f, ev(IN, 1)).unwrap();
    let dup = f.clone();
    drop(f);
    // A duplicate keeps the registration, as on Linux.
    assert_eq!(now(&e), [(IN, 1)]);
    drop(dup);
    assert_eq!(now(&e), []);
    // Ten thousand connections under one number leave nothing behind.
    for i in 0..10_000 {
        let f = eventfd();
        bump(&f);
        e.ctl(EpollOperation::ADD, 7, &f, ev(IN | ET, i)).unwrap();
        if i % 3 == 0 {
            e.ctl(EpollOperation::DEL, 7, &f, EpollEvent::default()).unwrap();
        } else if i % 3 == 1 {
            assert_eq!(now(&e), [(IN, i)]);
        }
    }
    assert_eq!(now(&e), []);
}

#[test]
fn batches_and_fairness() {
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    let files: Vec<File> = (0..100).map(|_| eventfd()).collect();
    for (i, f) in files.iter().enumerate() {
        e.ctl(EpollOperation::ADD, i as i32, f, ev(IN, i as u64)).unwrap();
        bump(f);
    }
    // More than one batch: each is reported once.
    let mut all: Vec<u64> = wait(&e, 1000, 0).iter().map(|x| x.1).collect();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    // Level-triggered ones go to the back of the queue, so that a small buffer sees all of them in turn.
    let mut seen: Vec<u64> = (0..10).flat_map(|_| wait(&e, 10, 0)).map(|x| x.1).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
}

#[test]
fn waiting_threads_are_woken() {
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    let f = eventfd();
    e.ctl(EpollOperation::ADD, 1, &f, ev(IN | ET, 9)).unwrap();
    let start = Instant::now();
    assert_eq!(wait(&e, 1, 30_000_000), []);
    assert!(start.elapsed() >= Duration::from_millis(30));
    let t = {
        let e = e.clone();
        thread::spawn(move || wait(&e, 1, 5_000_000_000))
    };
    thread::sleep(Duration::from_millis(20));
    bump(&f);
    assert_eq!(t.join().unwrap(), [(IN, 9)]);
}

#[test]
fn many_threads_lose_no_event() {
    let e = Epoll::new(EpollFlags::empty()).unwrap();
    let f: File = EventFd::new(0, EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE).unwrap();
    e.ctl(EpollOperation::ADD, 1, &f, ev(IN, 0)).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (e, f) = (e.clone(), f.clone());
            thread::spawn(move || {
                let mut got = 0;
                while !wait(&e, 4, 200_000_000).is_empty() {
                    got += usize::from(read(&f, 8).is_ok());
                }
                got
            })
        })
        .collect();
    for _ in 0..5000 {
        bump(&f);
    }
    assert_eq!(threads.into_iter().map(|t| t.join().unwrap()).sum::<usize>(), 5000);
}

#[test]
fn poll_reports_and_waits() {
    let p = Arc::new(files());
    let (r, w) = pipe(false, false).unwrap();
    let (r, w) = (p.fds.add(r, false).unwrap(), p.fds.add(w, false).unwrap());
    let fd = |fd, events| PollFd { fd, events, revents: 0xff };
    let mut fds = [fd(r.0, 1), fd(w.0, 4), fd(-1, 1), fd(99, 1)];
    assert_eq!(crate::poll::poll(&p, &mut fds, 0), Ok(2));
    assert_eq!(fds.map(|f| f.revents), [0, 4, 0, 0x20]);
    assert_eq!(crate::poll::poll(&p, &mut [fd(r.0, 1)], after(20_000_000)), Ok(0));
    let p2 = p.clone();
    let t = thread::spawn(move || crate::poll::poll(&p2, &mut [fd(r.0, 1)], FOREVER));
    thread::sleep(Duration::from_millis(20));
    write(&p.fds.get(w).unwrap(), b"x").unwrap();
    assert_eq!(t.join().unwrap(), Ok(1));
    let file = p.open_fd(DirFd::CWD, b"/etc/passwd", how(RD)).unwrap();
    let mut fds = [fd(file.0, 5)];
    assert_eq!(crate::poll::poll(&p, &mut fds, FOREVER), Ok(1));
    assert_eq!(fds[0].revents, 5);
}

#[test]
fn select_keeps_what_is_ready() {
    let p = files();
    let (r, w) = pipe(false, false).unwrap();
    let (r, w) = (p.fds.add(r, false).unwrap(), p.fds.add(w, false).unwrap());
    let bits = |fds: &[i32]| Some(vec![fds.iter().fold(0u64, |m, fd| m | 1 << fd)]);
    let mut s = Sets { read: bits(&[r.0]), write: bits(&[w.0]), except: bits(&[r.0, w.0]) };
    assert_eq!(crate::poll::select(&p, 3, &mut s, 0), Ok(1));
    assert_eq!((s.read, s.write, s.except), (bits(&[]), bits(&[w.0]), bits(&[])));
    p.fds.close(w).unwrap();
    let mut s = Sets { read: bits(&[r.0]), write: None, except: None };
    // End of file is readable.
    assert_eq!(crate::poll::select(&p, r.0 as usize + 1, &mut s, FOREVER), Ok(1));
    let mut s = Sets { read: bits(&[r.0, 9]), write: None, except: None };
    assert_eq!(crate::poll::select(&p, 10, &mut s, 0), Err(Errno::EBADF));
}
