//! Disks with partitions, valid and invalid.

use super::*;
use crate::partition::find;
use libos_fs::inode::FileSystem;

const SECTORS: usize = 8192;
const SHAPE: Shape = ("fat12", FatType::Fat12, 300 << 10, 512);
/// Where partitions of 600 sectors begin.
const PLACES: [usize; 3] = [64, 1000, 2048];

fn entry(image: &mut [u8], table: usize, slot: usize, kind: u8, start: usize, len: usize) {
    let at = table * 512 + 446 + 16 * slot;
    image[at..at + 16].fill(0);
    image[at + 4] = kind;
    image[at + 8..at + 12].copy_from_slice(&(start as u32).to_le_bytes());
    image[at + 12..at + 16].copy_from_slice(&(len as u32).to_le_bytes());
    image[table * 512 + 510..table * 512 + 512].copy_from_slice(&[0x55, 0xaa]);
}

fn volume(image: &mut [u8], start: usize) {
    image[start * 512..][..SHAPE.2].copy_from_slice(&format(&SHAPE));
}

/// A Linux partition, one with FAT, and two logical ones, of which one has FAT.
fn mbr() -> Vec<u8> {
    let mut image = vec![0; SECTORS * 512];
    entry(&mut image, 0, 0, 0x83, 8, 32);
    entry(&mut image, 0, 1, 0x0c, PLACES[0], 600);
    entry(&mut image, 0, 3, 0x05, 900, 5000);
    entry(&mut image, 900, 0, 0x06, PLACES[1] - 900, 600);
    entry(&mut image, 900, 1, 0x05, 1100, 700);
    entry(&mut image, 2000, 0, 0x83, 48, 600);
    volume(&mut image, PLACES[0]);
    volume(&mut image, PLACES[1]);
    volume(&mut image, PLACES[2]);
    image
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for bit in bytes.iter().flat_map(|b| (0..8).map(move |i| u32::from(b >> i & 1))) {
        crc = (crc >> 1) ^ (0xedb8_8320 * ((crc ^ bit) & 1));
    }
    !crc
}

fn seal(image: &mut [u8]) {
    let list = crc(&image[1024..1024 + 128 * 128]);
    image[512 + 88..512 + 92].copy_from_slice(&list.to_le_bytes());
    image[512 + 16..512 + 20].fill(0);
    let header = crc(&image[512..512 + 92]);
    image[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
}

/// An ESP with FAT, basic data without, and something else with FAT in it.
fn gpt() -> Vec<u8> {
    let mut image = vec![0; SECTORS * 512];
    entry(&mut image, 0, 0, 0xee, 1, SECTORS - 1);
    let h = &mut image[512..1024];
    h[..12].copy_from_slice(b"EFI PART\0\0\x01\0");
    h[12..16].copy_from_slice(&92u32.to_le_bytes());
    for (at, n) in [(24, 1), (32, SECTORS - 1), (40, 34), (48, SECTORS - 34), (72, 2)] {
        h[at..at + 8].copy_from_slice(&(n as u64).to_le_bytes());
    }
    h[80..84].copy_from_slice(&128u32.to_le_bytes());
    h[84..88].copy_from_slice(&128u32.to_le_bytes());
    let esp = *b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
    let basic = *b"\xa2\xa0\xd0\xeb\xe5\xb9\x33\x44\x87\xc0\x68\xb6\xb7\x26\x99\xc7";
    for (slot, kind, start) in [(0, esp, PLACES[0]), (4, basic, PLACES[1]), (6, [7; 16], PLACES[2])] {
        let e = &mut image[1024 + 128 * slot..][..128];
        e[..16].copy_from_slice(&kind);
        e[16] = 1;
        e[32..40].copy_from_slice(&(start as u64).to_le_bytes());
        e[40..48].copy_from_slice(&(start as u64 + 599).to_le_bytes());
    }
    volume(&mut image, PLACES[0]);
    volume(&mut image, PLACES[2]);
    seal(&mut image);
    image
}

/// The name of the chosen device, or why there is none.
fn choose(image: Vec<u8>, number: Option<u32>) -> Result<String, &'static str> {
    match find(MemDisk::from_image(image), number) {
        Ok(d) => Ok(d.name().to_string()),
        Err(Refused::Unusable(why)) => Err(why),
        Err(Refused::Error(e)) => panic!("{e}"),
    }
}
fn changed(mut image: Vec<u8>, change: impl Fn(&mut Vec<u8>)) -> Result<String, &'static str> {
    change(&mut image);
    choose(image, None)
}

#[test]
fn the_right_one() {
    let two = "more than one partition has one; choose with :partition=N";
    assert_eq!(choose(mbr(), None), Err(two));
    for (n, name) in [(2, "mem2"), (5, "mem5"), (6, "mem6")] {
        assert_eq!(choose(mbr(), Some(n)).as_deref(), Ok(name));
    }
    assert_eq!(choose(mbr(), Some(1)), Err("no boot sector signature"));
    assert_eq!(choose(mbr(), Some(7)), Err("no FAT partition"));
    assert_eq!(choose(gpt(), None).as_deref(), Ok("mem1"));
    assert_eq!(choose(gpt(), Some(7)).as_deref(), Ok("mem7"));
    // Of those with the right type, the only one with a volume.
    assert_eq!(changed(mbr(), |i| i[PLACES[0] * 512..][..512].fill(0)).as_deref(), Ok("mem5"));
    for kind in [0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e, 0xef] {
        let one = changed(mbr(), |i| {
            entry(i, 0, 1, kind, PLACES[0], 600);
            entry(i, 0, 3, 0, 0, 0);
        });
        assert_eq!(one.as_deref(), Ok("mem2"), "{kind:x}");
    }
    // Volumes that fill the disk, one of them with something that looks like a table.
    assert_eq!(choose(format(&SHAPE), None).as_deref(), Ok("mem"));
    let with_table = changed(format(&SHAPE), |i| entry(i, 0, 0, 0x0c, 0, 600));
    assert_eq!(with_table.as_deref(), Ok("mem"));
    assert_eq!(choose(format(&SHAPE), Some(1)), Err("no partitions"));
    assert_eq!(choose(vec![0; 4096], None), Err("no boot sector signature"));
}

#[test]
fn only_the_partition_is_written() {
    for (image, number, place) in [(mbr(), Some(5), PLACES[1]), (gpt(), None, PLACES[0])] {
        let disk = MemDisk::from_image(image.clone());
        let open = || {
            let root = Volume::open(find(disk.clone(), number).unwrap(), false).unwrap();
            (root.vol.clone(), Fs { disk: disk.clone(), vol: root.vol.clone(), p: mount_root(root) })
        };
        let (vol, fs) = open();
        fs.mkdir("/dir").unwrap();
        let mut n = 0;
        let f = fs.create("/dir/all that there is");
        while let Ok(k @ 1..) = write(&f, n, &[7; 5000]) {
            n += k as u64;
        }
        assert!(n > 200_000);
        vol.unmount().unwrap();
        let after = disk.image();
        let (start, end) = (place * 512, (place + 600) * 512);
        assert!(after[..start] == image[..start] && after[end..] == image[end..]);
        fsck(&after[start..end]);
        assert!(open().1.get("/dir/all that there is").unwrap().iter().all(|&b| b == 7));
        // No access gets out of it.
        let window = find(disk.clone(), number).unwrap();
        let mut b = [0; 1024];
        assert_eq!(libos_base::block::read(&*window, 599 * 512, &mut b), Err(libos_base::Errno::EIO));
        assert_eq!(libos_base::block::read(&*window, 598 * 512, &mut b), Ok(()));
    }
}

#[test]
fn hostile_tables() {
    let outside = Err("a partition lies outside of its disk");
    let overlap = Err("two partitions overlap");
    let set = |slot, kind, start, len| changed(mbr(), move |i| entry(i, 0, slot, kind, start, len));
    assert_eq!(set(2, 0x83, 8000, 193), outside);
    assert_eq!(set(2, 0x83, 0xffff_ffff, 0xffff_ffff), outside);
    assert_eq!(set(2, 0x83, 663, 10), overlap);
    assert_eq!(set(2, 0x83, 890, 11), overlap);
    assert_eq!(set(2, 0x05, 1000, 10), overlap);
    assert_eq!(set(3, 0x05, 900, 1100), outside, "the second table");
    assert_eq!(set(3, 0x05, 900, 1700), outside, "the second logical one");
    // Chains with loops, with partitions and without.
    assert_eq!(changed(mbr(), |i| entry(i, 2000, 1, 0x05, 0, 700)), overlap);
    let empty = changed(mbr(), |i| {
        entry(i, 900, 0, 0, 0, 0);
        entry(i, 2000, 0, 0, 0, 0);
        entry(i, 2000, 1, 0x0f, 0, 700);
    });
    assert_eq!(empty, Err("the chain of logical partitions does not end"));
    assert_eq!(changed(mbr(), |i| i[2000 * 512 + 510] = 0), Err("a logical partition has no table"));

    let damaged = Err("damaged GPT");
    assert_eq!(changed(gpt(), |i| i[512..1024].fill(0)), damaged);
    assert_eq!(choose(gpt()[..512].to_vec(), None), damaged);
    let sealed = |at: usize, n: u64| {
        changed(gpt(), move |i| {
            i[at..at + 8].copy_from_slice(&n.to_le_bytes());
            seal(i);
        })
    };
    assert_eq!(sealed(512 + 24, 2), damaged, "not where it says");
    assert_eq!(sealed(512 + 48, SECTORS as u64), damaged, "larger than the disk");
    assert_eq!(sealed(512 + 72, u64::MAX), damaged);
    assert_eq!(sealed(512 + 72, SECTORS as u64 - 3), damaged);
    assert_eq!(sealed(512 + 80, 128 << 32 | 0xffff_ffff), damaged);
    assert_eq!(sealed(512 + 80, 256 << 32 | 128), damaged);
    assert_eq!(sealed(1024 + 32, 3), outside);
    assert_eq!(sealed(1024 + 40, SECTORS as u64), outside);
    assert_eq!(sealed(1024 + 40, u64::MAX), outside);
    assert_eq!(sealed(1024 + 40, PLACES[1] as u64), overlap);
    assert_eq!(sealed(1024 + 40, 10), outside);
}

/// Flipping any bit gives either an error or a partition within the disk. In a GPT every bit counts.
#[test]
fn flipped_bits() {
    let flip = |disk: &MemDisk, good: &[u8], bit: usize, on: bool| {
        disk.poke(bit / 8, &[good[bit / 8] ^ if on { 1 << (bit % 8) } else { 0 }]);
    };
    let (good, disk) = (mbr(), MemDisk::from_image(mbr()));
    for bit in [0, 900, 2000].into_iter().flat_map(|s| s * 4096 + 446 * 8..(s + 1) * 4096) {
        flip(&disk, &good, bit, true);
        for number in [None, Some(2), Some(6)] {
            match find(disk.clone(), number) {
                Ok(d) => assert!(d.sectors() >= 300 && d.sectors() < SECTORS as u64),
                Err(e) => assert!(matches!(e, Refused::Unusable(why) if !why.is_empty())),
            }
        }
        flip(&disk, &good, bit, false);
    }
    let (good, disk) = (gpt(), MemDisk::from_image(gpt()));
    for bit in (512 * 8..604 * 8).chain(1024 * 8..(1024 + 7 * 128) * 8) {
        flip(&disk, &good, bit, true);
        assert!(find(disk.clone(), None).is_err(), "{bit}");
        flip(&disk, &good, bit, false);
    }
    assert!(find(disk, None).is_ok());
    for seed in 0..1000 {
        let mut random = Random(seed);
        let mut image = if seed % 2 == 0 { mbr() } else { gpt() };
        for _ in 0..1 + random.below(20) {
            let at = [random.below(66), 450 + random.below(60), 512 + random.below(92), 1024 + random.below(900)];
            image[at[random.below(4) as usize] as usize] = random.next() as u8;
        }
        if seed % 4 == 1 {
            seal(&mut image);
        }
        if let Ok(d) = find(MemDisk::from_image(image), (seed % 3 == 0).then_some(1 + seed as u32 % 7)) {
            let mut end = [0; 512];
            libos_base::block::read(&*d, (d.sectors() - 1) * 512, &mut end).unwrap();
        }
    }
}
