//! Running out of memory gracefully.
//!
//! A few containers (`Arc`, `BTreeMap`) cannot report that there is no memory. The kernel keeps a reserve for them, and
//! every call that makes something a program can have many of (a file, a socket, a mapping, a watch) asks here first.

use crate::{Errno, Result, hooks};

/// ENOMEM when only the reserve is left.
pub fn check() -> Result<()> {
    if hooks::libos_memory_low() { Err(Errno::ENOMEM) } else { Ok(()) }
}
