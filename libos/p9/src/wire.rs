//! Messages as bytes: `size[4] kind[1] tag[2]`, then fields, little endian; strings have a length of two bytes.

use alloc::vec::Vec;
use libos_base::memory::with_room;
use libos_base::{Errno, Result};

/// Kinds of requests; the reply to one is its number plus one.
pub mod kind {
    pub const LERROR: u8 = 6;
    pub const STATFS: u8 = 8;
    pub const LOPEN: u8 = 12;
    pub const LCREATE: u8 = 14;
    pub const SYMLINK: u8 = 16;
    pub const READLINK: u8 = 22;
    pub const GETATTR: u8 = 24;
    pub const SETATTR: u8 = 26;
    pub const READDIR: u8 = 40;
    pub const FSYNC: u8 = 50;
    pub const LINK: u8 = 70;
    pub const MKDIR: u8 = 72;
    pub const RENAMEAT: u8 = 74;
    pub const UNLINKAT: u8 = 76;
    pub const VERSION: u8 = 100;
    pub const ATTACH: u8 = 104;
    pub const WALK: u8 = 110;
    pub const READ: u8 = 116;
    pub const WRITE: u8 = 118;
    pub const CLUNK: u8 = 120;
}

/// Size, kind and tag.
pub const HEADER: usize = 7;
/// Tag of the message that begins a session.
pub const NOTAG: u16 = 0xffff;

/// One field of a message.
#[derive(Clone, Copy)]
pub enum Field<'a> {
    U16(u16),
    U32(u32),
    U64(u64),
    Text(&'a [u8]),
}

/// Encodes a request that is followed by `behind` bytes of payload.
pub fn encode(kind: u8, fields: &[Field<'_>], behind: usize) -> Result<Vec<u8>> {
    let len = HEADER + fields.iter().map(Field::len).sum::<usize>();
    let mut m = with_room(len)?;
    m.extend_from_slice(&((len + behind) as u32).to_le_bytes());
    m.push(kind);
    let tag = if kind == kind::VERSION { NOTAG } else { 0 };
    m.extend_from_slice(&tag.to_le_bytes());
    for f in fields {
        match *f {
            Field::U16(v) => m.extend_from_slice(&v.to_le_bytes()),
            Field::U32(v) => m.extend_from_slice(&v.to_le_bytes()),
            Field::U64(v) => m.extend_from_slice(&v.to_le_bytes()),
            Field::Text(t) => {
                let n = u16::try_from(t.len()).map_err(|_| Errno::ENAMETOOLONG)?;
                m.extend_from_slice(&n.to_le_bytes());
                m.extend_from_slice(t);
            }
        }
    }
    Ok(m)
}

impl Field<'_> {
    fn len(&self) -> usize {
        match self {
            Field::U16(_) => 2,
            Field::U32(_) => 4,
            Field::U64(_) => 8,
            Field::Text(t) => 2 + t.len(),
        }
    }
}

/// The server's identification of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qid {
    /// 0x80: directory, 2: symbolic link.
    pub kind: u8,
    /// Changes with the content.
    pub version: u32,
    /// The file's number.
    pub path: u64,
}

/// Reads the fields of a reply in turn. EIO if there are fewer bytes than asked for.
#[derive(Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (now, rest) = self.0.split_at_checked(n).ok_or(Errno::EIO)?;
        self.0 = rest;
        Ok(now)
    }
    /// An integer of `n` bytes, at most eight.
    fn int(&mut self, n: usize) -> Result<u64> {
        Ok(self.take(n)?.iter().rev().fold(0, |v, &b| v << 8 | u64::from(b)))
    }
    pub fn u8(&mut self) -> Result<u8> {
        self.int(1).map(|v| v as u8)
    }
    pub fn u16(&mut self) -> Result<u16> {
        self.int(2).map(|v| v as u16)
    }
    pub fn u32(&mut self) -> Result<u32> {
        self.int(4).map(|v| v as u32)
    }
    pub fn u64(&mut self) -> Result<u64> {
        self.int(8)
    }
    pub fn text(&mut self) -> Result<&'a [u8]> {
        let n = self.u16()?;
        self.take(n.into())
    }
    pub fn qid(&mut self) -> Result<Qid> {
        Ok(Qid { kind: self.u8()?, version: self.u32()?, path: self.u64()? })
    }
}

/// The fields of the reply to a request of that kind, or the server's error.
pub fn decode(kind: u8, reply: &[u8], payload: usize) -> Result<Reader<'_>> {
    let mut r = Reader(reply);
    let (size, got) = (r.u32()? as usize, r.u8()?);
    r.u16()?;
    if got == kind::LERROR + 1 {
        let n = r.u32()?;
        return Err(u16::try_from(n).ok().and_then(Errno::from_raw).unwrap_or(Errno::EIO));
    }
    if got != kind + 1 || size < HEADER || size > reply.len() + payload {
        return Err(Errno::EIO);
    }
    r.0 = &r.0[..(size - HEADER).min(r.0.len())];
    Ok(r)
}
