//! Small writes that follow each other: how many messages they take, who sees them when, and who gets their errors.

use super::*;
use libos_base::abi::DirFd;
use libos_fs::cache::write_back_all;

/// Writes until one is delayed: those that come too late go through.
fn until_delayed(g: &Guest, mut write: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..1000 {
        let mut some = Vec::new();
        if g.count(|| some = write()) == 0 {
            all.extend(some);
            return all;
        }
        all.extend(some);
    }
    panic!("every write goes through");
}

#[test]
fn messages_of_small_appends() {
    let g = Guest::new();
    let f = g.open("/log", append()).unwrap();
    // 2,000 lines of 50 bytes: twice the buffer, plus one for each 10 ms in which the thread did not run.
    let start = Instant::now();
    let n = g.count(|| (0..2000).for_each(|_| assert_eq!(write(&f, &[b'x'; 50]), Ok(50))));
    let pauses = start.elapsed().as_millis() as usize / 10;
    assert!(n <= 20 + 4 * pauses, "{n} messages for 2,000 small appends");
    close(&g, f).unwrap();
    assert_eq!(g.get("log").len(), 100_000);
    // Not at the end, but one after the other.
    let f = g.open("/f", create()).unwrap();
    let n = g.count(|| (0..1000).for_each(|i| assert_eq!(write_at(&f, i * 50, &[b'y'; 50]), Ok(50))));
    assert!(n <= 20 + 4 * pauses.max(10), "{n} messages for 1,000 small writes");
    drop(f);
    assert_eq!(g.get("f"), "y".repeat(50_000));
}

#[test]
fn everybody_here_sees_what_waits() {
    let g = Guest::new();
    g.put("f", "0123456789".repeat(1000));
    let f = g.open("/f", RW | OpenFlags::APPEND).unwrap();
    // One page is cached, the last one is not.
    assert_eq!(read_at(&f, 0, 4).unwrap(), b"0123");
    let mut n = 0u32;
    let all = until_delayed(&g, || {
        n += 1;
        let line = format!("line {n:05}\n").repeat(30).into_bytes();
        write(&f, &line).unwrap();
        line
    });
    assert_eq!(read_at(&f, 10_000, all.len() + 10).unwrap(), all);
    let (last, mut byte) = (10_000 + all.len() - 1, [0]);
    f.map_page((last / 4096) as u64, false).unwrap().unwrap().read(last % 4096, &mut byte);
    assert_eq!(Some(&byte[0]), all.last());
    assert_eq!(f.stat().unwrap().size as usize, 10_000 + all.len());
    assert_eq!(g.get("f").as_bytes()[10_000..], all);
    let more = until_delayed(&g, || {
        write(&f, b"more\n").unwrap();
        b"more\n".to_vec()
    });
    // Another description, and a truncation.
    assert_eq!(g.read_file("/f").unwrap().as_bytes()[10_000..], [&all[..], &more].concat());
    until_delayed(&g, || {
        write(&f, b"lost\n").unwrap();
        Vec::new()
    });
    resize(&f, 3).unwrap();
    assert_eq!((g.get("f"), read_at(&f, 0, 9).unwrap()), ("012".into(), b"012".to_vec()));
}

#[test]
fn what_a_mapping_writes_is_newer_than_what_waits() {
    for flush in [false, true] {
        let g = Guest::new();
        let f = g.open("/f", RW | OpenFlags::CREAT).unwrap();
        let mut at = 0;
        until_delayed(&g, || {
            assert_eq!(write_at(&f, at, &[b'w'; 50]), Ok(50));
            at += 50;
            Vec::new()
        });
        let page = f.map_page(0, true).unwrap().unwrap();
        page.write(at as usize - 2, b"mm");
        let inode = f.downcast::<OpenFile>().unwrap().path.inode().clone();
        if flush {
            // The page goes out before the delayed data.
            inode.cache().unwrap().flush(0..u64::MAX).unwrap();
        }
        assert_eq!(f.stat().unwrap().size as u64, at);
        let mut here = [0; 2];
        page.read(at as usize - 2, &mut here);
        assert_eq!(&here, b"mm");
        f.sync(false).unwrap();
        assert_eq!(g.get("f"), "w".repeat(at as usize - 2) + "mm");
    }
}

#[test]
fn appends_to_a_file_without_a_name_are_counted_once() {
    let g = Guest::new();
    let f = g.open("/f", RW | OpenFlags::CREAT | OpenFlags::APPEND).unwrap();
    g.p.unlink(DirFd::CWD, b"/f", false).unwrap();
    let mut n = 0;
    until_delayed(&g, || {
        n += write(&f, b"line\n").unwrap();
        Vec::new()
    });
    assert_eq!(f.stat().unwrap().size as usize, n);
    // And a write right after a truncation is at the new end.
    resize(&f, 2).unwrap();
    write(&f, b"end").unwrap();
    assert_eq!(read_at(&f, 0, 99).unwrap(), b"liend");
}

#[test]
fn it_arrives_without_being_asked_for() {
    let g = Guest::new();
    let f = g.open("/log", append()).unwrap();
    let all = until_delayed(&g, || {
        write(&f, b"line\n").unwrap();
        b"line\n".to_vec()
    });
    let start = Instant::now();
    while g.get("log").len() < all.len() {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not arrive");
        std::thread::sleep(Duration::from_millis(5));
    }
    // And at once when everything is to be written.
    until_delayed(&g, || {
        write(&f, b"last\n").unwrap();
        Vec::new()
    });
    write_back_all().unwrap();
    f.downcast::<OpenFile>().unwrap().path.mount.fs.sync().unwrap();
    assert!(g.get("log").ends_with("last\n"));
}

#[test]
fn a_sync_waits_for_what_another_thread_sends() {
    let g = Guest::new();
    let f = g.open("/log", append()).unwrap();
    let all = until_delayed(&g, || {
        write(&f, b"line\n").unwrap();
        b"line\n".to_vec()
    });
    let before = g.server.messages.load(Ordering::Relaxed);
    let held = g.server.writing.lock().unwrap();
    while g.server.messages.load(Ordering::Relaxed) == before {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::scope(|s| {
        let synced = s.spawn(|| {
            f.downcast::<OpenFile>().unwrap().path.mount.fs.sync().unwrap();
            g.get("log").len()
        });
        std::thread::sleep(Duration::from_millis(50));
        drop(held);
        assert_eq!(synced.join().unwrap(), all.len());
    });
}

#[test]
fn errors_of_what_waited_are_told_once() {
    for told_by in ["write", "fsync", "close"] {
        let g = Guest::new();
        let f = g.open("/log", append()).unwrap();
        until_delayed(&g, || {
            write(&f, b"line\n").unwrap();
            Vec::new()
        });
        *g.server.fail_write.lock().unwrap() = Some(Err(Errno::ENOSPC));
        match told_by {
            "write" => {
                f.stat().unwrap();
                assert_eq!(err(write(&f, b"more\n")), Errno::ENOSPC);
                // None is delayed until one was written.
                let before = g.get("log");
                assert_eq!(write(&f, b"now\n"), Ok(4));
                assert_eq!(g.get("log"), before + "now\n");
            }
            "fsync" => assert_eq!(err(f.sync(false)), Errno::ENOSPC),
            _ => {
                assert_eq!(close(&g, f.clone()), Err(Errno::ENOSPC));
                assert_eq!(close(&g, f), Ok(()));
            }
        }
    }
}

#[test]
fn appends_of_two_descriptions_keep_their_order() {
    let g = Guest::new();
    let (a, b) = (g.open("/log", append()).unwrap(), g.open("/log", append()).unwrap());
    let mut want = String::new();
    for n in 0..300 {
        let line = format!("{n}\n");
        write(if n % 3 == 0 { &b } else { &a }, line.as_bytes()).unwrap();
        want += &line;
    }
    drop((a, b));
    assert_eq!(g.get("log"), want);
}
