//! Names: paths, which the file system keeps, and abstract ones, which are kept here.

use super::core::Core;
use crate::addr::Addr;
use crate::net::Net;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use libos_base::abi::{Ucred, af};
use libos_base::sync::{Mutex, class};
use libos_base::{Errno, Result, random};

/// What AF_UNIX needs from the rest of the kernel.
pub trait Host: Send + Sync {
    /// Creates a socket node. EADDRINUSE, and errors of the path walk.
    fn bind(&self, path: &[u8], socket: Arc<dyn Any + Send + Sync>) -> Result<()>;
    /// The socket behind a node. ECONNREFUSED, ENOENT, ...
    fn find(&self, path: &[u8]) -> Result<Arc<dyn Any + Send + Sync>>;
    /// The credentials of the process, as a peer sees them (SO_PEERCRED).
    fn creds(&self) -> Ucred;
    /// The credentials in a message (SCM_CREDENTIALS), where the process may claim some. EINVAL, EPERM, ESRCH.
    fn sender(&self, claimed: Option<Ucred>) -> Result<Ucred>;
    /// The network, for questions about its interfaces.
    fn net(&self) -> Option<&Net> {
        None
    }
}

/// What a socket node refers to. The node outlives the socket: connections to it are then refused.
pub struct Binding(pub Weak<Core>);

/// There are few, so a list will do.
static ABSTRACT: Mutex<Vec<(Vec<u8>, Weak<Core>)>> = Mutex::new(class::UNIX_NAMES, Vec::new());

/// Longest `sun_path`.
const PATH: usize = 108;

/// The name in a program's `sun_path`. A leading NUL means abstract; empty means none.
pub fn parse(addr: &[u8]) -> Result<&[u8]> {
    if crate::addr::family(addr)? != af::UNIX || addr.len() > 2 + PATH {
        return Err(Errno::EINVAL);
    }
    let p = &addr[2..];
    Ok(match p.first() {
        None | Some(0) => p,
        Some(_) => p.split(|&b| b == 0).next().unwrap_or(p),
    })
}

/// The address of a name, as programs read it. A path ends with NUL.
pub fn encode(name: Option<&[u8]>) -> Addr {
    let mut b = [0u8; 2 + PATH + 1];
    b[..2].copy_from_slice(&af::UNIX.to_le_bytes());
    let n = name.unwrap_or(&[]);
    let k = n.len().min(PATH);
    b[2..2 + k].copy_from_slice(&n[..k]);
    let nul = usize::from(n.first().is_some_and(|&c| c != 0));
    Addr::from_bytes(&b[..2 + k + nul]).unwrap_or(Addr::none())
}

/// Binds; returns the resulting name.
pub fn bind(host: &dyn Host, name: &[u8], core: &Arc<Core>) -> Result<Vec<u8>> {
    match name.first() {
        Some(0) => bind_abstract(name, core),
        Some(_) => {
            host.bind(name, Arc::new(Binding(Arc::downgrade(core))))?;
            Ok(name.to_vec())
        }
        // Autobind: five hexadecimal digits in the abstract space (unix(7)).
        None => {
            for _ in 0..1000 {
                let n = random::u64() & 0xf_ffff;
                let digit = |i: u32| b"0123456789abcdef"[(n >> (4 * i) & 15) as usize];
                let name = [0, digit(4), digit(3), digit(2), digit(1), digit(0)];
                match bind_abstract(&name, core) {
                    Err(Errno::EADDRINUSE) => {}
                    r => return r,
                }
            }
            Err(Errno::ENOSPC)
        }
    }
}

fn bind_abstract(name: &[u8], core: &Arc<Core>) -> Result<Vec<u8>> {
    let mut list = ABSTRACT.lock();
    list.retain(|(_, w)| w.strong_count() > 0);
    if list.iter().any(|(n, _)| n == name) {
        return Err(Errno::EADDRINUSE);
    }
    list.try_reserve(1)?;
    list.push((name.to_vec(), Arc::downgrade(core)));
    Ok(name.to_vec())
}

/// Frees an abstract name.
pub fn release(name: &[u8]) {
    if name.first() == Some(&0) {
        ABSTRACT.lock().retain(|(n, _)| n != name);
    }
}

/// The socket with this name.
pub fn find(host: &dyn Host, name: &[u8]) -> Result<Arc<Core>> {
    match name.first() {
        None => Err(Errno::EINVAL),
        Some(0) => {
            let list = ABSTRACT.lock();
            list.iter().find(|(n, _)| n == name).and_then(|(_, w)| w.upgrade()).ok_or(Errno::ECONNREFUSED)
        }
        Some(_) => {
            let node = host.find(name)?.downcast::<Binding>().map_err(|_| Errno::ECONNREFUSED)?;
            node.0.upgrade().ok_or(Errno::ECONNREFUSED)
        }
    }
}
