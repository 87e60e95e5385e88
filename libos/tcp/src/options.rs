//! The options in TCP headers: maximum segment size, window scale (RFC 7323), selective acknowledgments (RFC 2018).

use crate::Seq;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;

/// Most blocks in one header.
pub const BLOCKS: usize = 4;

/// What the options of a segment say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parsed {
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    pub sack_permitted: bool,
    pub blocks: [(Seq, Seq); BLOCKS],
    pub block_count: usize,
}

impl Parsed {
    /// Reads options. What is malformed ends the reading, as on Linux.
    pub fn read(mut o: &[u8]) -> Self {
        let mut p = Self::default();
        while let [kind, rest @ ..] = o {
            match *kind {
                END => break,
                NOP => {
                    o = rest;
                    continue;
                }
                _ => {}
            }
            let Some(len) = rest.first().map(|&n| usize::from(n)).filter(|&n| n >= 2 && n <= o.len()) else { break };
            let body = &o[2..len];
            match (*kind, body) {
                (MSS, &[a, b]) => p.mss = Some(u16::from_be_bytes([a, b])).filter(|&m| m != 0),
                (SCALE, &[n]) => p.scale = Some(n.min(14)),
                (SACK_PERMITTED, []) => p.sack_permitted = true,
                (SACK, blocks) => {
                    for b in blocks.chunks_exact(8).take(BLOCKS) {
                        let seq = |i: usize| Seq(u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]));
                        p.blocks[p.block_count.min(BLOCKS - 1)] = (seq(0), seq(4));
                        p.block_count = (p.block_count + 1).min(BLOCKS);
                    }
                }
                _ => {}
            }
            o = &o[len..];
        }
        p
    }

    pub fn blocks(&self) -> &[(Seq, Seq)] {
        &self.blocks[..self.block_count]
    }
}

/// What the options of a SYN say, as far as a connection remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SynOptions {
    pub mss: u16,
    pub scale: Option<u8>,
    pub sack: bool,
}

impl SynOptions {
    pub fn read(options: &[u8]) -> Self {
        let p = Parsed::read(options);
        Self { mss: p.mss.unwrap_or(536), scale: p.scale, sack: p.sack_permitted }
    }
}

/// Options to send.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    bytes: [u8; 36],
    len: u8,
}

impl Options {
    pub const NONE: Self = Self { bytes: [0; 36], len: 0 };

    fn put(&mut self, b: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + b.len()].copy_from_slice(b);
        self.len += b.len() as u8;
    }

    /// Those of a SYN.
    pub fn syn(mss: u16, scale: Option<u8>, sack: bool) -> Self {
        let mut o = Self::NONE;
        let [a, b] = mss.to_be_bytes();
        o.put(&[MSS, 4, a, b]);
        if sack {
            o.put(&[NOP, NOP, SACK_PERMITTED, 2]);
        }
        if let Some(n) = scale {
            o.put(&[NOP, SCALE, 3, n]);
        }
        o
    }

    /// Selective acknowledgments.
    pub fn sack(blocks: &[(Seq, Seq)]) -> Self {
        let mut o = Self::NONE;
        if !blocks.is_empty() {
            o.put(&[NOP, NOP, SACK, 2 + 8 * blocks.len() as u8]);
            for (start, end) in blocks {
                o.put(&start.0.to_be_bytes());
                o.put(&end.0.to_be_bytes());
            }
        }
        o
    }

    /// As in the header: a multiple of four bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_as_they_were_sent() {
        let p = Parsed::read(Options::syn(1460, Some(7), true).bytes());
        assert_eq!((p.mss, p.scale, p.sack_permitted), (Some(1460), Some(7), true));
        for (mss, scale, sack) in [(1460, Some(7), true), (9000, None, false), (48, Some(0), false)] {
            let syn = SynOptions { mss, scale, sack };
            assert_eq!(SynOptions::read(Options::syn(mss, scale, sack).bytes()), syn);
        }
        assert_eq!(SynOptions::read(&[]), SynOptions { mss: 536, scale: None, sack: false });
        let blocks = [(Seq(1), Seq(5)), (Seq(9), Seq(0)), (Seq(7), Seq(8))];
        let o = Options::sack(&blocks);
        assert_eq!((Parsed::read(o.bytes()).blocks(), o.bytes().len() % 4), (&blocks[..], 0));
    }

    #[test]
    fn malformed_options_are_where_reading_ends() {
        for o in [&[2, 4, 5][..], &[2, 0, 5, 180], &[5, 200, 1, 2], &[3], &[3, 1], &[99, 2, 2, 4, 0, 0], &[2, 3, 1]] {
            let p = Parsed::read(o);
            assert_eq!((p.mss, p.scale, p.block_count), (None, None, 0), "{o:?}");
        }
        let mut long = vec![5, 38];
        long.extend([7; 36]);
        assert_eq!(Parsed::read(&long).block_count, 4);
    }
}
