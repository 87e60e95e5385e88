//! Numbers in text, without `core::fmt` and `str::parse`, so that the guest links nothing more for them.

/// Parses decimal digits; nothing else may be present.
pub fn decimal(text: &[u8]) -> Option<u64> {
    digits(text, 10)
}

/// Parses a decimal or, with a `0x` prefix, hexadecimal number.
pub fn any(text: &[u8]) -> Option<u64> {
    match text {
        [b'0', b'x' | b'X', rest @ ..] => digits(rest, 16),
        _ => digits(text, 10),
    }
}

/// Parses a size: a number with an optional suffix K, M, G or T (powers of 1024, either case, optionally followed by
/// `B` or `iB`).
pub fn size(text: &[u8]) -> Option<u64> {
    let end = text.iter().position(|b| matches!(b.to_ascii_uppercase(), b'K' | b'M' | b'G' | b'T'));
    // In hexadecimal none of the suffix letters is a digit, so the first one ends the number in both bases.
    let Some(end) = end else { return any(text.strip_suffix(b"B").unwrap_or(text)) };
    let shift = match text[end].to_ascii_uppercase() {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 40,
    };
    if !matches!(&text[end + 1..], b"" | b"B" | b"b" | b"iB") {
        return None;
    }
    any(&text[..end])?.checked_mul(1 << shift)
}

/// The decimal digits of a number, at the end of `room`.
pub fn to_decimal(mut value: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &room[at..];
        }
    }
}

/// Parses digits in a base up to 16.
pub fn digits(text: &[u8], base: u64) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &b in text {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ => return None,
        };
        if u64::from(digit) >= base {
            return None;
        }
        value = value.checked_mul(base)?.checked_add(digit.into())?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size(b"64M"), Some(64 << 20));
        assert_eq!(size(b"4k"), Some(4096));
        assert_eq!(size(b"2GiB"), Some(2 << 30));
        assert_eq!(size(b"0x200"), Some(512));
        assert_eq!(size(b"512"), Some(512));
        assert_eq!(size(b"512B"), Some(512));
        for bad in [&b""[..], b"M", b"-1", b"1.5G", b"12Q", b"64MM", b"99999999999999999999", b"99999999999T"] {
            assert_eq!(size(bad), None, "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn bases() {
        assert_eq!(any(b"0xfeb00e00"), Some(0xfeb0_0e00));
        assert_eq!(decimal(b"0x10"), None);
        assert_eq!(decimal(b"1a"), None);
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), None);
    }
}
