//! `/etc/resolv.conf`, as the network knows it: kept up to date where the file is ours, and nowhere else.
//!
//! An image without sockets has no network to describe, and no such file.
//!
//! The file is ours if [`defaults`](crate::defaults) created it because no archive had that name, for as long as the
//! name still leads to it and nobody else wrote to it. It is written as an object and not by its path, so that nothing
//! is ever written to a file that the user mounted over it.

use crate::dentry::Path;
use crate::inode::At;
use crate::notify;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::Result;
use libos_base::abi::{InotifyMask, Timespec};
use libos_base::io::Source;
use libos_base::limits::INFINITY;
use libos_base::sync::{Mutex, class};

struct State {
    text: Vec<u8>,
    /// The file, and when we last wrote it.
    file: Option<(Path, Timespec)>,
}

static STATE: Mutex<State> = Mutex::new(class::RESOLV_CONF, State { text: Vec::new(), file: None });

impl State {
    fn set(&mut self, text: &[u8]) -> Result<()> {
        self.text.clear();
        self.text.try_reserve(text.len())?;
        self.text.extend_from_slice(text);
        self.store()
    }
    fn made(&mut self, path: Path) -> Result<()> {
        let written = path.inode().stat()?.mtime;
        self.file = Some((path, written));
        self.store()
    }
    fn store(&mut self) -> Result<()> {
        let Some((path, written)) = &mut self.file else { return Ok(()) };
        let inode = path.inode();
        if path.dentry.removed() || inode.stat()?.mtime != *written {
            // By now the program has one of its own.
            self.file = None;
            return Ok(());
        }
        inode.resize(0)?;
        let done = inode.write_at(At::Pos(0), &mut Source::kernel(&self.text), INFINITY);
        *written = inode.stat()?.mtime;
        notify::at(&path.dentry, InotifyMask::MODIFY);
        done.map(|_| ())
    }
}

/// Whether the image has a network.
static EXPECTED: AtomicBool = AtomicBool::new(!cfg!(unibody_kernel));

/// There will be something to write. Called before the namespace is built.
pub fn expect() {
    EXPECTED.store(true, Ordering::Relaxed);
}
pub(crate) fn is_expected() -> bool {
    EXPECTED.load(Ordering::Relaxed)
}

/// What the network says now. If the namespace does not exist yet, it gets this when it is built.
pub fn set(text: &[u8]) -> Result<()> {
    STATE.lock().set(text)
}

/// The namespace has this empty file of ours.
pub(crate) fn made(path: Path) -> Result<()> {
    STATE.lock().made(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Files;
    use libos_base::abi::DirFd;

    const NAME: &[u8] = b"/resolv.conf";

    fn ours() -> (Files, State) {
        let p = crate::tests::small(1 << 20).0;
        p.write_file(NAME, b"").unwrap();
        let mut s = State { text: b"early\n".to_vec(), file: None };
        s.made(p.lookup(DirFd::CWD, NAME, false).unwrap()).unwrap();
        (p, s)
    }

    #[test]
    fn it_follows_the_network_until_somebody_else_writes() {
        let (p, mut s) = ours();
        assert_eq!(p.read_file(NAME).unwrap(), b"early\n");
        s.set(b"nameserver 192.0.2.1\n").unwrap();
        s.set(b"later\n").unwrap();
        assert_eq!(p.read_file(NAME).unwrap(), b"later\n");
        p.write_file(NAME, b"mine\n").unwrap();
        s.set(b"again\n").unwrap();
        assert_eq!(p.read_file(NAME).unwrap(), b"mine\n");
    }

    #[test]
    fn a_file_that_took_its_place_is_not_ours() {
        let (p, mut s) = ours();
        p.write_file(b"/new", b"mine\n").unwrap();
        p.rename(DirFd::CWD, b"/new", DirFd::CWD, NAME, libos_base::abi::RenameFlags::empty()).unwrap();
        s.set(b"again\n").unwrap();
        assert_eq!(p.read_file(NAME).unwrap(), b"mine\n");
        let (p, mut s) = ours();
        p.unlink(DirFd::CWD, NAME, false).unwrap();
        s.set(b"again\n").unwrap();
        assert!(p.read_file(NAME).is_err());
    }
}
