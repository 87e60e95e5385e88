//! Volumes with random bits flipped: a clear refusal, or a mount on which everything can be read and tried.

use super::*;
use libos_base::Errno;
use libos_fs::inode::FileSystem;

fn sample(shape: &Shape) -> Vec<u8> {
    let fs = Fs::new(shape);
    let mut path = String::new();
    for i in 0..4 {
        path += &format!("/directory {i}");
        fs.mkdir(&path).unwrap();
        for j in 0..6 {
            fs.put(&format!("{path}/file with number {j}"), &vec![j as u8; j * 700]);
        }
    }
    fs.put("/big", &[9; 30_000]);
    fs.close()
}

/// Reads everything below `path`, and tries to change some of it.
fn use_all(fs: &Fs, path: &str, depth: usize, budget: &mut usize) {
    let Ok(dir) = fs.p.lookup(DirFd::CWD, path.as_bytes(), true) else { return };
    let mut found = Vec::new();
    let _ = dir.dentry.readdir(0, &mut |e| {
        found.push((e.name.to_vec(), e.kind == libos_base::abi::mode::S_IFDIR));
        found.len() < 500
    });
    for (name, is_dir) in found {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let Ok(name) = String::from_utf8(name) else { panic!("a name is not UTF-8") };
        let at = format!("{}/{name}", path.trim_end_matches('/'));
        if is_dir {
            if depth < 12 {
                use_all(fs, &at, depth + 1, budget);
            }
            let _ = fs.rmdir(&at);
            continue;
        }
        if let Ok(f) = fs.open(&at, OpenFlags::RDWR) {
            let _ = read(&f, 0, 50_000);
            let _ = write(&f, 100, b"changed");
            let _ = f.stat();
            let _ = f.sync(false);
        }
        match *budget % 4 {
            0 => drop(fs.unlink(&at)),
            1 => drop(fs.truncate(&at, 10)),
            2 => drop(fs.rename(&at, &format!("{at}.moved"))),
            _ => {}
        }
    }
    let _ = fs.open(&format!("{path}/new"), OpenFlags::RDWR | OpenFlags::CREAT);
}

fn flip(image: &mut [u8], random: &mut Random, metadata: usize) {
    for _ in 0..1 + random.below(12) {
        // Mostly where it hurts.
        let end = match random.below(4) {
            0 => 90,
            1 | 2 => metadata,
            _ => image.len(),
        };
        let bit = random.below(end as u64 * 8);
        image[bit as usize / 8] ^= 1 << (bit % 8);
    }
}

fn run(shape: &Shape, metadata: usize, seeds: std::ops::Range<u64>) {
    let good = sample(shape);
    let (mut refused, mut mounted) = (0, 0);
    for seed in seeds {
        let mut random = Random(seed);
        let mut image = good.clone();
        flip(&mut image, &mut random, metadata);
        // Some as after a crash, so that the check runs.
        if seed % 3 == 0 {
            let g = crate::geometry::Geometry::parse(image[..512].try_into().unwrap(), image.len() as u64);
            match g.map(|g| g.info_at) {
                Ok(Some(at)) => image[at as usize + 488..at as usize + 492].fill(0xff),
                _ => image[37] |= crate::geometry::STATE_IN_USE,
            }
        }
        let read_only = seed % 5 == 0;
        let disk = if read_only { MemDisk::read_only(image) } else { MemDisk::from_image(image) };
        match Fs::try_open(&disk) {
            Err(_) => refused += 1,
            Ok(fs) => {
                mounted += 1;
                use_all(&fs, "/", 0, &mut 300);
                if read_only {
                    assert_eq!(fs.mkdir("/no"), Err(Errno::EROFS));
                }
                let _ = fs.vol.unmount();
            }
        }
    }
    eprintln!("{}: {refused} refused, {mounted} mounted", shape.0);
}

#[test]
fn bit_flips() {
    run(&("fat12", FatType::Fat12, 300 << 10, 512), 24 << 10, 0..600);
    run(&("fat16", FatType::Fat16, 2300 << 10, 512), 60 << 10, 1000..1350);
    run(&("fat32", FatType::Fat32, 34 << 20, 512), 600 << 10, 2000..2050);
}

#[test]
fn volumes_that_are_none() {
    let refuse = |image: Vec<u8>| match Volume::open(MemDisk::from_image(image), false) {
        Err(Refused::Unusable(why)) => why,
        Err(Refused::Error(e)) => panic!("{e}"),
        Ok(_) => panic!("mounted"),
    };
    assert_eq!(refuse(Vec::new()), "the disk is empty");
    assert_eq!(refuse(vec![0; 512]), "no boot sector signature");
    let good = format(&SHAPES[0]);
    assert_eq!(refuse(good[..good.len() / 2].to_vec()), "larger than the disk");
    for seed in 0..2000 {
        let mut random = Random(seed);
        let mut image = good[..good.len().min(64 << 10)].to_vec();
        for byte in &mut image[11..90] {
            if random.below(3) == 0 {
                *byte = [0, 1, 0xff, random.next() as u8][random.below(4) as usize];
            }
        }
        let _ = Volume::open(MemDisk::from_image(image), false);
    }
}

#[test]
fn what_others_left_dirty_is_read_only() {
    let mut image = sample(&SHAPES[2]);
    image[37] |= 1;
    let fs = Fs::open_image(image);
    assert_eq!(fs.mkdir("/x"), Err(Errno::EROFS));
    assert_eq!(fs.get("/big").unwrap(), [9; 30_000]);
    let before = fs.disk.image();
    fs.vol.unmount().unwrap();
    assert!(fs.disk.image() == before);
}

#[test]
fn failing_disks() {
    use libos_base::block::Op;
    for (op, n) in [(Op::Write, 60), (Op::Flush, 30), (Op::Read, 40)] {
        for skip in 0..n {
            let fs = Fs::open_image(sample(&("fat12", FatType::Fat12, 300 << 10, 512)));
            fs.put("/kept", b"kept");
            fs.sync_file("/kept").unwrap();
            fs.disk.fail(op, skip, 1);
            let mut errors = 0;
            for i in 0..8 {
                let name = format!("/directory 0/new {i}");
                let r = fs.open(&name, OpenFlags::RDWR | OpenFlags::CREAT).and_then(|f| {
                    write(&f, 0, &[i; 2000])?;
                    f.sync(false)
                });
                errors += usize::from(r.is_err());
                if r.is_ok() {
                    // What was acknowledged survives a power cut.
                    let after = Fs::open_image(fs.disk.durable());
                    assert!(after.get(&name).unwrap() == [i; 2000], "{op:?} {skip}: {name}");
                }
                let _ = fs.unlink(&format!("/directory 0/file with number {}", i % 6));
            }
            fs.disk.fail(op, 0, 0);
            let _ = errors;
            assert_eq!(fs.vol.sync_all(), Ok(()), "{op:?} {skip}");
            assert_eq!(fs.get("/kept").unwrap(), b"kept");
            if op != Op::Read {
                fsck(&fs.close());
            }
        }
    }
}

/// A file whose entry may or may not be on the disk, since writing it failed, is removed, replaced, or changed again.
#[test]
fn what_failed_is_changed_again() {
    use libos_base::block::Op;
    const LONG: &str = "a name that takes more than one sector of slots, so that its parts are written at different times, \
                        and which is therefore made longer and longer until that is certainly so, not before.journal";
    for then in ["unlink", "again", "replace", "rename", "truncate", "directory"] {
        for (op, n) in [(Op::Write, 24), (Op::Flush, 10), (Op::Read, 12)] {
            for (skip, name) in (0..n).flat_map(|skip| [(skip, "app.db-journal"), (skip, LONG)]) {
                let what = format!("{then}, {op:?} {skip}, {name}");
                let fs = Fs::open_image(sample(&("fat12", FatType::Fat12, 300 << 10, 512)));
                let path = format!("/directory 0/{name}");
                let make = || {
                    let f = fs.open(&path, OpenFlags::RDWR | OpenFlags::CREAT)?;
                    write(&f, 0, &[1; 3000])?;
                    f.sync(false)
                };
                fs.disk.fail(op, skip, 1);
                let made = if then == "directory" {
                    fs.mkdir(&path).and_then(|()| fs.inode("/directory 0")?.sync(false))
                } else {
                    make()
                };
                fs.disk.fail(op, 0, 0);
                if fs.inode(&path).is_err() {
                    assert!(made.is_err(), "{what}");
                    continue;
                }
                match then {
                    "directory" => fs.rmdir(&path).unwrap(),
                    "rename" => fs.rename(&path, "/directory 0/other").unwrap(),
                    "truncate" => fs.truncate(&path, 700).unwrap(),
                    "replace" => {
                        fs.put("/directory 0/other", &[2; 900]);
                        fs.sync_file("/directory 0/other").unwrap();
                        fs.rename("/directory 0/other", &path).unwrap();
                    }
                    _ => fs.unlink(&path).unwrap(),
                }
                if then == "again" {
                    fs.put(&path, &[3; 1500]);
                    fs.sync_file(&path).unwrap();
                }
                // Takes the clusters that are free now.
                fs.put("/after", &[4; 20_000]);
                fs.sync_file("/after").unwrap();
                let after = Fs::open_image(fs.disk.durable());
                assert!(after.get("/after").unwrap() == [4; 20_000], "{what}");
                let expected: Option<(&str, Vec<u8>)> = match then {
                    "again" => Some((&path, vec![3; 1500])),
                    _ => None,
                };
                if let Some((path, content)) = expected {
                    assert!(after.get(path).unwrap() == content, "{what}");
                }
                assert!(!after.vol.is_read_only(), "{what}");
                after.close();
                assert_eq!(fs.vol.sync_all(), Ok(()), "{what}");
                if op != Op::Read {
                    let fs = fs.again();
                    let there = |path: &str| fs.get(path).ok();
                    match then {
                        "unlink" | "directory" => assert_eq!(there(&path), None, "{what}"),
                        "replace" => assert_eq!(there(&path), Some(vec![2; 900]), "{what}"),
                        "again" => assert_eq!(there(&path), Some(vec![3; 1500]), "{what}"),
                        "truncate" if made.is_ok() => assert_eq!(there(&path), Some(vec![1; 700]), "{what}"),
                        "rename" if made.is_ok() => {
                            assert_eq!(there("/directory 0/other"), Some(vec![1; 3000]), "{what}")
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn syncfs_tells_an_error_once_to_each_description() {
    use libos_base::block::Op;
    use libos_fs::openfile::OpenFile;
    let fs = Fs::new(&SHAPES[1]);
    let f = fs.create("/f");
    let other = fs.create("/other");
    let sync_fs = |f: &Arc<dyn FileLike>| f.downcast::<OpenFile>().unwrap().sync_fs();
    write(&f, 0, &[1; 5000]).unwrap();
    assert_eq!((sync_fs(&f), sync_fs(&other)), (Ok(()), Ok(())));
    write(&f, 0, &[2; 5000]).unwrap();
    fs.disk.fail(Op::Write, 0, u64::MAX);
    // The write-back in the background fails.
    let _ = f.downcast::<OpenFile>().unwrap().path.inode().cache().unwrap().flush(0..u64::MAX);
    fs.disk.fail(Op::Write, 0, 0);
    // It has not been reported yet, so a new opener gets it, too, and so does everyone with a file of the volume open.
    let late = fs.create("/late");
    for who in [&other, &f, &late] {
        assert_eq!(sync_fs(who), Err(Errno::EIO));
        assert_eq!(sync_fs(who), Ok(()));
    }
    assert_eq!(sync_fs(&fs.create("/later")), Ok(()));
    // `fsync` reports it separately, and only that of the file itself.
    assert_eq!((other.sync(false), f.sync(false), f.sync(false)), (Ok(()), Err(Errno::EIO), Ok(())));
}

/// A file replaces another, and a request fails on the way: there is always one or the other.
#[test]
fn replacing_on_a_failing_disk() {
    use libos_base::block::Op;
    for (op, n) in [(Op::Write, 16), (Op::Flush, 6)] {
        for skip in 0..n {
            let fs = Fs::new(&SHAPES[3]);
            let step = |byte: u8, len: usize| {
                fs.put("/settings.tmp", &vec![byte; len]);
                fs.sync_file("/settings.tmp")?;
                fs.rename("/settings.tmp", "/settings")?;
                fs.inode("/")?.sync(false)
            };
            let put = |path: &str, len: usize| {
                fs.put(path, &vec![7; len]);
                fs.sync_file(path).unwrap();
            };
            step(1, 800).unwrap();
            fs.mkdir("/trees").unwrap();
            fs.mkdir("/trees/tree number 2").unwrap();
            put("/trees/tree number 2/leaf", 1500);
            for path in ["/trees/tree number 2", "/trees", "/"] {
                fs.inode(path).unwrap().sync(false).unwrap();
            }
            put("/blocks", 4096);
            put("/synchronous.txt", 2900);
            put("/resized", 4885);
            fs.unlink("/trees/tree number 2/leaf").unwrap();
            fs.rmdir("/trees/tree number 2").unwrap();
            fs.inode("/trees").unwrap().sync(false).unwrap();
            put("/log.txt", 5000);
            fs.disk.fail(op, skip, 1);
            let done = step(8, 5700);
            fs.disk.fail(op, 0, 0);
            let fs = fs.again();
            assert_eq!(fs.list("/trees"), [""; 0]);
            for (path, len) in [("/blocks", 4096), ("/synchronous.txt", 2900), ("/resized", 4885), ("/log.txt", 5000)] {
                assert!(fs.get(path) == Ok(vec![7; len]), "{op:?} {skip}: {path}");
            }
            let found = fs.get("/settings").unwrap_or_default();
            let (old, new) = (found == [1; 800], found == [8; 5700]);
            assert!(new || old && done.is_err(), "{op:?} {skip}: {done:?}, {} bytes", found.len());
        }
    }
}
