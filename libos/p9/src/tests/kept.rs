//! Files that are opened again and again: how many messages that takes, and what the host may do meanwhile.

use super::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn messages_of_open_append_close() {
    let g = Guest::new();
    let once = || {
        let f = g.open("/log", append()).unwrap();
        assert_eq!(write(&f, b"line\n"), Ok(5));
        close(&g, f).unwrap();
    };
    once();
    once();
    // Walk to the name, compare, write; and the fid from the previous walk is dropped. Every 50 ms a fid is opened
    // anew.
    let start = Instant::now();
    let n = g.count(|| (0..100).for_each(|_| once()));
    let pauses = start.elapsed().as_millis() as usize / 50 + 1;
    assert!(n <= 400 + 4 * pauses, "{n} messages for a hundred times open, append, close");
    assert_eq!(g.get("log"), "line\n".repeat(102));
    g.until_closed();
}

#[test]
fn messages_of_open_read_close() {
    let g = Guest::new();
    g.put("f", "text");
    assert_eq!(g.read_file("/f").unwrap(), "text");
    let start = Instant::now();
    let n = g.count(|| (0..100).for_each(|_| assert_eq!(g.read_file("/f").unwrap(), "text")));
    let pauses = start.elapsed().as_millis() as usize / 50 + 1;
    // The end is looked up on the host each time.
    assert!(n <= 400 + 4 * pauses, "{n} messages for a hundred times open, read, close");
}

#[test]
fn the_host_appends_between_open_and_write() {
    let g = Guest::new();
    let mut want = String::new();
    for n in 0..20 {
        let f = g.open("/log", append()).unwrap();
        let mut host = fs::File::options().append(true).open(g.at("log")).unwrap();
        std::io::Write::write_all(&mut host, format!("host {n}\n").as_bytes()).unwrap();
        write(&f, format!("guest {n}\n").as_bytes()).unwrap();
        close(&g, f).unwrap();
        want += &format!("host {n}\nguest {n}\n");
    }
    // The descriptor that creates the file is open for everything, and finds the end by asking.
    assert_eq!(g.get("log"), want);
    assert_eq!(g.read_file("/log").unwrap(), want);
}

#[test]
fn a_name_that_leads_elsewhere_is_noticed() {
    let g = Guest::new();
    let once = |text: &str| {
        let f = g.open("/log", append()).unwrap();
        write(&f, text.as_bytes()).unwrap();
        close(&g, f).unwrap();
    };
    once("first\n");
    once("second\n");
    fs::rename(g.at("log"), g.at("log.1")).unwrap();
    once("third\n");
    assert_eq!((g.get("log.1"), g.get("log")), ("first\nsecond\n".into(), "third\n".into()));
    fs::remove_file(g.at("log")).unwrap();
    assert_eq!(err(g.open("/log", OpenFlags::WRONLY | OpenFlags::APPEND)), Errno::ENOENT);
    // Renamed here.
    once("fourth\n");
    g.rename("/log", "/log.2").unwrap();
    once("fifth\n");
    assert_eq!((g.get("log.2"), g.get("log")), ("fourth\n".into(), "fifth\n".into()));
}

#[test]
fn permissions_are_the_hosts() {
    let g = Guest::new();
    let f = || g.open("/log", append()).unwrap();
    close(&g, f()).unwrap();
    let opens = || {
        let before = g.server.opens.load(Ordering::Relaxed);
        close(&g, f()).unwrap();
        g.server.opens.load(Ordering::Relaxed) - before
    };
    // Which may have taken longer than a fid is kept.
    assert!((0..1000).any(|_| opens() == 0));
    fs::set_permissions(g.at("log"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(opens(), 1);
    assert_eq!(fs::metadata(g.at("log")).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_removed_file_is_let_go_at_once() {
    let g = Guest::new();
    close(&g, g.open("/f", create()).unwrap()).unwrap();
    close(&g, g.open("/f", RD).unwrap()).unwrap();
    g.unlink("/f").unwrap();
    // The next message reports it.
    assert_eq!(err(g.stat("/f")), Errno::ENOENT);
    assert_eq!(g.server.fids().1, 0);
}

#[test]
fn a_log_without_a_name_is_cut_and_goes_on() {
    let g = Guest::new();
    g.put("log", "old\n");
    let f = g.open("/log", append()).unwrap();
    write(&f, b"line\n").unwrap();
    g.unlink("/log").unwrap();
    resize(&f, 0).unwrap();
    write(&f, b"new\n").unwrap();
    write(&f, b"more\n").unwrap();
    assert_eq!(f.stat().unwrap().size, 9);
    drop(f);
    // One that only the host removed.
    g.put("log", "old\n");
    let f = g.open("/log", append()).unwrap();
    fs::remove_file(g.at("log")).unwrap();
    assert_eq!(write(&f, b"line\n"), Ok(5));
    assert_eq!(f.stat().unwrap().size, 9);
    assert_eq!(write(&f, b"line\n"), Ok(5));
    assert_eq!(f.stat().unwrap().size, 14);
}

#[test]
fn what_appends_and_reads_leaves_other_writes_their_place() {
    let g = Guest::new();
    g.put("f", "0123456789");
    // The first one to open it for both shares its fid with all, including the cache's pages.
    let both = g.open("/f", RW | OpenFlags::APPEND).unwrap();
    let other = g.open("/f", RW).unwrap();
    assert_eq!(write_at(&other, 2, b"ab"), Ok(2));
    assert_eq!(write(&both, b"end"), Ok(3));
    assert_eq!(g.get("f"), "01ab456789end");
    close(&g, both).unwrap();
    close(&g, other).unwrap();
    let again = g.open("/f", RW).unwrap();
    assert_eq!(write_at(&again, 0, b"x"), Ok(1));
    assert_eq!(g.get("f"), "x1ab456789end");
}
