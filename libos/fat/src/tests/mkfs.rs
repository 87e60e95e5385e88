//! Volumes made by `mkfs.vfat`, with all options that change the layout: each can be used, and stays sound.

use super::*;
use std::process::Command;

/// KiB, options, and whether mtools can read it: they take a volume with few clusters for FAT12 or FAT16 whatever its
/// boot sector says.
const VOLUMES: &[(usize, &str, bool)] = &[
    (1440, "", true),
    (360, "-F 12 -f 1 -r 112 -s 2", true),
    (8192, "", true),
    (8192, "--mbr=y", true),
    (8192, "-F 12 -S 4096 -f 1 -r 128 -R 16", true),
    (8192, "-F 12 -S 1024 -s 4 -f 3", true),
    (16_384, "-F 12 -S 2048 -s 8 -r 1024 -a", true),
    (8192, "-F 16 -s 1 -f 1", true),
    (16_384, "-F 16 -S 1024 -s 2 -R 7 -r 32 -a", true),
    (20_480, "-F 16 -S 4096 -s 1 -f 4", true),
    (20_480, "-F 16 -s 8 -R 64 --mbr=y", true),
    (16_384, "", true),
    (35_000, "-F 32 -s 1", true),
    (35_000, "-F 32 -s 1 -f 1 -R 12 -b 9 --mbr=y", true),
    (4096, "-F 32 -R 2 -b 0", false),
    (1024, "-F 32", false),
    (4096, "-F 32 -f 1 -R 3", false),
    (16_384, "-F 32 -S 1024 -s 2 -f 3", false),
    (20_000, "-F 32 -s 8", false),
    (20_480, "-F 32 -S 4096 -s 8 -R 8", false),
    (20_480, "-F 32 -S 4096 -s 128", false),
    (20_480, "-F 32 -S 2048 -s 128 --mbr=y", false),
];

fn made(kib: usize, options: &str) -> Option<Vec<u8>> {
    let mkfs = tool("mkfs.vfat")?;
    let file = Temp::new(&[]);
    std::fs::File::options().write(true).open(&file.0).unwrap().set_len(kib as u64 * 1024).unwrap();
    let out = Command::new(mkfs).args(options.split_whitespace()).arg(&file.0).output().unwrap();
    assert!(out.status.success(), "{options}: {}", String::from_utf8_lossy(&out.stderr));
    Some(std::fs::read(&file.0).unwrap())
}

fn listed(image: &[u8], name: &str) {
    let Some(mdir) = tool("mdir") else { return };
    let file = Temp::new(image);
    let out = Command::new(mdir).env("MTOOLS_SKIP_CHECK", "1").arg("-i").arg(&file.0).arg("::/dir").output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains(name), "mdir: {text}{}", String::from_utf8_lossy(&out.stderr));
}

/// `fsck.vfat` knows up to two tables; if there are more, all must be alike.
fn sound(fs: Fs) -> Vec<u8> {
    let g = fs.vol.geo;
    let image = fs.close();
    if g.fats <= 2 {
        fsck(&image);
    }
    let table = |copy| &image[(g.fat_at + copy * g.fat_len) as usize..][..g.fat_len as usize];
    assert!((1..g.fats).all(|copy| table(copy) == table(0)));
    image
}

#[test]
fn every_layout() {
    for &(kib, options, mtools) in VOLUMES {
        let Some(image) = made(kib, options) else { return };
        eprintln!("{kib} {options}");
        let fs = Fs::open_image(image);
        let data: Vec<u8> = (0..150_000u32).map(|i| (i / 5) as u8).collect();
        fs.mkdir("/dir").unwrap();
        fs.put("/dir/A file with a long name.data", &data);
        // As many names as a cluster of a directory holds, and one more.
        let names = (fs.vol.geo.cluster / 64 + 1).min(500);
        for i in 0..names {
            fs.create(&format!("/dir/{i} of many"));
        }
        fs.put("/gone", &data);
        fs.sync_file("/dir/A file with a long name.data").unwrap();
        let cut = fs.disk.durable();
        fs.unlink("/gone").unwrap();
        let fs = Fs::open_image(sound(fs));
        assert!(fs.get("/dir/A file with a long name.data").unwrap() == data);
        assert_eq!(fs.list("/dir").len(), names as usize + 1);
        fs.rename("/dir/A file with a long name.data", "/dir/short").unwrap();
        let image = sound(fs);
        if mtools {
            listed(&image, "short");
        }
        // The same after a power cut.
        let fs = Fs::open_image(cut);
        assert!(!fs.vol.is_read_only());
        assert!(fs.get("/dir/A file with a long name.data").unwrap() == data);
        sound(fs);
    }
}

/// Linux distinguishes FAT12 and FAT16 by the number of clusters, and FAT32 by the length of the 16-bit table.
#[test]
fn kinds() {
    use crate::geometry::{Geometry, Kind};
    let boot = |clusters: u32, fat: u16, wide: u32| {
        let mut b = [0; 512];
        b[510..].copy_from_slice(&[0x55, 0xaa]);
        b[11..13].copy_from_slice(&512u16.to_le_bytes());
        (b[13], b[14], b[16]) = (1, 2, 1);
        b[22..24].copy_from_slice(&fat.to_le_bytes());
        let table = if wide == 0 { u32::from(fat) + 1 } else { wide };
        if wide == 0 {
            b[17] = 16;
        } else {
            b[36..40].copy_from_slice(&wide.to_le_bytes());
            b[44] = 2;
        }
        b[32..36].copy_from_slice(&(2 + table + clusters).to_le_bytes());
        Geometry::parse(&b, u64::MAX).map(|g| (g.kind, g.clusters))
    };
    assert_eq!(boot(1, 1, 0), Ok((Kind::Fat12, 1)));
    assert_eq!(boot(4084, 12, 0), Ok((Kind::Fat12, 4084)));
    assert_eq!(boot(4085, 16, 0), Ok((Kind::Fat16, 4085)));
    assert_eq!(boot(65_524, 256, 0), Ok((Kind::Fat16, 65_524)));
    assert_eq!(boot(65_525, 257, 0), Err("too many clusters"));
    assert_eq!(boot(1, 0, 1), Ok((Kind::Fat32, 1)));
    assert_eq!(boot(4084, 0, 40), Ok((Kind::Fat32, 4084)));
    assert_eq!(boot(65_524, 0, 600), Ok((Kind::Fat32, 65_524)));
    assert_eq!(boot(70_000, 0, 600), Ok((Kind::Fat32, 70_000)));
    assert_eq!(boot(0x0fff_fff5, 0, 0x0020_0000), Err("too many clusters"));
    // A table that is too short for all clusters.
    assert_eq!(boot(4084, 1, 0), Ok((Kind::Fat12, 339)));
    assert_eq!(boot(5000, 1, 0), Ok((Kind::Fat16, 254)));
    assert_eq!(boot(5000, 0, 1), Ok((Kind::Fat32, 126)));
}

/// What `mkfs.vfat` makes but Linux does not mount either.
#[test]
fn refused() {
    let Some(image) = made(16_384, "-F 16 -S 1024 -s 2 -r 16 -a") else { return };
    let why = Fs::try_open(&MemDisk::from_image(image)).err();
    assert_eq!(why, Some(Refused::Unusable("the root directory does not fill its sectors")));
}

/// A FAT32 volume without an FSInfo sector, or with something else in its place.
#[test]
fn no_fsinfo() {
    let Some(image) = made(4096, "-F 32") else { return };
    for at in [48, 512, 512 + 484] {
        let mut image = image.clone();
        image[at..at + 2].fill(0xff);
        let fs = Fs::open_image(image.clone());
        fs.put("/f", b"content");
        fs.sync_file("/f").unwrap();
        let cut = fs.disk.durable();
        let after = fs.close();
        assert!(after[512..1024] == image[512..1024], "nothing is written there");
        for image in [cut, after] {
            assert_eq!(Fs::open_image(image).get("/f").unwrap(), b"content");
        }
    }
}
