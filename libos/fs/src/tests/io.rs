//! Content of files.

use super::*;
use crate::openfile::{OpenFile, path_of, resize};
use crate::permission::Who;
use crate::transfer::{self, Position};
use libos_base::abi::{DirFd, FallocateMode, Whence};
use libos_base::layout::PAGE_SIZE;

#[test]
fn positions_append_and_sparse_files() {
    let p = files();
    let f = open(&p, "/f", create()).unwrap();
    write(&f, b"hello").unwrap();
    assert_eq!(f.seek(10_000, Whence::SET).unwrap(), 10_000);
    write(&f, b"far").unwrap();
    assert_eq!(f.stat().unwrap().size, 10_003);
    assert_eq!(f.stat().unwrap().blocks, 16);
    assert_eq!(read_at(&f, 3, 6).unwrap(), b"lo\0\0\0\0");
    assert_eq!(f.seek(-3, Whence::END).unwrap(), 10_000);
    assert_eq!(read(&f, 100).unwrap(), b"far");
    assert_eq!(read(&f, 100).unwrap(), b"");
    assert_eq!(err(f.seek(-1, Whence::SET)), Errno::EINVAL);
    assert_eq!(err(f.seek(0, Whence(9))), Errno::EINVAL);
    let a = open(&p, "/f", RW | OpenFlags::APPEND).unwrap();
    write(&a, b"!").unwrap();
    assert_eq!(a.write_at(0, &mut Source::kernel(b"?")).unwrap(), 1);
    assert_eq!(read_at(&f, 10_000, 9).unwrap(), b"far!?");
    assert_eq!(err(f.write_at(crate::ramfs::data::MAX_SIZE, &mut Source::kernel(b"x"))), Errno::EFBIG);
}

#[test]
fn seek_data_and_hole() {
    let p = files();
    let f = open(&p, "/f", create()).unwrap();
    let page = PAGE_SIZE as u64;
    for at in [10, 200] {
        f.write_at(at * page, &mut Source::kernel(b"data")).unwrap();
    }
    let seek = |at: u64, w| f.seek(at as i64, w);
    assert_eq!(seek(0, Whence::DATA).unwrap(), 10 * page);
    assert_eq!(seek(10 * page + 5, Whence::DATA).unwrap(), 10 * page + 5);
    assert_eq!(seek(11 * page, Whence::DATA).unwrap(), 200 * page);
    assert_eq!(seek(0, Whence::HOLE).unwrap(), 0);
    assert_eq!(seek(10 * page, Whence::HOLE).unwrap(), 11 * page);
    assert_eq!(seek(200 * page, Whence::HOLE).unwrap(), 200 * page + 4);
    assert_eq!(err(seek(200 * page + 4, Whence::DATA)), Errno::ENXIO);
    resize(path_of(&*f).unwrap(), 1 << 50).unwrap();
    assert_eq!(err(seek(201 * page, Whence::DATA)), Errno::ENXIO);
    assert_eq!(seek(201 * page, Whence::HOLE).unwrap(), 201 * page);
}

#[test]
fn truncation_leaves_zeros() {
    let (p, fs) = small(1 << 20);
    let f = open(&p, "/f", create()).unwrap();
    write(&f, &[7; 3 * PAGE_SIZE]).unwrap();
    let file = f.downcast::<OpenFile>().unwrap();
    let free = free_pages(&fs);
    resize(&file.path, 100).unwrap();
    assert_eq!(free_pages(&fs), free + 2);
    resize(&file.path, 5000).unwrap();
    let mut want = vec![7; 100];
    want.resize(5000, 0);
    assert_eq!(read_at(&f, 0, 9999).unwrap(), want);
    let inode = file.path.inode();
    write(&f, b"").unwrap();
    inode.allocate(FallocateMode::from_bits_retain(0), 0, 20_000).unwrap();
    assert_eq!(f.stat().unwrap().size, 20_000);
    inode.allocate(FallocateMode::from_bits_retain(3), 10, 50).unwrap();
    assert_eq!(read_at(&f, 8, 4).unwrap(), [7, 7, 0, 0]);
    assert_eq!(read_at(&f, 59, 2).unwrap(), [0, 7]);
    inode.allocate(FallocateMode::from_bits_retain(1), 0, 30_000).unwrap();
    assert_eq!(f.stat().unwrap().size, 20_000);
    assert_eq!(err(inode.allocate(FallocateMode::from_bits_retain(8), 0, 4096)), Errno::EOPNOTSUPP);
}

#[test]
fn a_full_file_system_is_enospc_and_recovers() {
    let (p, fs) = small(16 * PAGE_SIZE);
    let f = open(&p, "/f", create()).unwrap();
    assert_eq!(write(&f, &[1; 20 * PAGE_SIZE]).unwrap(), 16 * PAGE_SIZE);
    assert_eq!(err(write(&f, b"x")), Errno::ENOSPC);
    assert_eq!(read_at(&f, 15 * PAGE_SIZE as u64, 2).unwrap(), [1, 1]);
    assert_eq!(err(open(&p, "/g", create()).and_then(|g| write(&g, b"x"))), Errno::ENOSPC);
    unlink(&p, "/f").unwrap();
    drop(f);
    assert_eq!(free_pages(&fs), 16);
    put(&p, "/g", "fits");
    let made = (0..).take_while(|i| p.mkdir(DirFd::CWD, format!("/{i}").as_bytes(), 0o755).is_ok()).count();
    assert_eq!(made, 1024 - 2);
    assert_eq!(err(p.mkdir(DirFd::CWD, b"/one-more", 0o755)), Errno::ENOSPC);
    assert_eq!(get(&p, "/g").unwrap(), "fits");
}

#[test]
fn pages_of_a_mapping_are_the_files() {
    let p = files();
    let f = open(&p, "/f", create()).unwrap();
    write(&f, b"abc").unwrap();
    let page = f.map_page(0, true).unwrap().unwrap();
    page.write(1, b"X");
    f.write_at(2, &mut Source::kernel(b"Y")).unwrap();
    assert_eq!(read_at(&f, 0, 9).unwrap(), b"aXY");
    let mut b = [0; 3];
    page.read(0, &mut b);
    assert_eq!(&b, b"aXY");
    assert!(f.map_page(1, false).unwrap().is_none());
    assert_eq!(err(open(&p, "/etc", RD).unwrap().map_page(0, false)), Errno::ENODEV);
    assert_eq!(err(open(&p, "/dev/null", RD).unwrap().map_page(0, false)), Errno::ENODEV);
}

#[test]
fn punched_pages_are_free_unless_mapped() {
    let (p, fs) = small(1 << 20);
    let f = open(&p, "/f", create()).unwrap();
    let free = free_pages(&fs);
    f.write_at(0, &mut Source::kernel(&[7; 8 * PAGE_SIZE])).unwrap();
    let mapped = f.map_page(3, true).unwrap().unwrap();
    let inode = path_of(&*f).unwrap().inode();
    inode.allocate(FallocateMode::from_bits_retain(3), 100, 6 * PAGE_SIZE as u64).unwrap();
    // Of pages 0 to 6, the first and the last were only partly punched.
    assert_eq!(free_pages(&fs), free - 4);
    let mut b = [1; 8];
    mapped.read(0, &mut b);
    assert_eq!(b, [0; 8]);
    mapped.write(5, b"seen");
    assert_eq!(read_at(&f, 3 * PAGE_SIZE as u64 + 5, 4).unwrap(), b"seen");
    assert_eq!(read_at(&f, 100, 5).unwrap(), [0; 5]);
    assert_eq!((read_at(&f, 99, 1).unwrap(), read_at(&f, 6 * PAGE_SIZE as u64 + 100, 1).unwrap()), (vec![7], vec![7]));
    inode.allocate(FallocateMode::from_bits_retain(0x10), 0, 8 * PAGE_SIZE as u64).unwrap();
    assert_eq!(free_pages(&fs), free - 8);
}

#[test]
fn sendfile_and_copy_file_range() {
    let p = files();
    let data: Vec<u8> = (0..200_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let src = open(&p, "/src", create()).unwrap();
    src.write_at(0, &mut Source::kernel(&data)).unwrap();
    resize(path_of(&*src).unwrap(), 210_000).unwrap();
    let mut want = data.clone();
    want.resize(210_000, 0);
    let dst = open(&p, "/dst", create()).unwrap();
    assert_eq!(transfer::send(&*dst, &*src, Position::Current, 100).unwrap(), 100);
    assert_eq!(src.seek(0, Whence::CUR).unwrap(), 100);
    let mut pos = 100;
    assert_eq!(transfer::send(&*dst, &*src, Position::Offset(&mut pos), 1 << 30).unwrap(), 209_900);
    assert_eq!((pos, src.seek(0, Whence::CUR).unwrap()), (210_000, 100));
    assert_eq!(read_at(&dst, 0, 300_000).unwrap(), want);
    assert_eq!(transfer::send(&*dst, &*src, Position::Offset(&mut pos), 10).unwrap(), 0);
    // Into a pipe that takes only part of it.
    let (r, w) = crate::pipe::pipe(true, false).unwrap();
    let mut pos = 4096;
    assert_eq!(transfer::send(&*w, &*src, Position::Offset(&mut pos), 1 << 20).unwrap(), 65536);
    assert_eq!(err(transfer::send(&*w, &*src, Position::Offset(&mut pos), 1)), Errno::EAGAIN);
    let r: Arc<dyn FileLike> = r;
    assert_eq!(read(&r, 1 << 20).unwrap(), want[4096..69632]);
    let copy = open(&p, "/copy", create()).unwrap();
    let file = |f: &Arc<dyn FileLike>| f.clone();
    let (s, c) = (file(&src), file(&copy));
    let (s, c) = (s.downcast::<OpenFile>().unwrap(), c.downcast::<OpenFile>().unwrap());
    assert_eq!(transfer::copy_range(s, Position::Offset(&mut 0), c, Position::Current, 1 << 20).unwrap(), 210_000);
    assert_eq!(read_at(&copy, 0, 300_000).unwrap(), want);
    assert_eq!(err(transfer::copy_range(s, Position::Offset(&mut 0), s, Position::Offset(&mut 5), 10)), Errno::EINVAL);
}

#[test]
fn random_operations_agree_with_a_model() {
    let p = files();
    for seed in 1..=8u64 {
        let f = open(&p, &format!("/fsx{seed}"), create()).unwrap();
        let file = f.downcast::<OpenFile>().unwrap();
        let mut model: Vec<u8> = Vec::new();
        let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rnd = |n: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % n
        };
        for step in 0..3000u32 {
            let (at, len) = (rnd(100_000) as usize, rnd(20_000) as usize);
            match rnd(5) {
                0 | 1 => {
                    let bytes = vec![step as u8; len];
                    assert_eq!(f.write_at(at as u64, &mut Source::kernel(&bytes)).unwrap(), len);
                    if len > 0 {
                        model.resize(model.len().max(at + len), 0);
                        model[at..at + len].copy_from_slice(&bytes);
                    }
                }
                2 => {
                    resize(&file.path, at as u64).unwrap();
                    model.resize(at, 0);
                }
                3 if len > 0 => {
                    file.path.inode().allocate(FallocateMode::from_bits_retain(3), at as u64, len as u64).unwrap();
                    let end = (at + len).min(model.len());
                    if at < end {
                        model[at..end].fill(0);
                    }
                }
                _ => {
                    let end = (at + len).min(model.len());
                    assert_eq!(read_at(&f, at as u64, len).unwrap(), model.get(at..end).unwrap_or(&[]), "seed {seed}");
                }
            }
        }
        assert_eq!(read_at(&f, 0, 1 << 20).unwrap(), model);
    }
}

#[test]
fn devices() {
    let p = files();
    let dev = |n: &str| open(&p, &format!("/dev/{n}"), RW).unwrap();
    assert_eq!(read(&dev("null"), 5).unwrap(), b"");
    assert_eq!(write(&dev("null"), b"gone").unwrap(), 4);
    assert_eq!(read(&dev("zero"), 5).unwrap(), [0; 5]);
    assert_eq!(err(write(&dev("full"), b"x")), Errno::ENOSPC);
    assert_eq!(read(&dev("urandom"), 600).unwrap().len(), 600);
    assert_eq!(err(open(&p, "/dev/tty", RW)), Errno::ENXIO);
    assert_eq!(dev("null").stat().unwrap().rdev, 0x103);
    assert_eq!(dev("null").stat().unwrap().mode, 0o020666);
    p.mknod(DirFd::CWD, b"/tmp/mine", 0o020600, 0x105).unwrap();
    assert_eq!(read(&open(&p, "/tmp/mine", RD).unwrap(), 2).unwrap(), [0; 2]);
    p.mknod(DirFd::CWD, b"/tmp/sock", 0o140600, 0).unwrap();
    assert_eq!(err(open(&p, "/tmp/sock", RW)), Errno::ENXIO);
}

#[test]
fn attributes() {
    let p = files();
    put(&p, "/f", "x");
    let at = p.lookup(DirFd::CWD, b"/f", true).unwrap();
    p.chmod(&at, 0o6755).unwrap();
    p.chown(&at, 5, u32::MAX).unwrap();
    let s = stat(&p, "/f").unwrap();
    assert_eq!((s.mode, s.uid, s.gid), (0o100755, 5, 0));
    assert_eq!(p.access(&at, 7, Who::Fs), Ok(()));
    p.chmod(&at, 0o4600).unwrap();
    assert_eq!(err(p.access(&at, 1, Who::Fs)), Errno::EACCES);
    // Root keeps set-ID bits when it writes, and loses them on chown.
    write(&open(&p, "/f", RW).unwrap(), b"y").unwrap();
    assert_eq!(stat(&p, "/f").unwrap().mode, 0o104600);
    p.chown(&at, u32::MAX, u32::MAX).unwrap();
    assert_eq!(stat(&p, "/f").unwrap().mode, 0o100600);
    let old = stat(&p, "/f").unwrap();
    let (t1, t2) = (libos_base::abi::Timespec { sec: 5, nsec: 6 }, libos_base::abi::Timespec { sec: 7, nsec: 8 });
    p.set_attr(&at, &inode::SetAttr { atime: Some(t1), mtime: Some(t2), ..Default::default() }).unwrap();
    let s = stat(&p, "/f").unwrap();
    assert_eq!((s.atime, s.mtime), (t1, t2));
    assert!((s.ctime.sec, s.ctime.nsec) >= (old.ctime.sec, old.ctime.nsec));
    get(&p, "/f").unwrap();
    assert_ne!(stat(&p, "/f").unwrap().atime, t1);
    symlink(&p, "f", "/l");
    let link = p.lookup(DirFd::CWD, b"/l", false).unwrap();
    assert_eq!(err(p.chmod(&link, 0)), Errno::EOPNOTSUPP);
    let s = p.statfs(&at);
    assert_eq!((s.kind, s.bsize, s.namelen), (crate::ramfs::TMPFS_MAGIC, 4096, 255));
}
