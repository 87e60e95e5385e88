//! Names: directories, links, renames, and what happens behind our back.

use super::*;
use libos_base::abi::{DirFd, Whence, mode::*};
use libos_fs::inode::New;
use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn objects_of_every_kind() {
    let g = Guest::new();
    g.p.mkdir(DirFd::CWD, b"/d", 0o755).unwrap();
    write(&g.open("/d/f", create()).unwrap(), b"hello").unwrap();
    g.p.symlink(b"../d/f", DirFd::CWD, b"/d/l").unwrap();
    let from = g.p.lookup(DirFd::CWD, b"/d/f", true).unwrap();
    g.p.link(from, DirFd::CWD, b"/h").unwrap();
    assert_eq!((g.get("d/f"), g.get("h")), ("hello".into(), "hello".into()));
    assert_eq!(fs::read_link(g.at("d/l")).unwrap().to_str(), Some("../d/f"));
    assert_eq!(g.read_file("/d/l").unwrap(), "hello");
    let (a, b) = (g.stat("/d/f").unwrap(), g.stat("/h").unwrap());
    assert_eq!((a.ino, a.nlink, a.size, a.mode), (b.ino, 2, 5, S_IFREG | 0o644));
    assert_eq!(a.ino, fs::metadata(g.at("h")).unwrap().ino());
    assert_eq!(g.stat("/d/l").unwrap().mode & S_IFMT, S_IFLNK);
    let node = |path: &[u8], kind| g.p.make_node(DirFd::CWD, path, New { mode: kind | 0o600, rdev: 0, target: &[] });
    for kind in [S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK] {
        assert_eq!(err(node(b"/n", kind)), Errno::EPERM);
    }
    assert_eq!(err(g.p.mkdir(DirFd::CWD, b"/d", 0o755)), Errno::EEXIST);
    assert_eq!(err(g.p.unlink(DirFd::CWD, b"/d", true)), Errno::ENOTEMPTY);
    assert_eq!(err(g.unlink("/d")), Errno::EISDIR);
    assert_eq!(err(g.open("/d/none", RD)), Errno::ENOENT);
    assert_eq!(err(g.open("/d/f/x", RD)), Errno::ENOTDIR);
    for name in ["/d/f", "/d/l", "/h"] {
        g.unlink(name).unwrap();
    }
    g.p.unlink(DirFd::CWD, b"/d", true).unwrap();
    assert_eq!(fs::read_dir(&g.host).unwrap().count(), 0);
}

#[test]
fn names_of_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let g = Guest::new();
    let long = "x".repeat(255);
    for name in [&b"a b"[..], b"\xff\xfe", b"\n", b"-", b"it's \"so\"", "grüße".as_bytes(), long.as_bytes()] {
        let path = [b"/", name].concat();
        g.p.write_file(&path, name).unwrap();
        assert_eq!(fs::read(g.host.join(std::ffi::OsStr::from_bytes(name))).unwrap(), name);
        assert_eq!(g.p.read_file(&path).unwrap(), name);
    }
    assert_eq!(err(g.open(&format!("/{long}x"), create())), Errno::ENAMETOOLONG);
}

#[test]
fn renames() {
    let g = Guest::new();
    g.p.mkdir(DirFd::CWD, b"/a", 0o755).unwrap();
    g.p.mkdir(DirFd::CWD, b"/b", 0o755).unwrap();
    g.put("a/f", "one");
    g.put("b/f", "two");
    let (one, two) = (g.open("/a/f", RW).unwrap(), g.open("/b/f", RW).unwrap());
    g.rename("/a/f", "/b/f").unwrap();
    assert!(!exists(&g.at("a/f")) && g.get("b/f") == "one");
    // The replaced file lives on for those who have it open, and what is done to it does not affect the other.
    assert_eq!(read_at(&two, 0, 9).unwrap(), b"two");
    assert_eq!(two.stat().unwrap().nlink, 0);
    write_at(&two, 3, b" more").unwrap();
    resize(&two, 2).unwrap();
    resize(&two, 5).unwrap();
    assert_eq!(read_at(&two, 0, 9).unwrap(), b"tw\0\0\0");
    assert_eq!(two.stat().unwrap().size, 5);
    assert_eq!(g.get("b/f"), "one");
    write_at(&one, 3, b"!").unwrap();
    resize(&one, 2).unwrap();
    assert_eq!((g.get("b/f"), g.read_file("/b/f").unwrap()), ("on".into(), "on".into()));
    // A directory with an open file in it.
    g.rename("/b", "/a/c").unwrap();
    resize(&one, 1).unwrap();
    assert_eq!((g.get("a/c/f"), one.stat().unwrap().size), ("o".into(), 1));
    assert_eq!(err(g.rename("/a", "/a/c/x")), Errno::EINVAL);
    g.put("x", "");
    assert_eq!(err(g.p.rename(DirFd::CWD, b"/x", DirFd::CWD, b"/a/c/f", RenameFlags::EXCHANGE)), Errno::EINVAL);
}

#[test]
fn many_entries_come_once_whatever_goes_meanwhile() {
    let g = Guest::new();
    let want: BTreeSet<String> = (0..3_000).map(|n| format!("file-number-{n}")).collect();
    want.iter().for_each(|n| g.put(n, ""));
    for room in [300, 32768] {
        let got = g.list("/", room);
        assert_eq!(got[..2], [".", ".."]);
        assert_eq!(got.len(), want.len() + 2);
        assert_eq!(got.into_iter().skip(2).collect::<BTreeSet<_>>(), want);
    }
    // Removing entries while reading, as `rm -r` does, and going back to a position.
    let f = g.open("/", RD).unwrap();
    let dir = f.downcast::<OpenFile>().unwrap();
    let mut seen = BTreeSet::new();
    let mut half = None;
    loop {
        let names = names_of(&records(dir, 2048));
        if names.is_empty() {
            break;
        }
        for n in names.into_iter().filter(|n| n != "." && n != "..") {
            g.unlink(&format!("/{n}")).unwrap();
            assert!(seen.insert(n));
        }
        if seen.len() > 1500 && half.is_none() {
            half = Some((f.seek(0, Whence::CUR).unwrap(), seen.len()));
        }
    }
    assert_eq!(seen, want);
    let (at, read) = half.unwrap();
    want.iter().for_each(|n| g.put(n, ""));
    f.seek(at as i64, Whence::SET).unwrap();
    assert_eq!(list_open(&f, 2048).len(), want.len() - read);
    drop(f);
    // What was looked up is not kept forever.
    let (fids, open) = g.server.fids();
    assert!(fids < 400 && open == 0, "{fids} fids, {open} open");
}

#[test]
fn the_host_changes_names() {
    let g = Guest::new();
    g.put("f", "old");
    let f = g.open("/f", RW).unwrap();
    assert_eq!(read_at(&f, 0, 9).unwrap(), b"old");
    // As an editor saves files.
    g.put("f.new", "newer");
    fs::rename(g.at("f.new"), g.at("f")).unwrap();
    assert_eq!(g.read_file("/f").unwrap(), "newer");
    assert_eq!(read_at(&f, 0, 9).unwrap(), b"old");
    // The old file's fid is a path that now leads to the new one.
    assert_eq!(f.stat().unwrap().size, 3);
    resize(&f, 1).unwrap();
    assert_eq!(g.get("f"), "newer");
    fs::remove_file(g.at("f")).unwrap();
    assert_eq!(err(g.open("/f", RD)), Errno::ENOENT);
    assert_eq!(err(g.stat("/f")), Errno::ENOENT);
    fs::create_dir(g.at("f")).unwrap();
    assert_eq!(g.stat("/f").unwrap().mode & S_IFMT, S_IFDIR);
    g.put("f/inner", "x");
    assert_eq!(g.list("/f", 1000), [".", "..", "inner"]);
    fs::rename(g.at("f"), g.at("g")).unwrap();
    assert_eq!(g.read_file("/g/inner").unwrap(), "x");
}

#[test]
fn attributes_reach_the_host() {
    let g = Guest::new();
    g.put("f", "x");
    let at = g.p.lookup(DirFd::CWD, b"/f", true).unwrap();
    g.p.chmod(&at, 0o4711).unwrap();
    let t = libos_base::abi::Timespec { sec: 1_000_000_000, nsec: 123_456_789 };
    let times = libos_fs::inode::SetAttr { atime: Some(t), mtime: Some(t), ..Default::default() };
    g.p.set_attr(&at, &times).unwrap();
    let m = fs::metadata(g.at("f")).unwrap();
    assert_eq!((m.permissions().mode() & 0o7777, m.mtime(), m.mtime_nsec()), (0o4711, t.sec, t.nsec));
    assert_eq!((g.stat("/f").unwrap().mtime, g.stat("/f").unwrap().atime), (t, t));
    // A file that its creator may not open again.
    let f = g.p.open(DirFd::CWD, b"/ro", create(), 0o400).unwrap();
    write(&f, b"written").unwrap();
    assert_eq!(g.get("ro"), "written");
    let s = g.p.statfs(&at);
    assert_eq!((s.kind, s.bsize, s.blocks, s.bavail, s.fsid), (0x0102_1997, 4096, 1000, 400, [7, 0]));
    assert_eq!(at.mount.fs.name(), "9p");
}

#[test]
fn fids_come_back() {
    let g = Guest::new();
    g.put("f", "x");
    for _ in 0..500 {
        drop(g.open("/f", RD).unwrap());
        assert_eq!(err(g.stat("/none")), Errno::ENOENT);
    }
    g.until_closed();
    let (fids, _) = g.server.fids();
    assert!(fids < 8, "{fids} fids");
}

#[test]
fn replies_are_not_trusted() {
    let spoils: [server::Spoil; 7] = [
        |a| a.truncate(5),
        |a| a.truncate(8),
        |a| a[4] ^= 4,
        |a| a[0] = 255,
        |a| a[..4].fill(0xff),
        |a| a[7..].fill(0xff),
        |a| a.iter_mut().skip(7).for_each(|b| *b = b.wrapping_mul(31)),
    ];
    for (n, spoil) in spoils.into_iter().enumerate() {
        let g = Guest::new();
        g.put("f", "content");
        let f = g.open("/f", RW).unwrap();
        *g.server.spoil.lock().unwrap() = Some(spoil);
        assert!(g.open("/f", RD).is_err(), "{n}");
        let _ = f.stat();
        let _ = read_at(&f, 0, 100);
        let _ = write_at(&f, 0, b"abc");
        let dir = g.open("/", RD);
        assert!(dir.is_err(), "{n}");
        let _ = g.p.readlink(DirFd::CWD, b"/f");
        *g.server.spoil.lock().unwrap() = None;
        assert!(g.open("/f", RD).is_ok(), "{n}");
    }
}

#[test]
fn names_that_nobody_uses_go() {
    let g = Guest::new();
    for n in 0..2_000 {
        drop(g.open(&format!("/{n}"), create()).unwrap());
    }
    let (fids, _) = g.server.fids();
    assert!(fids < 600, "{fids} fids");
}
