//! Short runs of bytes, such as names and paths, a word at a time.

const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Where such a byte is first, from `at` on.
#[inline]
pub fn find_from(bytes: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    // The lowest bit set is that of the first such byte.
    let marks = |word: [u8; 8]| {
        let differs = u64::from_le_bytes(word) ^ (ONES * u64::from(byte));
        differs.wrapping_sub(ONES) & !differs & ONES << 7
    };
    let rest = loop {
        let rest = bytes.get(at..)?;
        let Some(word) = rest.first_chunk() else { break rest };
        let marked = marks(*word);
        if marked != 0 {
            return Some(at + marked.trailing_zeros() as usize / 8);
        }
        at += 8;
    };
    match bytes.last_chunk() {
        Some(last) if !rest.is_empty() => {
            let marked = marks(*last) >> (64 - 8 * rest.len());
            (marked != 0).then(|| at + marked.trailing_zeros() as usize / 8)
        }
        _ => rest.iter().position(|&b| b == byte).map(|n| at + n),
    }
}

/// The first and the last bytes of up to 16, as numbers: together they are all of them.
#[inline(always)]
fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match bytes {
        [] => (0, 0),
        [first, .., last] => (u64::from(*first) << 8 | u64::from(*last), bytes[bytes.len() / 2].into()),
        [only] => (u64::from(*only), 0),
    }
}

/// Whether they are the same: for names, where a call of `memcmp` would take longer than comparing.
#[inline]
pub fn equal(mut a: &[u8], mut b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    while let (Some((left, more)), Some((right, others))) = (a.split_first_chunk::<16>(), b.split_first_chunk::<16>()) {
        if u128::from_le_bytes(*left) != u128::from_le_bytes(*right) {
            return false;
        }
        (a, b) = (more, others);
    }
    ends(a) == ends(b)
}

/// A hash for tables of names. It depends on where the image lies, which nobody knows who chooses the names.
#[inline(never)]
pub fn hash(mut bytes: &[u8]) -> u64 {
    static PLACE: u8 = 0;
    let secret = ((&raw const PLACE).addr() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mix = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b ^ secret);
        product as u64 ^ (product >> 64) as u64
    };
    let mut state = secret.wrapping_mul(bytes.len() as u64 + 1);
    while let Some((block, more)) = bytes.split_first_chunk::<16>()
        && !more.is_empty()
    {
        let (first, last) = ends(block);
        state = mix(state ^ first, last);
        bytes = more;
    }
    let (first, last) = ends(bytes);
    mix(state ^ first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(len: usize) -> Vec<u8> {
        (0..len).map(|i| 1 + (i * 7 % 255) as u8).collect()
    }

    #[test]
    fn finds_the_first_from_anywhere() {
        for len in 0..40 {
            for at in 0..=len {
                for from in 0..=len + 1 {
                    let mut bytes = some(len);
                    // What comes before `from` is not looked at, and what comes behind the first does not matter.
                    bytes.iter_mut().skip(at).step_by(3).for_each(|b| *b = 0);
                    let expected = bytes.iter().enumerate().position(|(i, &b)| i >= from && b == 0);
                    assert_eq!(find_from(&bytes, from, 0), expected, "{len} {at} {from}");
                }
            }
        }
        assert_eq!(find_from(b"\x2e\x30\x2f", 0, b'/'), Some(2));
        assert_eq!(find_from(b"\x2e\x30\xaf\x2e\x30\xaf\x2e\x30\xaf", 0, b'/'), None);
    }

    #[test]
    fn every_byte_counts() {
        for len in 0..70 {
            let bytes = some(len);
            assert!(equal(&bytes, &bytes.clone()) && hash(&bytes) == hash(&bytes.clone()));
            for at in 0..len {
                let mut other = bytes.clone();
                other[at] ^= 0x80;
                assert!(!equal(&bytes, &other) && hash(&bytes) != hash(&other), "{len} {at}");
            }
            assert!(!equal(&bytes, &some(len + 1)) && hash(&bytes) != hash(&some(len + 1)));
        }
    }
}
