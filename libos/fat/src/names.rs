//! Names: what is allowed, how they compare, and how an entry encodes them.
//!
//! Reading entries is left to the crate ([`crate::view`]). Writing them is not: its short names cut the name at a byte
//! that may be within a character, it does not know characters beyond U+FFFF, and it searches the directory for each
//! new name.

use crate::entry::Raw;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use libos_base::memory::{copy, with_room};
use libos_base::{Errno, Result};

/// Longest name in UTF-16 units.
const UNITS_MAX: usize = 255;
/// UTF-16 units in one slot.
const UNITS: usize = 13;
/// NT flags: the base, or the extension, is shown in lower case.
const LOWER_BASE: u8 = 0x08;
const LOWER_EXT: u8 = 0x10;

/// An 8.3 name as stored in the entry.
pub type Short = [u8; 11];

/// The name as text, without trailing dots, which FAT does not store (as on Linux, `a.` is `a`).
pub fn text(name: &[u8]) -> Result<&str> {
    let s = core::str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
    let s = s.trim_end_matches('.');
    // Linux's vfat neither finds nor creates anything under such a name.
    if s.is_empty() { Err(Errno::ENOENT) } else { Ok(s) }
}

/// The name, if a file can be created under it.
pub fn check(name: &[u8]) -> Result<&str> {
    let s = text(name).map_err(|_| Errno::EINVAL)?;
    if s.encode_utf16().count() > UNITS_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let bad = |c: char| c < ' ' || matches!(c, '*' | '?' | '<' | '>' | '|' | '"' | ':' | '/' | '\\');
    if s.contains(bad) || s.ends_with(' ') {
        return Err(Errno::EINVAL);
    }
    Ok(s)
}

fn upper(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    // Only one-to-one mappings, like the tables of other systems: `ß` stays.
    let mut u = c.to_uppercase();
    match (u.next(), u.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// A form that is the same for names that differ only in case.
pub fn fold(name: &str) -> Result<Box<[u8]>> {
    if name.is_ascii() {
        // Nearly every name is ASCII, and each path needs several: one allocation of the right size.
        let mut s = copy(name.as_bytes())?;
        s.make_ascii_uppercase();
        return Ok(s.into_boxed_slice());
    }
    let mut s = String::new();
    s.try_reserve(name.len() + 8)?;
    for c in name.chars() {
        s.try_reserve(4)?;
        s.push(upper(c));
    }
    Ok(s.into_bytes().into_boxed_slice())
}

/// Upper half of code page 437, which FAT volumes use for bytes above 0x7f unless told otherwise.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The character that a byte of a short name stands for.
pub fn oem(b: u8) -> char {
    if b < 0x80 { char::from(b) } else { CP437.chars().nth(usize::from(b - 0x80)).unwrap_or('_') }
}

/// A short name as text.
pub fn short_text(short: &Short) -> String {
    let part = |p: &[u8]| p.iter().rposition(|&c| c != b' ').map_or(0, |i| i + 1);
    let (base, ext) = (part(&short[..8]), part(&short[8..]));
    let mut s = String::new();
    for (i, &c) in short[..base].iter().enumerate() {
        s.push(oem(if i == 0 && c == 5 { 0xe5 } else { c }));
    }
    if ext > 0 {
        s.push('.');
        s.extend(short[8..8 + ext].iter().map(|&c| oem(c)));
    }
    s
}

fn short_char(c: char) -> Option<u8> {
    let special =
        matches!(c, '!' | '#' | '$' | '%' | '&' | '\'' | '(' | ')' | '-' | '@' | '^' | '_' | '`' | '{' | '}' | '~');
    (c.is_ascii_alphanumeric() || special).then(|| c.to_ascii_uppercase() as u8)
}

/// Puts the part of `part` that a short name can hold into `dst`. Returns the length, and whether nothing was lost.
fn shorten(part: &str, dst: &mut [u8]) -> (usize, bool) {
    let (mut n, mut whole) = (0, true);
    for c in part.chars() {
        if n == dst.len() {
            return (n, false);
        }
        if matches!(c, ' ' | '.') {
            whole = false;
            continue;
        }
        let fixed = short_char(c);
        whole &= fixed.is_some();
        dst[n] = fixed.unwrap_or(b'_');
        n += 1;
    }
    (n, whole)
}

fn case(part: &str, lower: u8) -> Option<u8> {
    let has = |f: fn(&u8) -> bool| part.bytes().any(|c| f(&c));
    match (has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase)) {
        (true, true) => None,
        (true, false) => Some(lower),
        _ => Some(0),
    }
}

/// An encoded name: slots for the long form (possibly none) in disk order, the short name, the NT flags.
pub struct Encoded {
    pub long: Vec<Raw>,
    pub short: Short,
    pub flags: u8,
}

/// Encodes `name`; `taken` tells which short names are in use.
pub fn encode(name: &str, taken: impl Fn(&Short) -> bool) -> Result<Encoded> {
    let (base, ext) = match name.rfind('.') {
        Some(i) if i > 0 => (&name[..i], &name[i + 1..]),
        _ => (name, ""),
    };
    let mut short = [b' '; 11];
    let (n, base_whole) = shorten(base, &mut short[..8]);
    let (_, ext_whole) = shorten(ext, &mut short[8..]);
    let whole = base_whole && ext_whole && n > 0;
    if whole && !taken(&short) {
        if let (Some(b), Some(e)) = (case(base, LOWER_BASE), case(ext, LOWER_EXT)) {
            return Ok(Encoded { long: Vec::new(), short, flags: b | e });
        }
    } else {
        short = alias(name, short, n, &taken);
    }
    Ok(Encoded { long: long_slots(name, &short)?, short, flags: 0 })
}

/// A short name for a name that does not fit: `LONGNA~1.TXT`, then with a number made from the long name.
fn alias(name: &str, plain: Short, n: usize, taken: &impl Fn(&Short) -> bool) -> Short {
    let with = |keep: usize, middle: &[u8], digit: u8| {
        let mut s = plain;
        s[..8].fill(b' ');
        s[..keep].copy_from_slice(&plain[..keep]);
        s[keep..keep + middle.len()].copy_from_slice(middle);
        s[keep + middle.len()] = b'~';
        s[keep + middle.len() + 1] = b'0' + digit;
        s
    };
    for digit in 1..5 {
        let s = with(n.min(6), b"", digit);
        if !taken(&s) {
            return s;
        }
    }
    let mut hash = name.bytes().fold(0x811c_9dc5u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    loop {
        let hex = core::array::from_fn::<u8, 4, _>(|i| b"0123456789ABCDEF"[(hash >> (4 * i) & 15) as usize]);
        for digit in 1..10 {
            let s = with(n.min(2), &hex, digit);
            if !taken(&s) {
                return s;
            }
        }
        hash = hash.wrapping_mul(0x0100_0193).wrapping_add(1);
    }
}

/// The checksum by which long slots identify their entry.
pub fn checksum(short: &Short) -> u8 {
    short.iter().fold(0u8, |sum, &b| sum.rotate_right(1).wrapping_add(b))
}

fn long_slots(name: &str, short: &Short) -> Result<Vec<Raw>> {
    let mut units: Vec<u16> = with_room(name.len() + 1)?;
    units.extend(name.encode_utf16());
    let n = units.len().div_ceil(UNITS);
    let sum = checksum(short);
    let mut slots = with_room(n)?;
    for i in (0..n).rev() {
        let mut raw = [0xff; 32];
        let part = &units[i * UNITS..units.len().min((i + 1) * UNITS)];
        raw[0] = (i as u8 + 1) | if i + 1 == n { 0x40 } else { 0 };
        raw[11] = 0x0f;
        raw[12] = 0;
        raw[13] = sum;
        raw[26..28].fill(0);
        const AT: [usize; UNITS] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
        for (k, at) in AT.iter().enumerate() {
            let unit = match k.cmp(&part.len()) {
                core::cmp::Ordering::Less => part[k],
                core::cmp::Ordering::Equal => 0,
                core::cmp::Ordering::Greater => 0xffff,
            };
            raw[*at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        slots.push(raw);
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enc(name: &str) -> (usize, String, u8) {
        let e = encode(name, |_| false).unwrap();
        (e.long.len(), String::from_utf8_lossy(&e.short).into_owned(), e.flags)
    }

    #[test]
    fn short_names() {
        assert_eq!(enc("app.db"), (0, "APP     DB ".into(), LOWER_BASE | LOWER_EXT));
        assert_eq!(enc("README"), (0, "README     ".into(), 0));
        assert_eq!(enc("Readme.txt"), (1, "README  TXT".into(), 0));
        assert_eq!(enc("app.db-journal"), (2, "APP~1   DB-".into(), 0));
        assert_eq!(enc("äpfel.txt"), (1, "_PFEL~1 TXT".into(), 0));
        assert_eq!(enc("😀"), (1, "_~1        ".into(), 0));
        assert_eq!(enc(".x y"), (1, "XY~1       ".into(), 0));
        assert_eq!(enc("a.b.c"), (1, "AB~1    C  ".into(), 0));
        let e = encode("longfilename.txt", |s| s.starts_with(b"LONGFI")).unwrap();
        assert_eq!((&e.short[..2], &e.short[6..], e.long.len()), (&b"LO"[..], &b"~1TXT"[..], 2));
    }

    #[test]
    fn what_is_a_name() {
        assert_eq!(check(b"a."), Ok("a"));
        assert_eq!(check(b"..."), Err(Errno::EINVAL));
        assert_eq!(check(b"a:b"), Err(Errno::EINVAL));
        assert_eq!(check(b"a "), Err(Errno::EINVAL));
        assert_eq!(check(b"a\xff"), Err(Errno::EINVAL));
        assert_eq!(check("ä".repeat(255).as_bytes()).map(|_| ()), Ok(()));
        assert_eq!(check("ä".repeat(256).as_bytes()), Err(Errno::ENAMETOOLONG));
        assert_eq!(fold("Straße Ä"), fold("sTRAßE ä"));
        assert_eq!(short_text(b"FOO     TXT"), "FOO.TXT");
        assert_eq!(oem(0x84), 'ä');
        assert_eq!(CP437.chars().count(), 128);
    }
}
