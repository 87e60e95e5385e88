use super::*;
use libos_base::Errno;
use libos_base::abi::{DirFd, Timespec, mode::*};
use libos_base::block::Op;
use libos_fs::inode::SetAttr;

#[test]
fn files_come_back() {
    for shape in SHAPES {
        eprintln!("{}", shape.0);
        let fs = Fs::new(shape);
        let big: Vec<u8> = (0..100_000u32).map(|i| (i / 7) as u8).collect();
        fs.put("/a.txt", b"hello");
        fs.put("/A long name with ümlauts.data", &big);
        fs.put("/ärger", b"");
        fs.mkdir("/dir").unwrap();
        fs.mkdir("/dir/Sub Dir").unwrap();
        fs.put("/dir/Sub Dir/x", b"x");
        assert_eq!(fs.mkdir("/DIR"), Err(Errno::EEXIST));
        assert_eq!(fs.get("/DIR/sub dir/X").unwrap(), b"x");
        let fs = fs.again();
        assert_eq!(fs.get("/a.txt").unwrap(), b"hello");
        assert!(fs.get("/a LONG name with Ümlauts.data").unwrap() == big);
        assert_eq!(fs.get("/ärger").unwrap(), b"");
        let mut names = fs.list("/");
        names.sort();
        assert_eq!(names, ["A long name with ümlauts.data", "a.txt", "dir", "ärger"]);
        assert_eq!(fs.list("/dir"), ["Sub Dir"]);
        assert_eq!(fs.inode("/dir").unwrap().stat().unwrap().nlink, 3);
        fs.rename("/dir/Sub Dir", "/moved").unwrap();
        fs.rename("/a.txt", "/moved/b").unwrap();
        fs.rename("/moved/b", "/moved/B").unwrap();
        assert_eq!(fs.list("/moved"), ["x", "B"]);
        fs.unlink("/A LONG NAME WITH ümlauts.data").unwrap();
        assert_eq!(fs.rmdir("/moved"), Err(Errno::ENOTEMPTY));
        let fs = fs.again();
        assert_eq!(fs.get("/moved/b").unwrap(), b"hello");
        assert_eq!(fs.get("/a.txt"), Err(Errno::ENOENT));
        fs.rmdir("/dir").unwrap();
        fs.unlink("/moved/x").unwrap();
        fs.unlink("/moved/b").unwrap();
        fs.rmdir("/moved").unwrap();
        fs.unlink("/ärger").unwrap();
        let fs = fs.again();
        assert_eq!(fs.list("/"), [""; 0]);
        let s = fs.p.statfs(&fs.p.root().unwrap());
        let used = s.blocks - s.bfree;
        // The root of FAT32; on FAT12, clusters that are never used.
        let most = if shape.1 == FatType::Fat12 { 8 } else { 1 };
        assert!(used <= most, "{used} clusters in use");
    }
}

/// A file that is truncated and grows again between two commits shows zeros afterwards, not its old content.
#[test]
fn cut_and_grown_again() {
    let other = |fs: &Fs, n: usize| {
        let f = fs.create("/other");
        write(&f, 0, &vec![b'o'; n]).unwrap();
        f.sync(false).unwrap();
    };
    for shape in SHAPES {
        for (len, between, sync) in
            [(100_000, 0, true), (100_000, 2, false), (70_000, 1, true), (70_000, 2, false), (100_000, 1, false)]
        {
            eprintln!("{} {len} {between} {sync}", shape.0);
            let fs = Fs::new(shape);
            fs.put("/f", &vec![0xaa; 100_000]);
            fs.vol.sync_all().unwrap();
            fs.truncate("/f", 30_031).unwrap();
            if between == 1 {
                other(&fs, 10);
            }
            fs.truncate("/f", len).unwrap();
            if between == 2 {
                other(&fs, 20);
            }
            let mut want = vec![0xaa; 30_031];
            want.resize(len as usize, 0);
            let fs = if sync {
                fs.sync_file("/f").unwrap();
                // A power cut: what was not flushed is lost.
                Fs::open_image(fs.disk.durable())
            } else {
                fs.again()
            };
            assert!(fs.get("/f").unwrap() == want, "{} {len} {between} {sync}", shape.0);
        }
    }
}

#[test]
fn holes_and_lengths() {
    for shape in SHAPES {
        eprintln!("{}", shape.0);
        let fs = Fs::new(shape);
        // Old content on the disk, which must not be seen anywhere.
        fs.put("/junk", &vec![0xaa; 600_000]);
        fs.sync_file("/junk").unwrap();
        fs.unlink("/junk").unwrap();
        fs.vol.sync_all().unwrap();
        let f = fs.create("/f");
        write(&f, 10_000, b"x").unwrap();
        fs.truncate("/f", 50_000).unwrap();
        write(&f, 49_000, b"y").unwrap();
        f.sync(false).unwrap();
        fs.truncate("/f", 20_000).unwrap();
        fs.truncate("/f", 300_001).unwrap();
        let mut want = vec![0; 300_001];
        want[10_000] = b'x';
        assert!(fs.get("/f").unwrap() == want);
        let fs = fs.again();
        assert!(fs.get("/f").unwrap() == want);
        assert_eq!(fs.inode("/f").unwrap().resize(1 << 32), Err(Errno::EFBIG));
        assert_eq!(fs.inode("/f").unwrap().resize((1 << 32) - 1), Err(Errno::ENOSPC));
        assert!(fs.get("/f").unwrap() == want);
        fs.truncate("/f", 0).unwrap();
        let fs = fs.again();
        assert_eq!(fs.get("/f").unwrap(), b"");
    }
}

#[test]
fn open_files_outlive_their_names() {
    let fs = Fs::new(&SHAPES[5]);
    fs.put("/f", &[1; 5000]);
    fs.sync_file("/f").unwrap();
    let f = fs.open("/f", OpenFlags::RDWR).unwrap();
    fs.unlink("/f").unwrap();
    fs.put("/f", b"other");
    write(&f, 5000, &[2; 5000]).unwrap();
    f.sync(false).unwrap();
    assert!(read(&f, 0, 20_000).unwrap() == [[1; 5000], [2; 5000]].concat());
    assert_eq!(f.stat().unwrap().nlink, 0);
    assert_eq!(fs.get("/f").unwrap(), b"other");
    drop(f);
    let fs = fs.again();
    assert_eq!(fs.get("/f").unwrap(), b"other");
    let g = fs.open("/f", OpenFlags::RDWR).unwrap();
    fs.put("/g", b"new");
    fs.rename("/g", "/F").unwrap();
    assert_eq!(fs.list("/"), ["f"]);
    assert_eq!(read(&g, 0, 10).unwrap(), b"other");
    // Still open at the end.
    let fs = fs.again();
    assert_eq!(fs.get("/f").unwrap(), b"new");
}

#[test]
fn full_disks() {
    let fs = Fs::new(&SHAPES[0]);
    fs.put("/keep", b"kept");
    fs.sync_file("/keep").unwrap();
    let f = fs.create("/big");
    let mut n = 0;
    let e = loop {
        match write(&f, n, &[7; 10_000]) {
            Ok(k) => n += k as u64,
            Err(e) => break e,
        }
    };
    assert_eq!(e, Errno::ENOSPC);
    assert!(n > 900_000);
    assert_eq!(f.sync(false), Ok(()));
    assert_eq!(fs.mkdir("/d"), Err(Errno::ENOSPC));
    assert_eq!(fs.get("/keep").unwrap(), b"kept");
    fs.unlink("/big").unwrap();
    drop(f);
    let f = fs.create("/big");
    assert_eq!(write(&f, 0, &vec![8; n as usize]), Ok(n as usize));
    fs.truncate("/big", 100).unwrap();
    fs.mkdir("/d").unwrap();
    let fs = fs.again();
    assert_eq!(fs.get("/big").unwrap(), [8; 100]);
    // The root of FAT12 does not grow.
    let fs = Fs::new(&SHAPES[0]);
    let mut n = 0;
    while fs.open(&format!("/{n}"), OpenFlags::RDWR | OpenFlags::CREAT).is_ok() {
        n += 1;
    }
    assert_eq!(n, 512);
    fs.unlink("/5").unwrap();
    fs.create("/six");
    fs.again();
}

#[test]
fn many_names() {
    let fs = Fs::new(&SHAPES[5]);
    fs.mkdir("/d").unwrap();
    let start = std::time::Instant::now();
    for i in 0..3000 {
        fs.create(&format!("/d/a file with a number {i}.txt"));
    }
    for i in (0..3000).step_by(2) {
        fs.unlink(&format!("/d/a file with a number {i}.txt")).unwrap();
    }
    eprintln!("{:?}", start.elapsed());
    let fs = fs.again();
    assert_eq!(fs.list("/d").len(), 1500);
    for i in 0..1500 {
        fs.create(&format!("/d/{i}"));
    }
    assert_eq!(fs.again().list("/d").len(), 3000);
}

#[test]
fn attributes() {
    let fs = Fs::new(&SHAPES[3]);
    fs.put("/f", b"");
    let i = fs.inode("/f").unwrap();
    assert_eq!(i.stat().unwrap().mode, S_IFREG | 0o755);
    let p = fs.p.lookup(DirFd::CWD, b"/f", true).unwrap();
    fs.p.chmod(&p, 0o555).unwrap();
    assert_eq!(fs.p.chown(&p, 7, 7), Err(Errno::EPERM));
    fs.p.chown(&p, 0, 0).unwrap();
    let t = |sec| Some(libos_base::abi::Timespec { sec, nsec: 5 });
    let attr = libos_fs::inode::SetAttr { mtime: t(1_000_000_001), atime: t(1_000_000_001), ..Default::default() };
    i.set_attr(&attr).unwrap();
    drop((i, p));
    let fs = fs.again();
    let s = fs.inode("/f").unwrap().stat().unwrap();
    assert_eq!((s.mode, s.mtime.sec, s.atime.sec), (S_IFREG | 0o555, 1_000_000_000, 999_993_600));
    assert_eq!(fs.p.symlink(b"x", DirFd::CWD, b"/l"), Err(Errno::EPERM));
    let p = fs.p.lookup(DirFd::CWD, b"/f", true).unwrap();
    assert_eq!(fs.p.link(p, DirFd::CWD, b"/l"), Err(Errno::EPERM));
    fs.put("/g", b"");
    assert_eq!(fs.p.rename(DirFd::CWD, b"/f", DirFd::CWD, b"/g", RenameFlags::EXCHANGE), Err(Errno::EINVAL));
    assert_eq!(fs.open("/a:b", OpenFlags::RDWR | OpenFlags::CREAT).err(), Some(Errno::EINVAL));
    fs.put("/dots...", b"");
    assert_eq!(fs.get("/dots").unwrap(), b"");
}

#[test]
fn flushes() {
    // The crate's format does not count free clusters; a clean unmount does.
    let fs = Fs::new(&SHAPES[5]).again();
    let count = |what: &str, want: u64, f: &mut dyn FnMut()| {
        let before = fs.disk.count(Op::Flush);
        f();
        let n = fs.disk.count(Op::Flush) - before;
        eprintln!("{n} flushes: {what}");
        assert_eq!(n, want, "{what}");
    };
    fs.put("/db", &[0; 20_000]);
    count("first change of a mount, new file", 3, &mut || fs.sync_file("/db").unwrap());
    let db = fs.open("/db", OpenFlags::RDWR).unwrap();
    count("overwritten bytes", 1, &mut || {
        write(&db, 4096, &[1; 4096]).unwrap();
        db.sync(false).unwrap();
    });
    count("overwritten bytes, fdatasync", 1, &mut || {
        write(&db, 4096, &[1; 4096]).unwrap();
        db.sync(true).unwrap();
    });
    count("nothing", 0, &mut || db.sync(false).unwrap());
    count("longer file", 2, &mut || {
        write(&db, 20_000, &[1; 4096]).unwrap();
        db.sync(true).unwrap();
    });
    // SQLite, journal_mode=DELETE.
    for (extra, total) in [(false, 4), (false, 4), (true, 5), (true, 5)] {
        let before = fs.disk.count(Op::Flush);
        let mut steps = Vec::new();
        let j = fs.create("/db-journal");
        write(&j, 0, &[3; 4608]).unwrap();
        j.sync(true).unwrap();
        steps.push(fs.disk.count(Op::Flush) - before);
        fs.inode("/").unwrap().sync(false).unwrap();
        steps.push(fs.disk.count(Op::Flush) - before);
        write(&j, 0, &[4; 512]).unwrap();
        j.sync(true).unwrap();
        steps.push(fs.disk.count(Op::Flush) - before);
        write(&db, 0, &[5; 8192]).unwrap();
        db.sync(true).unwrap();
        steps.push(fs.disk.count(Op::Flush) - before);
        drop(j);
        fs.unlink("/db-journal").unwrap();
        if extra {
            fs.inode("/").unwrap().sync(false).unwrap();
        }
        eprintln!("{steps:?}");
        let n = fs.disk.count(Op::Flush) - before;
        eprintln!("{n} flushes: SQLite commit, DELETE{}", if extra { ", synchronous=EXTRA" } else { "" });
        assert_eq!(n, total);
    }
    drop(db);
    fs.again();
}

/// The space of a removed file is free at once, even while the background is working on the object.
#[test]
fn removed_files_give_their_space_back() {
    for shape in SHAPES {
        let fs = Fs::new(shape);
        let root = fs.p.root().unwrap();
        let free = fs.p.statfs(&root).bfree;
        let cluster = fs.p.statfs(&root).bsize as u64;
        let all = vec![1; (free * cluster * 3 / 4) as usize];
        for synced in [false, true] {
            fs.put("/f", &all);
            if synced {
                fs.sync_file("/f").unwrap();
            }
            let in_hand = fs.inode("/f").unwrap();
            let open = fs.open("/f", OpenFlags::RDWR).unwrap();
            fs.unlink("/f").unwrap();
            assert!(fs.p.statfs(&root).bfree < free, "{}: in use", shape.0);
            assert!(read(&open, 0, all.len()).unwrap() == all);
            drop(open);
            assert_eq!(fs.p.statfs(&root).bfree, free, "{} {synced}", shape.0);
            let f = fs.create("/g");
            assert_eq!(write(&f, 0, &all), Ok(all.len()));
            // As the background does.
            fs.vol.sync_all().unwrap();
            drop(in_hand);
            drop(f);
            fs.put("/h", b"in place of another");
            fs.rename("/h", "/g").unwrap();
            assert_eq!(fs.p.statfs(&root).bfree, free - 1);
            fs.unlink("/g").unwrap();
        }
        fsck(&fs.close());
    }
}

/// However many changes are waiting, they are written without being asked for, and arrive.
#[test]
fn many_changes() {
    let fs = Fs::new(&SHAPES[SHAPES.len() - 1]);
    fs.mkdir("/many").unwrap();
    for i in 0..crate::volume::MANY + 100 {
        fs.put(&format!("/many/{i}"), b"x");
    }
    let waiting = fs.vol.meta.lock().dirty.len();
    assert!(waiting < 200, "{waiting} objects wait");
    fs.vol.sync_all().unwrap();
    for i in 0..crate::volume::MANY + 100 {
        fs.unlink(&format!("/many/{i}")).unwrap();
    }
    let waiting = fs.vol.meta.lock().removals.len();
    assert!(waiting < 200, "{waiting} names wait");
    assert_eq!(fs.list("/many"), [""; 0]);
    fsck(&fs.close());
}

#[test]
fn the_time_of_a_write_through_a_mapping_reaches_the_disk() {
    let fs = Fs::new(&SHAPES[2]);
    fs.put("/f", b"content");
    let old = Timespec { sec: 1_000_000_000, nsec: 0 };
    let at = fs.p.lookup(DirFd::CWD, b"/f", true).unwrap();
    fs.p.set_attr(&at, &SetAttr { mtime: Some(old), ..SetAttr::default() }).unwrap();
    drop(at);
    // Nothing is waiting to be written when the fault occurs.
    let fs = fs.again();
    assert_eq!(fs.inode("/f").unwrap().stat().unwrap().mtime, old);
    let f = fs.open("/f", OpenFlags::RDWR).unwrap();
    f.map_page(0, false).unwrap();
    assert_eq!(f.stat().unwrap().mtime, old);
    f.map_page(0, true).unwrap().unwrap().write(0, b"C");
    assert_ne!(f.stat().unwrap().mtime, old);
    drop(f);
    let fs = fs.again();
    assert_ne!(fs.inode("/f").unwrap().stat().unwrap().mtime, old);
    assert_eq!(fs.get("/f").unwrap(), b"Content");
}
