//! Classic BPF (SO_ATTACH_FILTER, linux/filter.h; McCanne and Jacobson, "The BSD Packet Filter", 1993): checked once,
//! so that a program ends and touches nothing but its packet, then interpreted.

use alloc::vec::Vec;
use libos_base::{Errno, Result};

/// BPF_MAXINSNS.
const MOST: usize = 4096;
/// SKF_AD_OFF: loads from here on ask about the packet instead of its bytes. SKF_NET_OFF and SKF_LL_OFF: offsets from
/// the network header and from the link's.
const ABOUT: u32 = -0x1000_i32 as u32;
const NET: u32 = -0x10_0000_i32 as u32;
const LINK: u32 = -0x20_0000_i32 as u32;

/// One instruction: struct sock_filter.
#[derive(Clone, Copy)]
struct Step {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// What a filter may ask about a packet besides its bytes.
#[derive(Clone, Copy, Default)]
pub struct About {
    /// The link's protocol, as in the Ethernet header.
    pub protocol: u16,
    /// PACKET_HOST, ...
    pub kind: u8,
    pub index: u32,
    /// ARPHRD_*.
    pub hardware: u16,
}

/// A checked program.
pub struct Program(Vec<Step>);

// Classes, sizes and modes of instructions.
const LD: u16 = 0;
const LDX: u16 = 1;
const ST: u16 = 2;
const STX: u16 = 3;
const ALU: u16 = 4;
const JMP: u16 = 5;
const RET: u16 = 6;
const MISC: u16 = 7;

impl Program {
    /// Checks `struct sock_filter`s. EINVAL.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let n = bytes.len() / 8;
        if n == 0 || n > MOST {
            return Err(Errno::EINVAL);
        }
        let mut steps = libos_base::memory::with_room(n)?;
        steps.extend(bytes.chunks_exact(8).map(|b| Step {
            code: u16::from_le_bytes([b[0], b[1]]),
            yes: b[2],
            no: b[3],
            k: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }));
        for (i, s) in steps.iter().enumerate() {
            let left = n - i - 1;
            let good = match (s.code & 7, s.code) {
                // Word, half and byte, from a fixed place, from X, and the length; constants and memory.
                (LD, 0x20 | 0x28 | 0x30 | 0x40 | 0x48 | 0x50 | 0x80 | 0x00) | (LDX, 0x01 | 0x81 | 0xb1) => {
                    // What is asked about a packet has to be something that is known.
                    !matches!(s.code, 0x20 | 0x28 | 0x30) || s.k < ABOUT || s.k - ABOUT < 64
                }
                (LD, 0x60) | (LDX, 0x61) | (ST, 0x02) | (STX, 0x03) => s.k < 16,
                // add, sub, mul, div, or, and, lsh, rsh, mod, xor with K or X; neg
                (ALU, 0x34 | 0x94) => s.k != 0,
                (ALU, 0x64 | 0x74) => s.k < 32,
                (ALU, 0x84) => true,
                (ALU, c) => c & !0xf8 == 4 && matches!(c >> 4, 0..=7 | 9 | 10),
                (JMP, 0x05) => (s.k as usize) < left,
                (JMP, c) => c & !0xf8 == 5 && (1..=4).contains(&(c >> 4)) && usize::from(s.yes.max(s.no)) < left,
                (RET, c) => matches!(c, 0x06 | 0x16),
                (MISC, c) => matches!(c, 0x07 | 0x87),
                _ => false,
            };
            if !good {
                return Err(Errno::EINVAL);
            }
        }
        if steps.last().is_none_or(|s| s.code & 7 != RET) || !stored_first(&steps) {
            return Err(Errno::EINVAL);
        }
        Ok(Self(steps))
    }

    /// How much of the packet to keep; 0: nothing, the packet is refused. A load beyond its end refuses it, too.
    pub fn run(&self, packet: &[u8], about: &About) -> u32 {
        self.value(packet, about).unwrap_or(0)
    }

    fn value(&self, packet: &[u8], about: &About) -> Option<u32> {
        let (mut a, mut x, mut memory, mut at) = (0u32, 0u32, [0u32; 16], 0);
        loop {
            let Step { code, yes, no, k } = *self.0.get(at)?;
            at += 1;
            let operand = if code & 8 != 0 { x } else { k };
            match code {
                0x20 | 0x28 | 0x30 => a = load(packet, about, k, size(code))?,
                0x40 | 0x48 | 0x50 => a = load(packet, about, x.wrapping_add(k), size(code))?,
                0x80 => a = packet.len() as u32,
                0x81 => x = packet.len() as u32,
                0x00 => a = k,
                0x01 => x = k,
                0x60 => a = memory[k as usize],
                0x61 => x = memory[k as usize],
                // Four times the low half of a byte: the length of an IPv4 header.
                0xb1 => x = (load(packet, about, k, 1)? & 15) * 4,
                0x02 => memory[k as usize] = a,
                0x03 => memory[k as usize] = x,
                0x07 => x = a,
                0x87 => a = x,
                0x06 => return Some(k),
                0x16 => return Some(a),
                0x05 => at += k as usize,
                0x84 => a = a.wrapping_neg(),
                _ if code & 7 == JMP => {
                    let holds = match code >> 4 {
                        1 => a == operand,
                        2 => a > operand,
                        3 => a >= operand,
                        _ => a & operand != 0,
                    };
                    at += usize::from(if holds { yes } else { no });
                }
                _ => {
                    a = match code >> 4 {
                        0 => a.wrapping_add(operand),
                        1 => a.wrapping_sub(operand),
                        2 => a.wrapping_mul(operand),
                        3 => a.checked_div(operand)?,
                        4 => a | operand,
                        5 => a & operand,
                        6 => a.wrapping_shl(operand),
                        7 => a.wrapping_shr(operand),
                        9 => a.checked_rem(operand)?,
                        _ => a ^ operand,
                    };
                }
            }
        }
    }
}

fn size(code: u16) -> usize {
    match code >> 3 & 3 {
        0 => 4,
        1 => 2,
        _ => 1,
    }
}

/// A load of 1, 2 or 4 bytes in network order, or what is known about the packet.
fn load(packet: &[u8], about: &About, k: u32, n: usize) -> Option<u32> {
    let at = match k {
        // Both count from the beginning of what the socket sees.
        LINK..NET => k - LINK,
        NET..ABOUT => k - NET,
        ABOUT.. => return Some(asked(k - ABOUT, about)),
        k => k,
    } as usize;
    let b = packet.get(at..at.checked_add(n)?)?;
    Some(b.iter().fold(0, |v, &b| v << 8 | u32::from(b)))
}

/// SKF_AD_*. Marks, queues, hashes and VLAN tags are all zero, and netlink attributes are not in packets.
fn asked(what: u32, about: &About) -> u32 {
    match what {
        0 => about.protocol.into(),
        4 => about.kind.into(),
        8 => about.index,
        28 => about.hardware.into(),
        56 => libos_base::random::u64() as u32,
        _ => 0,
    }
}

/// Whether no word of memory is read that may not have been written (sk_chk_filter's rule): goes through the program
/// once, since jumps lead forward only.
fn stored_first(steps: &[Step]) -> bool {
    let mut known: Vec<u16> = Vec::new();
    if known.try_reserve_exact(steps.len()).is_err() {
        return false;
    }
    known.resize(steps.len(), u16::MAX);
    let mut now = 0u16;
    for (i, s) in steps.iter().enumerate() {
        now &= known[i];
        match s.code & 7 {
            ST | STX => now |= 1 << s.k,
            LD | LDX if s.code & 0xe0 == 0x60 && now >> s.k & 1 == 0 => return false,
            JMP => {
                let targets = if s.code == 5 { [s.k as usize; 2] } else { [s.yes.into(), s.no.into()] };
                for t in targets {
                    known[i + 1 + t] &= now;
                }
                // What comes next is reached only by jumps.
                now = u16::MAX;
            }
            RET => now = u16::MAX,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(steps: &[(u16, u8, u8, u32)]) -> Result<Program> {
        let bytes: Vec<u8> = steps
            .iter()
            .flat_map(|&(code, yes, no, k)| {
                let mut b = code.to_le_bytes().to_vec();
                b.extend_from_slice(&[yes, no]);
                b.extend_from_slice(&k.to_le_bytes());
                b
            })
            .collect();
        Program::new(&bytes)
    }

    /// UDP to port 68 over IPv4, not in fragments: what a DHCP client asks for.
    const DHCP: [(u16, u8, u8, u32); 9] = [
        (0x30, 0, 0, 9),
        (0x15, 0, 6, 17),
        (0x28, 0, 0, 6),
        (0x45, 4, 0, 0x1fff),
        (0xb1, 0, 0, 0),
        (0x48, 0, 0, 2),
        (0x15, 0, 1, 68),
        (0x06, 0, 0, u32::MAX),
        (0x06, 0, 0, 0),
    ];

    #[test]
    fn a_real_filter_passes_what_it_should() {
        let p = program(&DHCP).unwrap();
        let mut packet = [0u8; 28];
        (packet[0], packet[9], packet[23]) = (0x45, 17, 68);
        let about = About::default();
        assert_eq!(p.run(&packet, &about), u32::MAX);
        packet[23] = 67;
        assert_eq!(p.run(&packet, &about), 0);
        packet[23] = 68;
        packet[7] = 1;
        assert_eq!(p.run(&packet, &about), 0, "a fragment");
        assert_eq!(p.run(&packet[..9], &about), 0, "too short");
    }

    #[test]
    fn arithmetic_and_what_is_known_about_a_packet() {
        let about = About { protocol: 0x800, kind: 4, index: 2, hardware: 1 };
        let run = |steps: &[(u16, u8, u8, u32)]| program(steps).unwrap().run(&[1, 2, 3, 4, 5], &about);
        assert_eq!(run(&[(0x20, 0, 0, 0), (0x16, 0, 0, 0)]), 0x0102_0304);
        assert_eq!(run(&[(0x28, 0, 0, ABOUT), (0x16, 0, 0, 0)]), 0x800);
        assert_eq!(run(&[(0x28, 0, 0, ABOUT + 8), (0x16, 0, 0, 0)]), 2);
        assert_eq!(run(&[(0x30, 0, 0, LINK + 4), (0x16, 0, 0, 0)]), 5);
        assert_eq!(run(&[(0x80, 0, 0, 0), (0x24, 0, 0, 3), (0x94, 0, 0, 4), (0x16, 0, 0, 0)]), 15 % 4);
        assert_eq!(run(&[(0x00, 0, 0, 7), (0x02, 0, 0, 3), (0x61, 0, 0, 3), (0x0c, 0, 0, 0), (0x16, 0, 0, 0)]), 14);
        assert_eq!(run(&[(0x01, 0, 0, 0), (0x3c, 0, 0, 0), (0x06, 0, 0, 1)]), 0, "a division by zero refuses");
    }

    #[test]
    fn what_could_run_away_or_out_of_bounds_is_refused() {
        let bad: [&[(u16, u8, u8, u32)]; 12] = [
            &[],
            &[(0x00, 0, 0, 1)],
            &[(0x05, 0, 0, 1), (0x06, 0, 0, 0)],
            &[(0x05, 0, 0, u32::MAX), (0x06, 0, 0, 0)],
            &[(0x15, 1, 0, 0), (0x06, 0, 0, 0)],
            &[(0x34, 0, 0, 0), (0x06, 0, 0, 0)],
            &[(0x64, 0, 0, 32), (0x06, 0, 0, 0)],
            &[(0x02, 0, 0, 16), (0x06, 0, 0, 0)],
            &[(0x60, 0, 0, 0), (0x06, 0, 0, 0)],
            &[(0x15, 0, 1, 0), (0x02, 0, 0, 0), (0x60, 0, 0, 0), (0x06, 0, 0, 0)],
            &[(0x85, 0, 0, 0), (0x06, 0, 0, 0)],
            &[(0xff, 0, 0, 0), (0x06, 0, 0, 0)],
        ];
        for steps in bad {
            assert!(program(steps).is_err(), "{steps:?}");
        }
    }
}
