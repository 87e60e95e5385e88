//! Formats a call as the line that strace(1) prints: `openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3`.
//!
//! It needs the number, the registers, the result, and access to the program's memory. What the kernel writes is shown
//! once the call has succeeded; before that, and after a failure, only its address is shown.

mod address;
mod memory;
mod message;
mod structure;
mod text;
mod value;

#[cfg(test)]
mod tests;

use crate::arg::{Direction, Kind};
use crate::{Call, Errno};
use core::fmt::{Display, Formatter, Result};

/// The program's memory.
pub trait Memory {
    /// Reads as much as can be read from `address` on; returns how many bytes that is.
    fn read(&self, address: u64, into: &mut [u8]) -> usize;
}

/// A call that was made, and its result if it has returned.
#[derive(Clone, Copy)]
pub struct Invocation<'a> {
    /// The call's number.
    pub number: usize,
    /// The argument registers, first to last.
    pub registers: [u64; 6],
    /// What it returned: a value, or a negative errno. `None` while it runs, and for a call that does not return.
    pub result: Option<i64>,
    /// The program's memory, as it is now.
    pub memory: &'a dyn Memory,
}

impl Display for Invocation<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Some(call) = Call::by_number(self.number) else {
            let [a, b, c, d, e, g] = self.registers;
            write!(f, "syscall_{:#x}({a:#x}, {b:#x}, {c:#x}, {d:#x}, {e:#x}, {g:#x})", self.number)?;
            return self.end(f, Kind::Signed(8));
        };
        let decoder = Decoder { call, invocation: self };
        write!(f, "{}(", call.name)?;
        let mut first = true;
        for i in 0..call.args.len() {
            if decoder.is_absent(i) {
                continue;
            }
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            decoder.argument(f, i)?;
        }
        f.write_str(")")?;
        self.end(f, call.result)?;
        decoder.after_result(f)
    }
}

impl Invocation<'_> {
    /// Whether the call has returned without an error.
    fn succeeded(&self) -> bool {
        self.result.is_some_and(|r| !(-4095..0).contains(&r))
    }

    fn end(&self, f: &mut Formatter<'_>, kind: Kind) -> Result {
        let Some(result) = self.result else { return f.write_str(" = ?") };
        if !self.succeeded() {
            return match Errno::from_raw(-result as u16) {
                Some(e @ (Errno::ERESTARTSYS | Errno::ERESTARTNOINTR | Errno::ERESTARTNOHAND)) => {
                    write!(f, " = ? {e} (To be restarted)")
                }
                Some(e) => write!(f, " = -1 {e} ({})", e.text()),
                None => write!(f, " = -1 (errno {})", -result),
            };
        }
        f.write_str(" = ")?;
        value::result(f, kind, result as u64, &self.registers)
    }
}

/// The state shared by the parts of the decoder.
struct Decoder<'a> {
    call: &'static Call,
    invocation: &'a Invocation<'a>,
}

impl Decoder<'_> {
    /// An argument's kind, with dependencies on other arguments resolved.
    fn kind(&self, i: usize) -> Kind {
        match self.call.args[i].kind {
            Kind::By(which) => which(&self.invocation.registers),
            kind => kind,
        }
    }

    /// Whether this particular call does not have the argument.
    fn is_absent(&self, i: usize) -> bool {
        match self.kind(i) {
            Kind::Absent => true,
            // open(2) has a mode only if it may create a file.
            Kind::CreateMode => {
                self.call.position("flags").is_some_and(|flags| self.invocation.registers[flags] & 0o20000100 == 0)
            }
            _ => false,
        }
    }

    fn argument(&self, f: &mut Formatter<'_>, i: usize) -> Result {
        let register = self.invocation.registers[i];
        match self.kind(i) {
            Kind::Str => text::string(f, self.invocation.memory, register),
            Kind::Pointer(..) if register == 0 => f.write_str("NULL"),
            // What the kernel writes is not there until it has succeeded.
            Kind::Pointer(Direction::Out, _) if !self.invocation.succeeded() => write!(f, "{register:#x}"),
            Kind::Pointer(direction, shape) => self.pointed_at(f, i, register, direction, shape),
            kind => value::value(f, kind, register),
        }
    }

    /// The number of bytes or elements that argument `i` points at, if another argument gives it.
    fn length(&self, i: usize) -> Option<u64> {
        let at = self.call.position(self.call.args[i].length?)?;
        let register = self.invocation.registers[at];
        match self.kind(at) {
            // Passed in and out: this is the address of the length.
            Kind::Pointer(..) => memory::word::<4>(self.invocation.memory, register),
            kind => Some(value::low_bytes(kind, register)),
        }
    }
}
