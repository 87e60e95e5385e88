//! Structures, written field by field or in a form of their own.

use super::{Memory, memory, text, value};
use crate::arg::Kind;
use crate::constants::{ActionFlags, PollEvents, SignalCode, Signo};
use crate::layout::{EpollEvent, Flock, Layout, Rlimit, SigAction, Stat, StatFs, Statx, Termios, UtsName};
use core::fmt::{Formatter, Result};

/// Large structures are reduced to the fields that readers look for, as strace does.
fn brief(layout: &Layout) -> Option<&'static [&'static str]> {
    match layout.name {
        n if n == Stat::LAYOUT.name => Some(&["st_mode", "st_size"]),
        n if n == Statx::LAYOUT.name => Some(&["stx_mask", "stx_mode", "stx_size"]),
        n if n == StatFs::LAYOUT.name => Some(&["f_type", "f_bsize", "f_blocks", "f_bfree", "f_bavail", "f_namelen"]),
        n if n == Termios::LAYOUT.name => Some(&["c_iflag", "c_oflag", "c_cflag", "c_lflag"]),
        // The owner of a lock matters only to those who ask for it, and most parts of the machine's name to few.
        n if n == Flock::LAYOUT.name => Some(&["l_type", "l_whence", "l_start", "l_len"]),
        n if n == UtsName::LAYOUT.name => Some(&["sysname", "nodename"]),
        "struct rusage" => Some(&["ru_utime", "ru_stime"]),
        _ => None,
    }
}

/// Writes the `size` bytes at an address.
pub fn element(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, kind: Kind, size: usize) -> Result {
    match kind {
        Kind::Struct(layout) => structure(f, memory, at, layout),
        Kind::Array(Kind::Unsigned(1), n, _) => text::bytes(f, memory, at, string_length(memory, at, u64::from(n))),
        Kind::Array(kind, n, size) => {
            let each = u64::from(size);
            memory::list(f, u64::from(n), |f, i| element(f, memory, at + each * i, *kind, usize::from(size)))
        }
        _ => match memory::number(memory, at, size) {
            Some(n) => value::value(f, kind, n),
            None => write!(f, "{at:#x}"),
        },
    }
}

/// The length of a string in a byte array, which ends at its NUL.
fn string_length(memory: &dyn Memory, at: u64, most: u64) -> u64 {
    (0..most).find(|i| memory::word::<1>(memory, at + i).is_none_or(|b| b == 0)).unwrap_or(most)
}

fn structure(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, layout: &Layout) -> Result {
    if memory.read(at + layout.size as u64 - 1, &mut [0]) == 0 || memory.read(at, &mut [0]) == 0 {
        return write!(f, "{at:#x}");
    }
    if layout.name == SigAction::LAYOUT.name {
        return action(f, memory, at);
    }
    if layout.name == EpollEvent::LAYOUT.name {
        return event(f, memory, at);
    }
    let brief = brief(layout);
    f.write_str("{")?;
    let mut first = true;
    for field in layout.fields {
        if field.is_padding() || brief.is_some_and(|names| !names.contains(&field.name)) {
            continue;
        }
        write!(f, "{}{}=", if first { "" } else { ", " }, field.name)?;
        first = false;
        let at = at + field.offset as u64;
        match memory::number(memory, at, field.size) {
            Some(u64::MAX) if layout.name == Rlimit::LAYOUT.name => f.write_str("RLIM64_INFINITY")?,
            _ => element(f, memory, at, field.kind, field.size)?,
        }
    }
    let whole = brief.is_none() || layout.name == Flock::LAYOUT.name;
    f.write_str(if whole { "}" } else { ", ...}" })
}

/// Writes the events that epoll is asked for or found, and the program's data: a number, in two widths.
fn event(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    f.write_str("{events=")?;
    element(f, memory, at, EpollEvent::LAYOUT.fields[0].kind, 4)?;
    let data = memory::word::<8>(memory, at + 4).unwrap_or(0);
    write!(f, ", data={{u32={}, u64={data}}}}}", data as u32)
}

/// Writes what a program asks poll for.
pub fn poll_wanted(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    poll(f, memory, at, "events", 4)
}

/// Writes what poll found.
pub fn poll_ready(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    poll(f, memory, at, "revents", 6)
}

fn poll(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64, name: &str, offset: u64) -> Result {
    let (Some(fd), Some(events)) = (memory::word::<4>(memory, at), memory::word::<2>(memory, at + offset)) else {
        return write!(f, "{at:#x}");
    };
    write!(f, "{{fd={}, {name}=", fd as i32)?;
    value::named(f, &PollEvents::NAMES, events)?;
    f.write_str("}")
}

fn action(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    let word = |i: u64| memory::word::<8>(memory, at + 8 * i).unwrap_or(0);
    match word(0) {
        0 => f.write_str("{sa_handler=SIG_DFL")?,
        1 => f.write_str("{sa_handler=SIG_IGN")?,
        handler if word(1) & ActionFlags::SIGINFO.bits() != 0 => write!(f, "{{sa_sigaction={handler:#x}")?,
        handler => write!(f, "{{sa_handler={handler:#x}")?,
    }
    f.write_str(", sa_mask=")?;
    set(f, word(3))?;
    f.write_str(", sa_flags=")?;
    value::named(f, &ActionFlags::NAMES, word(1))?;
    if word(1) & ActionFlags::RESTORER.bits() != 0 {
        write!(f, ", sa_restorer={:#x}", word(2))?;
    }
    f.write_str("}")
}

/// Writes a set of signals in memory.
pub fn signals(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    match memory::word::<8>(memory, at) {
        Some(signals) => set(f, signals),
        None => write!(f, "{at:#x}"),
    }
}

/// Writes `[HUP TERM]`, or `~[KILL STOP]` if most signals are in the set.
fn set(f: &mut Formatter<'_>, signals: u64) -> Result {
    let most = signals.count_ones() > 32;
    let listed = if most { !signals } else { signals };
    f.write_str(if most { "~[" } else { "[" })?;
    let mut first = true;
    for i in (0..64).filter(|i| listed >> i & 1 != 0) {
        f.write_str(if first { "" } else { " " })?;
        first = false;
        match Signo::NAMES.value(i + 1) {
            Some(name) => f.write_str(name)?,
            None if i == 31 => f.write_str("RTMIN")?,
            None => write!(f, "RT_{}", i - 31)?,
        }
    }
    f.write_str("]")
}

/// Writes the beginning of a siginfo, and who sent it.
pub fn siginfo(f: &mut Formatter<'_>, memory: &dyn Memory, at: u64) -> Result {
    let field = |offset| memory::word::<4>(memory, at + offset);
    let (Some(signo), Some(code), Some(pid), Some(uid)) = (field(0), field(8), field(16), field(20)) else {
        return write!(f, "{at:#x}");
    };
    f.write_str("{si_signo=")?;
    value::signal(f, signo as i32)?;
    f.write_str(", si_code=")?;
    value::named(f, &SignalCode::NAMES, code)?;
    if code as i32 <= 0 {
        write!(f, ", si_pid={}, si_uid={}", pid as i32, uid as u32)?;
    }
    f.write_str("}")
}
