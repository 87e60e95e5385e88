//! Content: the cache, the host's changes, errors.

use super::*;
use libos_base::abi::DirFd;
use libos_base::layout::PAGE_SIZE;
use std::os::unix::fs::FileExt;

fn pattern(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 7 + i / 251 + seed) as u8).collect()
}

#[test]
fn large_files_both_ways() {
    let g = Guest::new();
    let data = pattern(1_000_003, 1);
    g.put("in", &data);
    assert_eq!(g.p.read_file(b"/in").unwrap(), data);
    let f = g.open("/out", create()).unwrap();
    assert_eq!(write(&f, &data).unwrap(), data.len());
    assert_eq!(fs::read(g.at("out")).unwrap(), data);
    let before = g.server.messages.load(Ordering::Relaxed);
    for _ in 0..10 {
        assert_eq!(read_at(&f, 0, data.len()).unwrap(), data);
    }
    let first = g.server.messages.load(Ordering::Relaxed) - before;
    assert!(first < 100, "{first} messages: the cache did not serve");
}

#[test]
fn random_operations_agree_with_a_model() {
    for seed in 1..6u64 {
        let g = Guest::new();
        let f = g.open("/f", create()).unwrap();
        let mut model: Vec<u8> = Vec::new();
        let mut x = seed;
        let mut rnd = |n: usize| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (x >> 33) as usize % n
        };
        let mut other = None;
        for step in 0..600 {
            let (at, n) = (rnd(40_000), rnd(9_000) + 1);
            match rnd(9) {
                0..=2 => {
                    let data = pattern(n, step);
                    assert_eq!(write_at(&f, at as u64, &data).unwrap(), n);
                    model.resize(model.len().max(at + n), 0);
                    model[at..at + n].copy_from_slice(&data);
                }
                3 => {
                    resize(&f, at as u64).unwrap();
                    model.resize(at, 0);
                }
                4 => {
                    // As a shared mapping writes.
                    let index = (at / PAGE_SIZE) as u64;
                    if let Some(p) = f.map_page(index, true).unwrap() {
                        let (from, to) = (at / PAGE_SIZE * PAGE_SIZE, model.len());
                        let n = 100.min(to - from);
                        p.write(0, &pattern(n, step + 9));
                        model[from..from + n].copy_from_slice(&pattern(n, step + 9));
                    }
                }
                5 => {
                    f.downcast::<OpenFile>().unwrap().path.inode().sync(false).unwrap();
                    assert!(fs::read(g.at("f")).unwrap() == model, "seed {seed} step {step}");
                }
                8 => {
                    // Small consecutive ones, which are delayed.
                    for k in 0..5 {
                        let at = at + k * 300;
                        assert_eq!(write_at(&f, at as u64, &pattern(300, step + k)).unwrap(), 300);
                        model.resize(model.len().max(at + 300), 0);
                        model[at..at + 300].copy_from_slice(&pattern(300, step + k));
                    }
                }
                6 => other = Some(g.open("/f", RW).unwrap()),
                _ => {}
            }
            let got = read_at(other.as_ref().unwrap_or(&f), at as u64, n).unwrap();
            let want = model.get(at..).unwrap_or_default();
            assert!(got == want[..n.min(want.len())], "seed {seed} step {step}");
            assert_eq!(f.stat().unwrap().size as usize, model.len());
        }
    }
}

#[test]
fn the_host_changes_content() {
    let g = Guest::new();
    g.put("f", "first");
    let f = g.open("/f", RD).unwrap();
    assert_eq!(read_at(&f, 0, 20).unwrap(), b"first");
    // Same size, and within the same second.
    g.put("f", "later");
    assert_eq!(g.read_file("/f").unwrap(), "later");
    assert_eq!(read_at(&f, 0, 20).unwrap(), b"later");
    // Added data is seen even without opening again.
    fs::File::options().append(true).open(g.at("f")).unwrap().write_all_at(b" and more", 5).unwrap_or(());
    std::io::Write::write_all(&mut fs::File::options().append(true).open(g.at("f")).unwrap(), b"!").unwrap();
    assert_eq!(read_at(&f, 5, 20).unwrap().last(), Some(&b'!'));
    g.put("f", "x");
    assert_eq!(g.read_file("/f").unwrap(), "x");
    assert_eq!(g.stat("/f").unwrap().size, 1);
}

#[test]
fn the_host_changes_pages_that_are_mapped() {
    let g = Guest::new();
    g.put("f", "first");
    let f = g.open("/f", RD).unwrap();
    // Held as by a mapping, or by a read in progress.
    let mapped = f.map_page(0, false).unwrap();
    g.put("f", "later");
    assert_eq!(g.read_file("/f").unwrap(), "later");
    let again = f.map_page(0, false).unwrap();
    g.put("f", "later and more");
    assert_eq!(g.read_file("/f").unwrap(), "later and more");
    drop((mapped, again));
}

#[test]
fn appending_never_overwrites_what_the_host_added() {
    let g = Guest::new();
    let f = g.open("/log", create() | OpenFlags::APPEND).unwrap();
    for n in 0..20 {
        write(&f, format!("guest {n}\n").as_bytes()).unwrap();
        let mut host = fs::File::options().append(true).open(g.at("log")).unwrap();
        std::io::Write::write_all(&mut host, format!("host {n}\n").as_bytes()).unwrap();
    }
    drop(f);
    // Whole lines, all of them, each side's in order: how the two mix is open until the file is closed.
    let all = g.get("log");
    for side in ["guest", "host"] {
        let lines: Vec<_> = all.lines().filter(|l| l.starts_with(side)).map(str::to_owned).collect();
        assert_eq!(lines, (0..20).map(|n| format!("{side} {n}")).collect::<Vec<_>>());
    }
    assert_eq!(all.lines().count(), 40);
    assert_eq!(g.read_file("/log").unwrap(), all);
}

#[test]
fn unlinked_files_live_on() {
    let g = Guest::new();
    let f = g.open("/t", create()).unwrap();
    write(&f, &pattern(10_000, 3)).unwrap();
    g.unlink("/t").unwrap();
    g.put("t", "somebody else");
    assert_eq!(f.stat().unwrap().nlink, 0);
    resize(&f, 5_000).unwrap();
    resize(&f, 9_000).unwrap();
    let got = read_at(&f, 0, 20_000).unwrap();
    assert!(got.len() == 9_000 && got[..5_000] == pattern(10_000, 3)[..5_000]);
    assert!(got[5_000..].iter().all(|&b| b == 0));
    write_at(&f, 8_000, b"end").unwrap();
    assert_eq!(read_at(&f, 8_000, 3).unwrap(), b"end");
    f.downcast::<OpenFile>().unwrap().path.inode().sync(false).unwrap();
    let at = &f.downcast::<OpenFile>().unwrap().path;
    g.p.chmod(at, 0o600).unwrap();
    assert_eq!(g.get("t"), "somebody else");
    assert_eq!(f.stat().unwrap().mode & 0o777, 0o600);
    // A file with another name is found by that name.
    g.put("a", "two names");
    fs::hard_link(g.at("a"), g.at("b")).unwrap();
    let a = g.open("/a", RW).unwrap();
    g.unlink("/a").unwrap();
    assert_eq!(g.read_file("/b").unwrap(), "two names");
    resize(&a, 3).unwrap();
    assert_eq!(g.get("b"), "two");
    drop((a, f));
    g.until_closed();
}

#[test]
fn errors_belong_to_the_call() {
    let g = Guest::new();
    let f = g.open("/f", create()).unwrap();
    for e in [Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EACCES] {
        *g.server.fail_write.lock().unwrap() = Some(Err(e));
        assert_eq!(err(write_at(&f, 0, b"lost")), e);
    }
    *g.server.fail_write.lock().unwrap() = Some(Ok(3));
    assert_eq!(write_at(&f, 0, b"partly"), Ok(3));
    assert_eq!((g.get("f"), f.stat().unwrap().size), ("par".into(), 3));
    assert_eq!(read_at(&f, 0, 9).unwrap(), b"par");
    // A mapping's page: the error waits for the sync, and the data is still there to read.
    let page = f.map_page(0, true).unwrap().unwrap();
    page.write(0, b"map");
    *g.server.fail_write.lock().unwrap() = Some(Err(Errno::ENOSPC));
    assert_eq!(err(f.downcast::<OpenFile>().unwrap().path.inode().sync(false)), Errno::ENOSPC);
    assert_eq!(read_at(&f, 0, 9).unwrap(), b"map");
    let before = g.server.fsyncs.load(Ordering::Relaxed);
    f.downcast::<OpenFile>().unwrap().path.inode().sync(true).unwrap();
    g.open("/", RD).unwrap().downcast::<OpenFile>().unwrap().path.inode().sync(false).unwrap();
    assert_eq!(g.server.fsyncs.load(Ordering::Relaxed), before + 2);
}

#[test]
fn dirty_pages_of_a_mapping_outlive_the_descriptor() {
    let g = Guest::new();
    g.put("f", "0123456789");
    let f = g.open("/f", RW).unwrap();
    f.map_page(0, true).unwrap().unwrap().write(2, b"ab");
    drop(f);
    libos_fs::cache::write_back_all().unwrap();
    assert_eq!(g.get("f"), "01ab456789");
    assert_eq!(g.read_file("/f").unwrap(), "01ab456789");
    // Nor are they lost with one of two names.
    let f = g.open("/f", RW).unwrap();
    f.map_page(0, true).unwrap().unwrap().write(8, b"yz");
    drop(f);
    let from = g.p.lookup(DirFd::CWD, b"/f", true).unwrap();
    g.p.link(from, DirFd::CWD, b"/second").unwrap();
    g.unlink("/f").unwrap();
    libos_fs::cache::write_back_all().unwrap();
    assert_eq!(g.get("second"), "01ab4567yz");
    assert_eq!(g.read_file("/second").unwrap(), "01ab4567yz");
    g.until_closed();
}

#[test]
fn threads_append_whole_records() {
    let g = Arc::new(Guest::new());
    drop(g.open("/log", create()).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|t| {
            let g = g.clone();
            std::thread::spawn(move || {
                let f = g.open("/log", RW | OpenFlags::APPEND).unwrap();
                for n in 0..50 {
                    write(&f, format!("{t}:{n:03}{}\n", "x".repeat(5000)).as_bytes()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    let all = g.get("log");
    assert_eq!(all.lines().count(), 200);
    assert!(all.lines().all(|l| l.len() == 5005));
}
