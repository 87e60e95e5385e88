use super::{Fault, check};

const BASE: u64 = 0x20_0000;
const PHDRS: usize = 64;
const TEXT: usize = 0x1000;

fn put32(f: &mut [u8], at: usize, v: u32) {
    f[at..at + 4].copy_from_slice(&v.to_le_bytes());
}
fn put64(f: &mut [u8], at: usize, v: u64) {
    f[at..at + 8].copy_from_slice(&v.to_le_bytes());
}

fn segment(f: &mut [u8], i: usize, kind: u32, flags: u32, offset: u64, size: u64) {
    let at = PHDRS + i * 56;
    put32(f, at, kind);
    put32(f, at + 4, flags);
    put64(f, at + 8, offset);
    for field in [16, 24] {
        put64(f, at + field, BASE + offset);
    }
    for field in [32, 40] {
        put64(f, at + field, size);
    }
}

/// The smallest image that passes: headers, note and multiboot2 header in one segment, code in another.
fn image() -> Vec<u8> {
    let mut f = vec![0u8; 0x2000];
    f[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
    put32(&mut f, 16, 3 | 62 << 16);
    put64(&mut f, 24, BASE + TEXT as u64);
    put64(&mut f, 32, PHDRS as u64);
    put32(&mut f, 52, 64 | 56 << 16);
    put32(&mut f, 56, 3);
    segment(&mut f, 0, 1, 4, 0, 0x400);
    segment(&mut f, 1, 1, 5, TEXT as u64, 0x100);
    segment(&mut f, 2, 4, 4, 0x200, 20);
    for (i, word) in [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), (BASE as u32) + TEXT as u32].into_iter().enumerate() {
        put32(&mut f, 0x200 + 4 * i, word);
    }
    let magic = 0xe852_50d6u32;
    for (i, word) in [magic, 0, 16, 0u32.wrapping_sub(magic + 16)].into_iter().enumerate() {
        put32(&mut f, 0x300 + 4 * i, word);
    }
    f
}

fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), Fault> {
    let mut f = image();
    change(&mut f);
    check(&f)
}

#[test]
fn a_good_image_passes_and_each_rule_is_looked_at() {
    let second = PHDRS + 56;
    assert_eq!(check(&image()), Ok(()));
    assert_eq!(check(b"\x7fELF"), Err(Fault::NotX86Executable));
    assert_eq!(changed(|f| f[18] = 183), Err(Fault::NotX86Executable));
    assert_eq!(changed(|f| put64(f, PHDRS + 32, 0x50)), Err(Fault::HeadersNotLoaded));
    assert_eq!(changed(|f| put32(f, 56, 0)), Err(Fault::HeadersNotLoaded));
    assert_eq!(changed(|f| put64(f, second + 24, 0x30_0000)), Err(Fault::PhysicalDiffersFromVirtual));
    let low = |f: &mut Vec<u8>| [16, 24].into_iter().for_each(|field| put64(f, PHDRS + field, 0x8000));
    assert_eq!(changed(low), Err(Fault::LoadsBelow1MiB));
    assert_eq!(changed(|f| put32(f, second + 4, 7)), Err(Fault::WritableAndExecutable));
    assert_eq!(changed(|f| put64(f, PHDRS + 40, 0x1001)), Err(Fault::SegmentsShareAPage));
    assert_eq!(changed(|f| put64(f, 24, BASE)), Err(Fault::EntryNotExecutable));
    assert_eq!(changed(|f| put32(f, 0x208, 17)), Err(Fault::NoPvhEntry));
    assert_eq!(changed(|f| put32(f, 0x210, 0x10)), Err(Fault::NoPvhEntry));
    assert_eq!(changed(|f| put32(f, 0x308, 20)), Err(Fault::NoMultiboot2Header));
    let old = |f: &mut Vec<u8>| {
        put32(f, 0x380, 0x1bad_b002);
        put32(f, 0x388, 0u32.wrapping_sub(0x1bad_b002));
    };
    assert_eq!(changed(old), Err(Fault::Multiboot1Header));
    let foreign = |f: &mut Vec<u8>| {
        put32(f, 56, 4);
        segment(f, 3, 2, 6, 0x1800, 48);
        for (i, word) in [7, BASE + 0x1080, 8, 24, 0, 0].into_iter().enumerate() {
            put64(f, 0x1800 + 8 * i, word);
        }
        put64(f, 0x1088, 37);
    };
    assert_eq!(changed(foreign), Err(Fault::ForeignRelocation(37)));
}

#[test]
fn damaged_files_never_panic() {
    let good = image();
    for cut in 0..good.len().min(0x420) {
        let _ = check(&good[..cut]);
    }
    let mut seed = 1u64;
    for _ in 0..20_000 {
        let mut f = good.clone();
        for _ in 0..4 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (seed >> 33) as usize % 0x400;
            f[at] = (seed >> 20) as u8;
        }
        let _ = check(&f);
    }
}
