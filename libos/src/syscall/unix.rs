//! AF_UNIX: what it needs from the file system and the process.

use crate::sched::PID;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;
use libos_base::abi::{Ucred, sock};
use libos_base::cred::{self, Ids, cap, capable};
use libos_base::{Errno, Result};
use libos_fs::files;
use libos_net::socket::Ops;
use libos_net::unix::{Host, UnixSocket};

struct Kernel;

impl Host for Kernel {
    fn bind(&self, path: &[u8], socket: Arc<dyn Any + Send + Sync>) -> Result<()> {
        files().bind_socket(path, socket)
    }
    fn find(&self, path: &[u8]) -> Result<Arc<dyn Any + Send + Sync>> {
        files().bound_socket(path)
    }
    fn creds(&self) -> Ucred {
        let (uid, gid) = cred::with(|c| (c.uid.effective, c.gid.effective));
        Ucred { pid: PID as i32, uid, gid }
    }
    fn sender(&self, claimed: Option<Ucred>) -> Result<Ucred> {
        let Some(claimed) = claimed else {
            let (uid, gid) = cred::real();
            return Ok(Ucred { pid: PID as i32, uid, gid });
        };
        if claimed.uid == u32::MAX || claimed.gid == u32::MAX {
            return Err(Errno::EINVAL);
        }
        let (uid, gid) = cred::with(|c| (c.uid, c.gid));
        let one_of = |i: Ids, id: u32| [i.real, i.effective, i.saved].contains(&id);
        let honest = (claimed.pid == PID as i32 || capable(cap::SYS_ADMIN))
            && (one_of(uid, claimed.uid) || capable(cap::SETUID))
            && (one_of(gid, claimed.gid) || capable(cap::SETGID));
        match () {
            () if !honest => Err(Errno::EPERM),
            // There is no other process.
            () if claimed.pid != PID as i32 => Err(Errno::ESRCH),
            () => Ok(claimed),
        }
    }
    fn net(&self) -> Option<&libos_net::net::Net> {
        Some(crate::net::net())
    }
}

/// `socket(AF_UNIX, ...)`.
pub(super) fn make(kind: u32, protocol: u32) -> Result<Box<dyn Ops>> {
    match kind {
        _ if protocol > 1 => Err(Errno::EPROTONOSUPPORT),
        // Linux treats a raw one as a datagram one.
        sock::RAW => Ok(UnixSocket::open(sock::DGRAM, &Kernel)),
        sock::STREAM | sock::DGRAM | sock::SEQPACKET => Ok(UnixSocket::open(kind, &Kernel)),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

/// `socketpair(AF_UNIX, ...)`.
pub(super) fn pair(kind: u32) -> Result<(Box<dyn Ops>, Box<dyn Ops>)> {
    Ok(libos_net::unix::pair(kind, &Kernel))
}
