//! Pipes, FIFOs, eventfds, locks.

use super::*;
use crate::eventfd::EventFd;
use crate::locks::{self, Lock, Owner};
use crate::openfile::OpenFile;
use crate::pipe::{PIPE_BUF, pipe};
use libos_base::abi::{DirFd, EventfdFlags, Whence};
use libos_base::poll::Events;
use std::thread;
use std::time::Duration;

type File = Arc<dyn FileLike>;

fn ends(nonblock: bool) -> (File, File) {
    let (r, w) = pipe(nonblock, false).unwrap();
    (r, w)
}

#[test]
fn bytes_in_order_and_hang_up() {
    let (r, w) = ends(true);
    assert_eq!(err(read(&r, 1)), Errno::EAGAIN);
    assert_eq!(r.poll(None), Events::empty());
    write(&w, b"hello").unwrap();
    assert!(r.poll(None).contains(Events::IN));
    assert_eq!(read(&r, 2).unwrap(), b"he");
    write(&w, b" world").unwrap();
    assert_eq!(read(&r, 99).unwrap(), b"llo world");
    assert_eq!(err(r.seek(0, Whence::SET)), Errno::ESPIPE);
    drop(w);
    assert_eq!(r.poll(None), Events::HUP);
    assert_eq!(read(&r, 99).unwrap(), b"");
    let (r, w) = ends(false);
    drop(r);
    assert_eq!(err(write(&w, b"x")), Errno::EPIPE);
    assert!(w.poll(None).contains(Events::ERR));
}

#[test]
fn small_writes_are_atomic() {
    let (r, w) = ends(true);
    let mut total = 0;
    while let Ok(n) = write(&w, &[1; 3000]) {
        assert_eq!(n, 3000);
        total += n;
    }
    // One write per slot, as on Linux.
    assert_eq!(total, 16 * 3000);
    assert!(!w.poll(None).contains(Events::OUT));
    // The part beyond a page joins the last slot; the page itself finds no room.
    assert_eq!(write(&w, &[2; PIPE_BUF + 1]).unwrap(), 1);
    assert_eq!(write(&w, &[2; 1095]).unwrap(), 1095);
    assert_eq!(err(write(&w, &[2; 1])), Errno::EAGAIN);
    // A slot is free once all of it was read.
    assert_eq!(read(&r, 2999).unwrap().len(), 2999);
    assert_eq!(err(write(&w, &[2; PIPE_BUF])), Errno::EAGAIN);
    assert_eq!(read(&r, 1).unwrap().len(), 1);
    assert_eq!(write(&w, &[3; PIPE_BUF + 5]).unwrap(), PIPE_BUF);
    assert_eq!(read(&r, 1 << 20).unwrap().len(), 15 * 3000 + 1096 + PIPE_BUF);
}

/// The last slot stays when it was read: whatever is written next, of whole pages, less, or by splice, it is in the way of
/// nothing.
#[test]
fn what_was_read_leaves_room_for_all() {
    let (r, w) = pipe(true, false).unwrap();
    w.set_capacity(PIPE_BUF).unwrap();
    let (read_end, write_end): (File, File) = (r.clone(), w.clone());
    for round in 0..4 {
        write(&write_end, b"abc").unwrap();
        assert_eq!(read(&read_end, 3).unwrap(), b"abc");
        assert_eq!((err(read(&read_end, 1)), r.unread()), (Errno::EAGAIN, Some(0)));
        assert_eq!((r.poll(None), w.poll(None)), (Events::empty(), Events::OUT | Events::WRNORM));
        assert_eq!(err(r.claim(true, false).map(|_| ())), Errno::EAGAIN);
        assert_eq!(w.room(true), Ok(1));
        match round {
            0 => assert_eq!(write(&write_end, &[7; PIPE_BUF]).unwrap(), PIPE_BUF),
            1 => assert_eq!(write(&write_end, &[7; PIPE_BUF + 9]).unwrap(), PIPE_BUF),
            2 => {
                let fill = |to: &mut [u8]| {
                    to[..5].fill(7);
                    Ok(5)
                };
                assert_eq!(w.fill_slot(fill), Ok(5));
            }
            _ => assert_eq!(write(&write_end, b"\x07").unwrap(), 1),
        }
        let n = r.unread().unwrap();
        assert_eq!(read(&read_end, 1 << 20).unwrap(), vec![7; n]);
    }
}

#[test]
fn blocking_both_ways() {
    let (r, w) = ends(false);
    let writer = thread::spawn(move || {
        let data: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
        assert_eq!(write(&w, &data).unwrap(), data.len());
    });
    let mut got = Vec::new();
    loop {
        let b = read(&r, 10_000).unwrap();
        if b.is_empty() {
            break;
        }
        got.extend(b);
    }
    writer.join().unwrap();
    assert!(got.len() == 300_000 && got.iter().enumerate().all(|(i, &b)| b == i as u8));
}

#[test]
fn capacity() {
    let (r, w) = pipe(true, false).unwrap();
    let (rf, wf): (File, File) = (r.clone(), w.clone());
    assert_eq!(r.capacity(), 65536);
    assert_eq!(w.set_capacity(5000), Ok(8192));
    assert_eq!(write(&wf, &[0; 10_000]).unwrap(), 8192);
    assert_eq!(w.set_capacity(4096), Err(Errno::EBUSY));
    assert_eq!(w.set_capacity(1 << 21), Err(Errno::EPERM));
    assert_eq!(w.set_capacity(1 << 20), Ok(1 << 20));
    assert_eq!(write(&wf, &[0; 10_000]).unwrap(), 10_000);
    assert_eq!(read(&rf, 1 << 20).unwrap().len(), 18_192);
}

#[test]
fn fifos_wait_for_each_other() {
    let p = Arc::new(files());
    p.mknod(DirFd::CWD, b"/fifo", 0o010644, 0).unwrap();
    assert_eq!(err(open(&p, "/fifo", OpenFlags::WRONLY | OpenFlags::NONBLOCK)), Errno::ENXIO);
    let early = open(&p, "/fifo", OpenFlags::NONBLOCK).unwrap();
    assert_eq!((read(&early, 1).unwrap(), early.poll(None)), (vec![], Events::empty()));
    drop(early);
    let p2 = p.clone();
    let reader = thread::spawn(move || {
        let f = open(&p2, "/fifo", RD).unwrap();
        read(&f, 100).unwrap()
    });
    thread::sleep(Duration::from_millis(20));
    let w = open(&p, "/fifo", OpenFlags::WRONLY).unwrap();
    write(&w, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert_eq!(w.stat().unwrap().mode & 0o170000, 0o010000);
    let both = open(&p, "/fifo", RW).unwrap();
    write(&both, b"self").unwrap();
    assert_eq!(read(&both, 10).unwrap(), b"self");
}

#[test]
fn eventfd_counts() {
    let f: File = EventFd::new(3, EventfdFlags::NONBLOCK).unwrap();
    assert_eq!(read(&f, 8).unwrap(), 3u64.to_ne_bytes());
    assert_eq!(err(read(&f, 8)), Errno::EAGAIN);
    assert_eq!(err(read(&f, 7)), Errno::EINVAL);
    write(&f, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    assert_eq!(err(write(&f, &1u64.to_ne_bytes())), Errno::EAGAIN);
    assert_eq!(err(write(&f, &u64::MAX.to_ne_bytes())), Errno::EINVAL);
    assert_eq!(f.poll(None) & (Events::IN | Events::OUT), Events::IN);
    let s: File = EventFd::new(2, EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE).unwrap();
    assert_eq!(read(&s, 8).unwrap(), 1u64.to_ne_bytes());
    assert_eq!(read(&s, 8).unwrap(), 1u64.to_ne_bytes());
    assert_eq!(err(read(&s, 8)), Errno::EAGAIN);
    assert_eq!(err(EventFd::new(0, EventfdFlags::from_bits_retain(2))), Errno::EINVAL);
}

#[test]
fn record_locks_and_the_close_rule() {
    let p = files();
    let a = open(&p, "/locked", create()).unwrap();
    let b = open(&p, "/locked", RW).unwrap();
    let (fa, fb) = (a.downcast::<OpenFile>().unwrap(), b.downcast::<OpenFile>().unwrap());
    let posix = |start, end| Lock { owner: Owner::Process, exclusive: true, start, end };
    let ofd = |f: &OpenFile, start, end| Lock { owner: locks::description(f), exclusive: true, start, end };
    locks::set_record(fa, posix(0, 10), false).unwrap();
    // The process's own locks belong to one owner, through whatever descriptor.
    locks::set_record(fb, posix(5, 20), false).unwrap();
    assert_eq!(err(locks::set_record(fb, ofd(fb, 0, 5), false)), Errno::EAGAIN);
    assert_eq!(locks::blocker(fb, &ofd(fb, 15, 16)).unwrap(), Some(posix(0, 20)));
    locks::set_record(fb, ofd(fb, 20, 30), false).unwrap();
    assert_eq!(err(locks::set_record(fa, posix(0, 25), false)), Errno::EAGAIN);
    // Closing any descriptor of the file releases the process's locks, not the description's.
    locks::on_close(&*b);
    locks::set_record(fb, ofd(fb, 0, 5), false).unwrap();
    drop(b);
    locks::set_record(fa, posix(0, u64::MAX), false).unwrap();
}

#[test]
fn flock_waits_for_the_other_description() {
    let p = files();
    let a = open(&p, "/fl", create()).unwrap();
    let b = open(&p, "/fl", RD).unwrap();
    let file = |f: &File| f.clone();
    locks::flock(&*a, Some(false), false).unwrap();
    locks::flock(&*b, Some(false), false).unwrap();
    assert_eq!(err(locks::flock(&*a, Some(true), false)), Errno::EAGAIN);
    locks::flock(&*a, Some(false), false).unwrap();
    let waiting = file(&b);
    locks::flock(&*b, None, false).unwrap();
    locks::flock(&*a, Some(true), false).unwrap();
    let t = thread::spawn(move || locks::flock(&*waiting, Some(true), true));
    thread::sleep(Duration::from_millis(20));
    assert!(!t.is_finished());
    drop(a);
    t.join().unwrap().unwrap();
}
