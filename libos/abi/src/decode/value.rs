//! The value of a register or a field.

use crate::arg::Kind;
use crate::constants::{Names, Signo, mode};
use core::fmt::{Formatter, Result};

/// The part of a register that an argument of this kind uses.
pub fn low_bytes(kind: Kind, register: u64) -> u64 {
    let bytes = match kind {
        Kind::Signed(n) | Kind::Unsigned(n) => n,
        Kind::Names(names) | Kind::Flags(names) => names.width,
        Kind::Fd | Kind::DirFd | Kind::Octal | Kind::FileMode | Kind::CreateMode => 4,
        _ => 8,
    };
    if bytes >= 8 { register } else { register & ((1 << (8 * bytes)) - 1) }
}

/// Writes a value as it appears in the argument list.
pub fn value(f: &mut Formatter<'_>, kind: Kind, register: u64) -> Result {
    let v = low_bytes(kind, register);
    match kind {
        Kind::Signed(1) => write!(f, "{}", v as i8),
        Kind::Signed(2) => write!(f, "{}", v as i16),
        Kind::Signed(4) | Kind::Fd => write!(f, "{}", v as i32),
        Kind::Signed(_) => write!(f, "{}", v as i64),
        Kind::Unsigned(_) => write!(f, "{v}"),
        Kind::Octal | Kind::CreateMode => octal(f, v),
        Kind::FileMode => file_mode(f, v as u32),
        Kind::DirFd if v as i32 == -100 => f.write_str("AT_FDCWD"),
        Kind::DirFd => write!(f, "{}", v as i32),
        Kind::Names(names) | Kind::Flags(names) => named(f, names, v),
        Kind::Hex if v == 0 => f.write_str("0"),
        _ if v == 0 => f.write_str("NULL"),
        _ => write!(f, "{v:#x}"),
    }
}

/// Writes a value as it appears after the equals sign.
pub fn result(f: &mut Formatter<'_>, kind: Kind, v: u64, registers: &[u64; 6]) -> Result {
    match kind {
        Kind::By(which) => result(f, which(registers), v, registers),
        Kind::Flags(names) => {
            write!(f, "{v:#x}")?;
            let flags = v & names.mask();
            if flags == 0 && names.field == 0 {
                return Ok(());
            }
            f.write_str(" (flags ")?;
            named(f, names, flags)?;
            f.write_str(")")
        }
        Kind::Names(names) => {
            write!(f, "{v}")?;
            match names.value(v) {
                Some(name) => {
                    let (prefix, name) = names.c_name(name);
                    write!(f, " ({prefix}{name})")
                }
                None => Ok(()),
            }
        }
        Kind::Hex | Kind::Address => write!(f, "{v:#x}"),
        kind => value(f, kind, v),
    }
}

/// Writes names joined by `|`, and the remaining bits in hexadecimal.
pub fn named(f: &mut Formatter<'_>, names: &Names, v: u64) -> Result {
    let mut rest = v & names.mask();
    let mut first = true;
    let mut put = |f: &mut Formatter<'_>, name: &'static str| {
        let (prefix, name) = names.c_name(name);
        let bar = if first { "" } else { "|" };
        first = false;
        write!(f, "{bar}{prefix}{name}")
    };
    if names.field != 0 {
        match names.value(rest) {
            Some(name) => {
                put(f, name)?;
                rest &= !(names.field & names.mask());
            }
            None if names.flags.is_empty() => return unnamed(f, names, rest),
            None => {}
        }
    } else if let (0, Some(none)) = (rest, names.value(0)) {
        return put(f, none);
    }
    for &(bits, name) in names.flags {
        if bits != 0 && rest & bits == bits {
            put(f, name)?;
            rest &= !bits;
        }
    }
    match (rest, first) {
        (0, false) => Ok(()),
        (0, true) => f.write_str("0"),
        (_, true) => write!(f, "{rest:#x}"),
        (_, false) => write!(f, "|{rest:#x}"),
    }
}

/// Writes a number that should have a name but has none.
fn unnamed(f: &mut Formatter<'_>, names: &Names, v: u64) -> Result {
    if names.prefix == Signo::NAMES.prefix {
        return signal(f, v as i32);
    }
    match names.prefix {
        "" => write!(f, "{v:#x}"),
        prefix => write!(f, "{v:#x} /* {prefix}??? */"),
    }
}

/// Writes a signal, which may be a real-time one.
pub fn signal(f: &mut Formatter<'_>, signo: i32) -> Result {
    match Signo::NAMES.value(signo as u32 as u64) {
        Some(name) => write!(f, "SIG{name}"),
        None if signo == 32 => f.write_str("SIGRTMIN"),
        None if (33..=64).contains(&signo) => write!(f, "SIGRT_{}", signo - 32),
        None => write!(f, "{signo}"),
    }
}

fn octal(f: &mut Formatter<'_>, v: u64) -> Result {
    write!(f, "0{v:02o}")
}

fn file_mode(f: &mut Formatter<'_>, v: u32) -> Result {
    let kind = match v & mode::S_IFMT {
        mode::S_IFSOCK => "S_IFSOCK|",
        mode::S_IFLNK => "S_IFLNK|",
        mode::S_IFREG => "S_IFREG|",
        mode::S_IFBLK => "S_IFBLK|",
        mode::S_IFDIR => "S_IFDIR|",
        mode::S_IFCHR => "S_IFCHR|",
        mode::S_IFIFO => "S_IFIFO|",
        _ => "",
    };
    f.write_str(kind)?;
    for (bit, name) in [(mode::S_ISUID, "S_ISUID|"), (mode::S_ISGID, "S_ISGID|"), (mode::S_ISVTX, "S_ISVTX|")] {
        if v & bit != 0 {
            f.write_str(name)?;
        }
    }
    octal(f, u64::from(v & if kind.is_empty() { !0o7000 } else { 0o777 }))
}
