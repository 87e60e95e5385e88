use super::*;

const P: usize = PAGE_SIZE;
const BASE: usize = 0x7f00_0000_0000;

fn anon(end: usize, prot: Prot) -> Vma {
    Vma { end, prot, flags: Flags::empty(), kind: Kind::Anon }
}

fn list(m: &VmaMap) -> Vec<(usize, usize, u8)> {
    m.iter().map(|(s, v)| (s / P, v.end / P, v.prot.bits())).collect()
}

#[test]
fn neighbours_merge_and_split() {
    let mut m = VmaMap::new(BASE);
    m.insert(100 * P, anon(110 * P, Prot::READ));
    m.insert(110 * P, anon(120 * P, Prot::READ));
    m.insert(90 * P, anon(100 * P, Prot::READ));
    assert_eq!(list(&m), [(90, 120, 1)]);
    m.insert(120 * P, anon(130 * P, Prot::WRITE));
    assert_eq!(m.count(), 2);
    let (r, v) = m.take(100 * P..105 * P).unwrap();
    assert_eq!((r, v.end), (100 * P..105 * P, 105 * P));
    assert_eq!(list(&m), [(90, 100, 1), (105, 120, 1), (120, 130, 2)]);
    assert!(m.is_free(100 * P..105 * P) && !m.is_free(104 * P..106 * P));
    assert!(m.covers(105 * P..130 * P) && !m.covers(99 * P..130 * P) && !m.covers(120 * P..131 * P));
    assert_eq!(m.surroundings(100 * P..105 * P), 100 * P..105 * P);
    assert_eq!(m.find(119 * P + 5).unwrap().0, 105 * P);
    assert!(m.find(130 * P).is_none());
}

#[test]
fn taking_walks_every_piece_in_the_range() {
    let mut m = VmaMap::new(BASE);
    for i in 0..10 {
        m.insert((20 + 3 * i) * P, anon((22 + 3 * i) * P, Prot::READ));
    }
    let mut got = vec![];
    while let Some((r, _)) = m.take(24 * P..33 * P) {
        got.push((r.start / P, r.end / P));
    }
    assert_eq!(got, [(24, 25), (26, 28), (29, 31), (32, 33)]);
    assert_eq!(m.count(), 8);
    assert!(m.take(24 * P..24 * P).is_none());
}

#[test]
fn protection_changes_split_and_merge_again() {
    let mut m = VmaMap::new(BASE);
    m.insert(20 * P, anon(40 * P, Prot::READ));
    let (r, mut v) = m.take(25 * P..30 * P).unwrap();
    v.prot = Prot::WRITE;
    m.insert(r.start, v);
    assert_eq!(list(&m), [(20, 25, 1), (25, 30, 2), (30, 40, 1)]);
    let (r, mut v) = m.take(25 * P..30 * P).unwrap();
    v.prot = Prot::READ;
    m.insert(r.start, v);
    assert_eq!(list(&m), [(20, 40, 1)]);
}

#[test]
fn gaps_are_found_top_down_and_holes_are_reused() {
    let mut m = VmaMap::new(BASE);
    let place = |m: &mut VmaMap, n: usize, prot| {
        let s = m.find_gap(n * P, usize::MAX).unwrap();
        m.insert(s, anon(s + n * P, prot));
        s
    };
    let a = place(&mut m, 4, Prot::READ);
    assert_eq!(a, BASE - 4 * P);
    let b = place(&mut m, 2, Prot::WRITE);
    let c = place(&mut m, 1, Prot::READ);
    assert_eq!((b, c), (BASE - 6 * P, BASE - 7 * P));
    m.take(b..b + 2 * P).unwrap();
    assert_eq!(place(&mut m, 3, Prot::EXEC), BASE - 10 * P, "too large for the hole");
    assert_eq!(place(&mut m, 2, Prot::EXEC), b, "fits the hole");
    // Below 2 GiB on request, which does not confuse the search's memory.
    let low = m.find_gap(P, 1 << 31).unwrap();
    assert_eq!(low, (1 << 31) - P);
    assert_eq!(m.find_gap(P, usize::MAX).unwrap(), BASE - 11 * P);
    assert_eq!(m.find_gap(BASE, usize::MAX), None);
}

#[test]
fn random_mappings_agree_with_a_page_array() {
    const N: usize = 64;
    let mut m = VmaMap::new((16 + N) * P);
    let mut model = [0u8; N];
    let mut seed = 3u64;
    for _ in 0..5000 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let r = (seed >> 20) as usize;
        let (a, n) = (r % N, 1 + r / N % 12);
        let (a, b, prot) = (a, (a + n).min(N), 1 + (r >> 20) as u8 % 3);
        let range = (16 + a) * P..(16 + b) * P;
        while m.take(range.clone()).is_some() {}
        model[a..b].fill(0);
        match r >> 24 & 3 {
            0 => {}
            1 => {
                let got = m.find_gap(n * P, usize::MAX).map(|s| s / P - 16);
                let want = (0..=N - n).rev().find(|&s| model[s..s + n].iter().all(|&x| x == 0));
                // Top-down first fit: as high as possible among places that fit.
                match (got, want) {
                    (Some(g), Some(_)) => {
                        assert!(model[g..g + n].iter().all(|&x| x == 0));
                        m.insert((16 + g) * P, anon((16 + g + n) * P, Prot::from_bits_truncate(prot)));
                        model[g..g + n].fill(prot);
                    }
                    (g, w) => assert_eq!(g, w),
                }
            }
            _ => {
                m.insert(range.start, anon(range.end, Prot::from_bits_truncate(prot)));
                model[a..b].fill(prot);
            }
        }
        for (i, &want) in model.iter().enumerate() {
            let got = m.find((16 + i) * P + 7).map_or(0, |(_, v)| v.prot.bits());
            assert_eq!(got, want);
        }
        let all: Vec<_> = m.iter().map(|(s, v)| (s, v.end, v.prot)).collect();
        assert!(all.windows(2).all(|w| w[0].1 < w[1].0 || w[0].1 == w[1].0 && w[0].2 != w[1].2), "merged");
    }
}
