//! The root from a cpio archive.

use super::*;
use crate::inode::Extent;
use crate::openfile::{OpenFile, resize};
use crate::ramfs::populate::unpack;

struct File<'a> {
    name: &'a str,
    mode: u32,
    ino: u32,
    nlink: u32,
    data: &'a [u8],
}

fn entry(name: &'static str, mode: u32, data: &'static [u8]) -> File<'static> {
    File { name, mode, ino: 0, nlink: 1, data }
}

/// A newc archive, as `cpio -o -H newc` writes it.
fn archive(files: &[File<'_>]) -> &'static [u8] {
    let mut out: Vec<u8> = Vec::new();
    let trailer = entry("TRAILER!!!", 0, b"");
    for f in files.iter().chain([&trailer]) {
        let fields =
            [f.ino, f.mode, 3, 4, f.nlink, 1_700_000_000, f.data.len() as u32, 0, 0, 0, 0, f.name.len() as u32 + 1, 0];
        out.extend(b"070701");
        fields.iter().for_each(|v| out.extend(format!("{v:08X}").bytes()));
        out.extend(f.name.bytes().chain([0]));
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(f.data);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out.leak()
}

#[test]
fn content_stays_in_place_until_written() {
    let (p, fs) = small(1 << 20);
    let free = free_pages(&fs);
    let data: &'static [u8] = vec![5u8; 10_000].leak();
    let a = archive(&[
        entry("etc", 0o040750, b""),
        entry("etc/big", 0o100640, data),
        entry("deep/er/f", 0o100644, b"parents are made"),
        entry("link", 0o120777, b"etc/big"),
        entry(".unibody/params", 0o100644, b"secret"),
    ]);
    unpack(&p, a).unwrap();
    assert_eq!(free_pages(&fs), free);
    let s = stat(&p, "/etc/big").unwrap();
    assert_eq!((s.size, s.mode, s.uid, s.gid, s.mtime.sec), (10_000, 0o100640, 3, 4, 1_700_000_000));
    let folder = stat(&p, "/etc").unwrap();
    assert_eq!((folder.mode, folder.mtime.sec), (0o040750, 1_700_000_000), "what came into it later does not count");
    assert_eq!(get(&p, "/deep/er/f").unwrap(), "parents are made");
    assert_eq!(err(stat(&p, "/.unibody")), Errno::ENOENT);
    let f = open(&p, "/link", RW).unwrap();
    let file = f.downcast::<OpenFile>().unwrap();
    match file.extent(10, 1 << 20) {
        Some(Extent::Static(b)) => assert!(a.as_ptr_range().contains(&b.as_ptr()) && b.len() == 9990),
        _ => panic!("not in place"),
    }
    f.write_at(5000, &mut Source::kernel(b"new")).unwrap();
    assert_eq!(free_pages(&fs), free - 1);
    let mut want = vec![5; 10_000];
    want[5000..5003].copy_from_slice(b"new");
    assert_eq!(read_at(&f, 0, 20_000).unwrap(), want);
    resize(&file.path, 9000).unwrap();
    resize(&file.path, 10_000).unwrap();
    want[9000..].fill(0);
    assert_eq!(read_at(&f, 0, 20_000).unwrap(), want);
}

#[test]
fn later_archives_replace_and_hard_links_hold() {
    let (p, _) = small(1 << 20);
    let link = |name: &'static str, data: &'static [u8]| File { name, mode: 0o100644, ino: 9, nlink: 2, data };
    unpack(&p, archive(&[entry("a", 0o100644, b"old"), entry("dir/x", 0o100644, b"kept"), entry("s", 0o120777, b"a")]))
        .unwrap();
    unpack(
        &p,
        archive(&[
            entry("a", 0o100600, b"new"),
            entry("s", 0o100644, b"now a file"),
            link("l1", b""),
            link("l2", b"both"),
        ]),
    )
    .unwrap();
    assert_eq!((get(&p, "/a").unwrap(), get(&p, "/dir/x").unwrap()), ("new".into(), "kept".into()));
    assert_eq!(get(&p, "/s").unwrap(), "now a file");
    assert_eq!((get(&p, "/l1").unwrap(), get(&p, "/l2").unwrap()), ("both".into(), "both".into()));
    assert_eq!((stat(&p, "/l1").unwrap().ino, stat(&p, "/l1").unwrap().nlink), (stat(&p, "/l2").unwrap().ino, 2));
}

#[test]
fn damage_is_survived() {
    let (p, _) = small(1 << 20);
    let good = archive(&[entry("a", 0o100644, b"x"), entry("b", 0o100644, b"y")]);
    for cut in 0..good.len() {
        unpack(&p, &good[..cut]).unwrap();
    }
    assert_eq!(get(&p, "/a").unwrap(), "x");
}
