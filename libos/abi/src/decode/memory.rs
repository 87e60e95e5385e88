//! The memory that an argument points at.

use super::{Decoder, Memory, address, message, structure, text, value};
use crate::arg::{Direction, Kind, Shape};
use crate::layout::PollFd;
use core::fmt::{Formatter, Result};

/// Most elements of an array that are shown.
const SHOWN: u64 = 16;

/// Whether a program can have memory there; the sum of such an address and a length does not overflow.
pub fn is_program(address: u64) -> bool {
    address < 1 << 47
}

/// A little-endian number of `N` bytes.
pub fn word<const N: usize>(memory: &dyn Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (memory.read(address, &mut bytes[..N]) == N).then(|| u64::from_le_bytes(bytes))
}

/// A number of `size` bytes, up to eight.
pub fn number(memory: &dyn Memory, address: u64, size: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    (memory.read(address, bytes.get_mut(..size)?) == size).then(|| u64::from_le_bytes(bytes))
}

impl Decoder<'_> {
    pub(super) fn pointed_at(&self, f: &mut Formatter<'_>, i: usize, at: u64, way: Direction, shape: Shape) -> Result {
        let memory = self.invocation.memory;
        if !is_program(at) {
            return write!(f, "{at:#x}");
        }
        let length = self.length(i);
        // The length of what was read or received is the result, if that counts bytes or elements.
        let filled = match (way, self.invocation.result) {
            (Direction::Out, Some(n)) => length.map(|length| length.min(n.max(0) as u64)),
            _ => length,
        };
        match shape {
            Shape::By(which) => self.pointed_at(f, i, at, way, which(&self.invocation.registers)),
            // Directory entries are a list of records; strace shows only where they are and how many bytes.
            Shape::Bytes if self.call.name.starts_with("getdents") => write!(f, "{at:#x}"),
            // For an option, the returned length counts, not the result.
            Shape::Bytes if self.call.name == "getsockopt" => text::bytes(f, memory, at, length.unwrap_or(0)),
            // The path returned by getcwd ends with a NUL, which is not shown.
            Shape::Bytes if self.call.name == "getcwd" => text::string(f, memory, at),
            Shape::Bytes => match filled {
                Some(len) => text::bytes(f, memory, at, len),
                None => write!(f, "{at:#x}"),
            },
            Shape::Number => match length.and_then(|n| number(memory, at, n as usize)) {
                Some(n) => write!(f, "[{}]", n as i32),
                None => write!(f, "{at:#x}"),
            },
            Shape::Values(kind, size) => match (filled, kind) {
                (None, _) => one(f, memory, at, *kind, size),
                (Some(n), Kind::Struct(layout)) if layout.name == PollFd::LAYOUT.name => {
                    list(f, n, |f, i| structure::poll_wanted(f, memory, at + 8 * i))
                }
                (Some(n), _) => {
                    list(f, n, |f, i| structure::element(f, memory, at + u64::from(size) * i, *kind, usize::from(size)))
                }
            },
            Shape::Sockaddr => match length {
                Some(len) => address::sockaddr(f, memory, at, len),
                None => write!(f, "{at:#x}"),
            },
            Shape::IoVec => {
                let bytes = self.transferred(way);
                message::vectors(f, memory, at, length.unwrap_or(0), bytes)
            }
            Shape::MsgHdr => message::header(f, memory, at, self.transferred(way)),
            Shape::MmsgHdr => {
                let n = self.invocation.result.map_or(length.unwrap_or(0), |n| n.max(0) as u64);
                list(f, n, |f, i| message::counted_header(f, memory, at + 64 * i))
            }
            Shape::SigSet => structure::signals(f, memory, at),
            Shape::FdSet => descriptors(f, memory, at, self.invocation.registers[0] as u32),
            Shape::SigInfo => structure::siginfo(f, memory, at),
            Shape::StrList => strings(f, memory, at),
            Shape::CpuSet => processors(f, memory, at, filled.unwrap_or(8)),
            Shape::ThreadName => text::string(f, memory, at),
        }
    }

    /// The number of bytes that went through the buffers: unknown until the call returns, unless the program provides
    /// them.
    fn transferred(&self, way: Direction) -> Option<u64> {
        match (self.invocation.result, way) {
            (Some(n), Direction::Out | Direction::InOut) if self.invocation.succeeded() => Some(n as u64),
            (_, Direction::In) => Some(u64::MAX),
            _ => None,
        }
    }

    /// Writes what strace adds after the result.
    pub(super) fn after_result(&self, f: &mut Formatter<'_>) -> Result {
        let (memory, registers) = (self.invocation.memory, &self.invocation.registers);
        match (self.call.name, self.invocation.result) {
            ("poll" | "ppoll" | "select" | "pselect6", Some(0)) => f.write_str(" (Timeout)"),
            ("poll" | "ppoll", Some(n)) if n > 0 => {
                f.write_str(" (")?;
                let asked = if is_program(registers[0]) { registers[1] & 0xffff_ffff } else { 0 };
                let ready = (0..asked)
                    .map_while(|i| word::<2>(memory, registers[0] + 8 * i + 6).map(|events| (i, events)))
                    .filter_map(|(i, events)| (events != 0).then_some(i))
                    .take(SHOWN as usize);
                f.write_str("[")?;
                for (k, i) in ready.enumerate() {
                    f.write_str(if k == 0 { "" } else { ", " })?;
                    structure::poll_ready(f, memory, registers[0] + 8 * i)?;
                }
                f.write_str("])")
            }
            _ => Ok(()),
        }
    }
}

/// Writes one number or structure: numbers in brackets, as strace does.
fn one(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, kind: Kind, size: u16) -> Result {
    match kind {
        Kind::Struct(_) | Kind::Array(..) => structure::element(f, memory, at, kind, usize::from(size)),
        _ => match number(memory, at, usize::from(size)) {
            Some(n) => {
                f.write_str("[")?;
                value::value(f, kind, n)?;
                f.write_str("]")
            }
            None => write!(f, "{at:#x}"),
        },
    }
}

/// Writes `[a, b, ...]`.
pub fn list(f: &mut Formatter<'_>, n: u64, mut each: impl FnMut(&mut Formatter<'_>, u64) -> Result) -> Result {
    f.write_str("[")?;
    for i in 0..n.min(SHOWN) {
        f.write_str(if i == 0 { "" } else { ", " })?;
        each(f, i)?;
    }
    f.write_str(if n > SHOWN { ", ...]" } else { "]" })
}

/// Writes the set bits among the first `n`.
fn bits(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, n: u64) -> Result {
    f.write_str("[")?;
    let mut first = true;
    for i in 0..n {
        let Some(byte) = word::<1>(memory, at + i / 8) else { break };
        if byte >> (i % 8) & 1 != 0 {
            write!(f, "{}{i}", if first { "" } else { " " })?;
            first = false;
        }
    }
    f.write_str("]")
}

fn descriptors(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, n: u32) -> Result {
    bits(f, memory, at, u64::from(n.min(1024)))
}

fn processors(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, bytes: u64) -> Result {
    bits(f, memory, at, 8 * bytes.min(128))
}

fn strings(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    f.write_str("[")?;
    for i in 0..SHOWN {
        match word::<8>(memory, at + 8 * i) {
            None | Some(0) => return f.write_str("]"),
            Some(string) => {
                f.write_str(if i == 0 { "" } else { ", " })?;
                text::string(f, memory, string)?;
            }
        }
    }
    f.write_str(", ...]")
}
