//! Bytes and strings, quoted as in C.

use super::Memory;
use core::fmt::{Formatter, Result, Write};

/// Most bytes of a buffer that are shown.
const SHOWN: usize = 32;
/// Longest path, with its NUL (PATH_MAX).
const PATH_MAX: usize = 4096;

/// Writes a string up to its NUL.
pub fn string(f: &mut Formatter<'_>, memory: &dyn Memory, address: u64) -> Result {
    if address == 0 {
        return f.write_str("NULL");
    }
    if !super::memory::is_program(address) {
        return write!(f, "{address:#x}");
    }
    let mut chunk = [0; 64];
    let (mut at, mut open) = (0, false);
    while at < PATH_MAX {
        let n = read_string(memory, address + at as u64, &mut chunk);
        if n == 0 {
            break;
        }
        if !open {
            f.write_char('"')?;
            open = true;
        }
        let end = chunk[..n].iter().position(|&b| b == 0);
        escape(f, &chunk[..end.unwrap_or(n)], false)?;
        if end.is_some() {
            return f.write_char('"');
        }
        at += n;
    }
    if open { f.write_str("\"...") } else { write!(f, "{address:#x}") }
}

/// Never past the end of the page, which may be the last one.
fn read_string(memory: &dyn Memory, address: u64, chunk: &mut [u8; 64]) -> usize {
    let in_page = (4096 - address % 4096) as usize;
    memory.read(address, &mut chunk[..in_page.min(64)])
}

/// Writes a buffer of `len` bytes.
pub fn bytes(f: &mut Formatter<'_>, memory: &dyn Memory, address: u64, len: u64) -> Result {
    let mut shown = [0; SHOWN];
    let wanted = len.min(SHOWN as u64) as usize;
    if memory.read(address, &mut shown[..wanted]) < wanted {
        return write!(f, "{address:#x}");
    }
    quoted(f, &shown[..wanted])?;
    if len > SHOWN as u64 { f.write_str("...") } else { Ok(()) }
}

/// Writes these bytes in quotes.
pub fn quoted(f: &mut Formatter<'_>, bytes: &[u8]) -> Result {
    f.write_char('"')?;
    escape(f, bytes, true)?;
    f.write_char('"')
}

/// Escapes as in a C string literal: octal escapes are short if no digit follows.
fn escape(f: &mut Formatter<'_>, bytes: &[u8], whole: bool) -> Result {
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'"' | b'\\' => write!(f, "\\{}", b as char)?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            0x0b => f.write_str("\\v")?,
            0x0c => f.write_str("\\f")?,
            b' '..=b'~' => f.write_char(b as char)?,
            // What follows this piece is not known here, so the escape is written in full.
            _ if bytes.get(i + 1).map_or(!whole, u8::is_ascii_digit) => write!(f, "\\{b:03o}")?,
            _ => write!(f, "\\{b:o}")?,
        }
    }
    Ok(())
}
