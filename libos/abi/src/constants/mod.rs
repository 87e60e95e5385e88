//! Numbers with names, grouped by the header that defines them.

mod control;
mod event;
mod file;
mod ipc;
mod memory;
mod process;
mod socket;
mod terminal;
mod thread;
mod time;

pub use crate::signal::{ActionFlags, MaskHow, SigSet, SignalCode, SignalfdFlags, Signo, StackFlags};
pub use control::*;
pub use event::*;
pub use file::*;
pub use ipc::*;
pub use memory::*;
pub use process::*;
pub use socket::*;
pub use terminal::*;
pub use thread::*;
pub use time::*;

/// The names of a number's values and bits.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The common prefix of the C names.
    pub prefix: &'static str,
    /// Size of the number in bytes.
    pub width: u8,
    /// The bits that hold one of `values`: all of them, some, or none.
    pub field: u64,
    /// Values of those bits.
    pub values: &'static [(u64, &'static str)],
    /// The other bits; combinations of several come before their parts.
    pub flags: &'static [(u64, &'static str)],
}

impl Names {
    /// The C name in two parts: the prefix and the listed name. A name that begins with a digit is listed with an
    /// underscore.
    pub fn c_name(&self, name: &'static str) -> (&'static str, &'static str) {
        let doubled = name.starts_with('_') && self.prefix.ends_with('_');
        (self.prefix, if doubled { &name[1..] } else { name })
    }
    /// The listed name of a value.
    pub fn value(&self, value: u64) -> Option<&'static str> {
        let wanted = value & self.field & self.mask();
        self.values.iter().find(|(v, _)| v & self.mask() == wanted).map(|(_, name)| *name)
    }
    /// All bits of the number.
    pub fn mask(&self) -> u64 {
        if self.width >= 8 { u64::MAX } else { (1 << (8 * self.width)) - 1 }
    }
}
