//! AF_UNIX: what it needs of the file system and the process.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use libos_base::{Errno, Result};
use libos_fs::process;
use libos_net::socket::{Creds, Ops, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};
use libos_net::unix::{Host, UnixSocket};

struct Kernel;

impl Host for Kernel {
    fn bind(&self, path: &[u8], socket: Arc<dyn Any + Send + Sync>) -> Result<()> {
        process().bind_socket(path, socket)
    }
    fn find(&self, path: &[u8]) -> Result<Arc<dyn Any + Send + Sync>> {
        process().bound_socket(path)
    }
    fn creds(&self) -> Creds {
        // One process, run by root.
        Creds { pid: libos_fs::facts::facts().pid(), uid: 0, gid: 0 }
    }
    fn net(&self) -> Option<&libos_net::net::Net> {
        Some(crate::net::net())
    }
}

/// `socket(AF_UNIX, ...)`.
pub(super) fn make(kind: u32, protocol: u32) -> Result<Box<dyn Ops>> {
    match kind {
        _ if protocol > 1 => Err(Errno::EPROTONOSUPPORT),
        // Linux takes a raw one for a datagram one.
        SOCK_RAW => Ok(UnixSocket::open(SOCK_DGRAM, &Kernel)),
        SOCK_STREAM | SOCK_DGRAM | SOCK_SEQPACKET => Ok(UnixSocket::open(kind, &Kernel)),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

/// `socketpair(AF_UNIX, ...)`.
pub(super) fn pair(kind: u32) -> Result<(Box<dyn Ops>, Box<dyn Ops>)> {
    Ok(libos_net::unix::pair(kind, &Kernel))
}
