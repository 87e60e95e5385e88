//! A row of the table of calls.

use crate::Errno;
use crate::arg::Kind;

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Linux number (x86-64).
    pub number: usize,
    /// Name, as in `<sys/syscall.h>` without the prefix.
    pub name: &'static str,
    /// The argument registers, first to last; up to six.
    pub args: &'static [Arg],
    /// What a successful result means.
    pub result: Kind,
    /// How far it is supported.
    pub support: Support,
}

/// One argument of a call.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name in the manual page.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The name of the argument that gives the length of the memory that this one points at: in bytes for bytes,
    /// otherwise in elements.
    pub length: Option<&'static str>,
}

/// How far a call is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Works as on Linux.
    Full,
    /// Everything except what the sentence says.
    Partial(&'static str),
    /// Always fails with this errno, for this reason.
    Refused(Errno, &'static str),
}

impl Call {
    /// The row with this number.
    pub fn by_number(number: usize) -> Option<&'static Call> {
        let calls = crate::table::CALLS;
        calls.binary_search_by_key(&number, |call| call.number).ok().map(|i| &calls[i])
    }
    /// The row with this name.
    pub fn by_name(name: &str) -> Option<&'static Call> {
        crate::table::CALLS.iter().find(|call| call.name == name)
    }
    /// The position of the argument with this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.args.iter().position(|arg| arg.name == name)
    }
}

impl core::fmt::Display for Support {
    /// `full`, `partial`, `refused ENOSYS`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Support::Full => f.write_str("full"),
            Support::Partial(_) => f.write_str("partial"),
            Support::Refused(errno, _) => write!(f, "refused {errno}"),
        }
    }
}
