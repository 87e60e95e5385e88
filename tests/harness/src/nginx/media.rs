//! The smallest films that nginx can seek in.

use std::ops::Range;

/// Seconds of the MP4; each is a sample, and a chunk.
const SECONDS: u32 = 10;
const SAMPLE: usize = 100;

/// The samples of these seconds: a hundred times the digit of the second.
pub fn samples(seconds: Range<u32>) -> Vec<u8> {
    seconds.flat_map(|second| [b'0' + second as u8; SAMPLE]).collect()
}

/// ISO/IEC 14496-12: a box is its size, its type and its content.
fn one(kind: &str, content: &[u8]) -> Vec<u8> {
    let size = 8 + content.len() as u32;
    [&size.to_be_bytes(), kind.as_bytes(), content].concat()
}

fn many(kind: &str, inside: &[Vec<u8>]) -> Vec<u8> {
    one(kind, &inside.concat())
}

/// A box of 32-bit numbers.
fn numbers(kind: &str, numbers: &[u32]) -> Vec<u8> {
    one(kind, &numbers.iter().flat_map(|number| number.to_be_bytes()).collect::<Vec<_>>())
}

/// All but the samples, which begin at `data` in the file.
fn header(data: u32) -> Vec<u8> {
    let offsets = (0..SECONDS).map(|second| data + second * SAMPLE as u32);
    let table = many(
        "stbl",
        &[
            numbers("stsd", &[0, 1, 8, u32::from_be_bytes(*b"none")]),
            numbers("stts", &[0, 1, SECONDS, 1000]),
            numbers("stss", &[0, 2, 1, 5]),
            numbers("stsc", &[0, 1, 1, 1, 1]),
            // Each size by itself: nginx 1.22 forgets the last sample if one number stands for all.
            numbers("stsz", &[&[0, 0, SECONDS][..], &[SAMPLE as u32; SECONDS as usize]].concat()),
            numbers("stco", &[0, SECONDS].into_iter().chain(offsets).collect::<Vec<_>>()),
        ],
    );
    let media = many("minf", &[one("vmhd", &[0; 12]), numbers("dinf", &[]), table]);
    let track = many(
        "trak",
        &[
            // Version and flags, two times, the track's number, nothing, its length; the rest is of no interest.
            numbers("tkhd", &[&[1, 0, 0, 1, 0, 1000 * SECONDS][..], &[0; 15]].concat()),
            many("mdia", &[numbers("mdhd", &[0, 0, 0, 1000, 1000 * SECONDS, 0]), one("hdlr", &[0; 25]), media]),
        ],
    );
    let head = numbers("mvhd", &[&[0, 0, 0, 1000, 1000 * SECONDS][..], &[0; 20]].concat());
    [one("ftyp", b"isom\0\0\0\0isom"), many("moov", &[head, track])].concat()
}

/// A film of ten seconds with no pictures in it.
pub fn mp4() -> Vec<u8> {
    let data = header(0).len() as u32 + 8;
    [header(data), one("mdat", &samples(0..SECONDS))].concat()
}

/// A header, and bytes for tags: nginx does not look at these.
pub fn flv() -> Vec<u8> {
    [b"FLV\x01\x05\0\0\0\x09\0\0\0\0", &super::site::content(5000)[..]].concat()
}
