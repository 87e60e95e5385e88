//! Scattered buffers, and messages.

use super::{Memory, address, memory, text, value};
use crate::constants::{ControlMessage, MessageFlags, SocketLevel};
use core::fmt::{Formatter, Result};

/// Writes `n` buffers, through which `bytes` bytes went; `None` while that is unknown.
pub fn vectors(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, n: u64, bytes: Option<u64>) -> Result {
    let mut left = bytes;
    memory::list(f, n, |f, i| {
        let (Some(base), Some(len)) =
            (memory::word::<8>(memory, at + 16 * i), memory::word::<8>(memory, at + 16 * i + 8))
        else {
            return write!(f, "{:#x}", at + 16 * i);
        };
        f.write_str("{iov_base=")?;
        match left {
            Some(bytes) => {
                let here = bytes.min(len);
                left = Some(bytes - here);
                text::bytes(f, memory, base, here)?;
            }
            None => write!(f, "{base:#x}")?,
        }
        write!(f, ", iov_len={len}}}")
    })
}

/// Writes a msghdr.
pub fn header(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, bytes: Option<u64>) -> Result {
    let word = |offset| memory::word::<8>(memory, at + offset);
    let (Some(name), Some(iov), Some(n), Some(control), Some(control_len), Some(flags)) =
        (word(0), word(16), word(24), word(32), word(40), word(48))
    else {
        return write!(f, "{at:#x}");
    };
    if ![name, iov, control].iter().all(|&at| memory::is_program(at)) {
        return write!(f, "{at:#x}");
    }
    let name_len = word(8).unwrap_or(0) & 0xffff_ffff;
    f.write_str("{msg_name=")?;
    if name == 0 || bytes.is_none() {
        value::value(f, crate::arg::Kind::Address, name)?;
    } else {
        address::sockaddr(f, memory, name, name_len)?;
    }
    write!(f, ", msg_namelen={name_len}, msg_iov=")?;
    vectors(f, memory, iov, n, bytes)?;
    write!(f, ", msg_iovlen={n}")?;
    if control != 0 && control_len != 0 && bytes.is_some() {
        f.write_str(", msg_control=")?;
        controls(f, memory, control, control_len)?;
    }
    write!(f, ", msg_controllen={control_len}, msg_flags=")?;
    value::named(f, &MessageFlags::NAMES, flags & 0xffff_ffff)?;
    f.write_str("}")
}

/// Writes an element of the array of sendmmsg and recvmmsg, once it has been sent or received.
pub fn counted_header(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    let len = memory::word::<4>(memory, at + 56);
    f.write_str("{msg_hdr=")?;
    header(f, memory, at, len)?;
    write!(f, ", msg_len={}}}", len.unwrap_or(0))
}

/// Writes control messages, each with its data.
fn controls(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, len: u64) -> Result {
    const HEAD: u64 = 16;
    let len = len.min(1 << 20);
    f.write_str("[")?;
    let (mut offset, mut first) = (0, true);
    while offset + HEAD <= len {
        let field = |o, n| memory::number(memory, at + offset + o, n);
        let (Some(size), Some(level), Some(kind)) = (field(0, 8), field(8, 4), field(12, 4)) else { break };
        if size < HEAD || size > len - offset {
            break;
        }
        write!(f, "{}{{cmsg_len={size}, cmsg_level=", if first { "" } else { ", " })?;
        first = false;
        value::named(f, &SocketLevel::NAMES, level)?;
        f.write_str(", cmsg_type=")?;
        let data = (at + offset + HEAD, size - HEAD);
        if level as i32 == SocketLevel::SOCKET.0 {
            value::named(f, &ControlMessage::NAMES, kind)?;
            f.write_str(", cmsg_data=")?;
            memory::list(f, data.1 / 4, |f, i| {
                write!(f, "{}", memory::word::<4>(memory, data.0 + 4 * i).unwrap_or(0) as i32)
            })?;
        } else {
            write!(f, "{kind:#x}, cmsg_data=")?;
            text::bytes(f, memory, data.0, data.1)?;
        }
        f.write_str("}")?;
        offset += size.next_multiple_of(8);
    }
    f.write_str("]")
}
