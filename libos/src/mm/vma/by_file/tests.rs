use crate::mm::vma::{Flags, Kind, Prot, Vma, VmaMap};
use alloc::sync::Arc;
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::layout::PAGE_SIZE;
use libos_base::rmap::Mappings;
use libos_base::{Errno, Result};

const P: usize = PAGE_SIZE;
const BASE: usize = 0x7f00_0000_0000;

/// An open file description; several can be of one file.
struct Open(Description, Arc<Mappings>);

impl FileLike for Open {
    fn read(&self, _: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn write(&self, _: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn description(&self) -> &Description {
        &self.0
    }
    fn stat(&self) -> Result<Stat> {
        Err(Errno::EINVAL)
    }
    fn mappings(&self) -> Option<&Mappings> {
        Some(&self.1)
    }
    fn describe(&self) -> String {
        String::new()
    }
}

fn open(file: &Arc<Mappings>) -> Arc<dyn FileLike> {
    Arc::new(Open(Description::new(OpenFlags::empty()), file.clone()))
}

/// Pages `pages` of the address space show the file from page `first` on.
fn map(m: &mut VmaMap, pages: core::ops::Range<usize>, file: &Arc<dyn FileLike>, first: usize) {
    let kind = Kind::File(file.clone(), (first * P) as u64);
    m.insert(pages.start * P, Vma { end: pages.end * P, prot: Prot::READ, flags: Flags::SHARED, kind });
}

/// The list, checked to lead backwards as it leads forwards.
fn listed(m: &VmaMap, file: &Mappings) -> Vec<usize> {
    let (mut all, mut at, mut before) = (vec![], file.first(), 0);
    while let Some(n) = m.map.get(&at) {
        assert_eq!(n.before, before, "the way back");
        all.push(at);
        (before, at) = (at, n.next);
    }
    assert_eq!(at, 0);
    let walked: Vec<_> = core::iter::successors(m.next_of(file, None), |v| m.next_of(file, Some(v.0))).collect();
    assert!(walked.iter().map(|v| v.0).eq(all.iter().copied()));
    all.sort_unstable();
    all
}

fn scanned(m: &VmaMap, file: &Mappings) -> Vec<usize> {
    let of_it = |v: &Vma| matches!(&v.kind, Kind::File(f, _) if core::ptr::eq(f.mappings().unwrap(), file));
    m.iter().filter(|(_, v)| of_it(v)).map(|(s, _)| s).collect()
}

#[test]
fn a_file_knows_its_mappings_whoever_opened_it() {
    let (file, mut m) = (Arc::new(Mappings::new()), VmaMap::new(BASE));
    let (a, b) = (open(&file), open(&file));
    map(&mut m, 20..30, &a, 0);
    map(&mut m, 30..40, &b, 10);
    assert_eq!(listed(&m, &file), [20 * P, 30 * P]);
    // Like `munmap` of the middle: three pieces, one of which goes.
    drop(m.take(23 * P..25 * P).unwrap());
    assert_eq!(listed(&m, &file), [20 * P, 25 * P, 30 * P]);
    // A mapping that continues another is merged with it.
    map(&mut m, 23..25, &a, 3);
    assert_eq!(listed(&m, &file), [20 * P, 30 * P]);
    while m.take(0..BASE).is_some() {}
    assert_eq!((listed(&m, &file).len(), file.first()), (0, 0));
}

#[test]
fn a_mapping_shows_a_part_of_its_file() {
    let (file, mut m) = (Arc::new(Mappings::new()), VmaMap::new(BASE));
    map(&mut m, 20..30, &open(&file), 100);
    let shows = |pages| {
        let place = m.find(20 * P).unwrap().1.shows(20 * P, &pages);
        (place.start / P, place.end / P)
    };
    assert_eq!(shows(0..u64::MAX), (20, 30));
    assert_eq!(shows(103..u64::MAX), (23, 30));
    assert_eq!(shows(90..101), (20, 21));
    assert_eq!(shows(105..107), (25, 27));
    assert!(m.find(20 * P).unwrap().1.shows(20 * P, &(0..100)).is_empty());
    assert!(m.find(20 * P).unwrap().1.shows(20 * P, &(110..u64::MAX)).is_empty());
}

#[test]
fn random_mappings_are_listed_as_a_scan_finds_them() {
    const N: usize = 48;
    let files = [(); 3].map(|()| Arc::new(Mappings::new()));
    let opened: Vec<_> = files.iter().flat_map(|f| [open(f), open(f)]).collect();
    let mut m = VmaMap::new(BASE);
    let mut seed = 7u64;
    for _ in 0..4000 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let r = (seed >> 20) as usize;
        let a = 16 + r % N;
        let b = (a + 1 + r / N % 10).min(16 + N);
        match r >> 24 & 3 {
            // munmap
            0 => while m.take(a * P..b * P).is_some() {},
            // mprotect
            1 => {
                let mut at = a * P;
                while let Some((piece, mut v)) = m.take(at..b * P) {
                    v.prot = Prot::from_bits_truncate(1 + (r >> 27) as u8 % 2);
                    at = piece.end;
                    m.insert(piece.start, v);
                }
            }
            // mmap with MAP_FIXED; page `i` of each file lies at `i`, so that neighbours often continue each other
            _ => {
                while m.take(a * P..b * P).is_some() {}
                map(&mut m, a..b, &opened[(r >> 27) % opened.len()], a);
            }
        }
        for file in &files {
            assert_eq!(listed(&m, file), scanned(&m, file));
        }
    }
}
