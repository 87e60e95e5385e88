//! QEMU's user network listens on forwarded ports with a backlog of 1: when many clients connect at once, the host
//! drops most of their SYNs, which are resent after one, three and seven seconds. `listen` on a socket that already
//! listens changes its backlog, and since Linux 5.6 a parent can get a copy of its child's descriptor.

use crate::vmm::Network;
use nix::sys::socket::{Backlog, listen};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use unibody_proto::control::Transport;

/// A running VMM and the addresses on which it listens.
pub struct Listeners {
    vmm: OwnedFd,
    number: u32,
    addresses: Vec<SocketAddr>,
}

impl Listeners {
    /// For a VMM that was not yet waited for. `None`: it has no such port, or the system has no pidfds.
    pub fn of(number: u32, network: &Network) -> Option<Self> {
        let Network::User { forwards, .. } = network else { return None };
        let tcp = forwards.iter().filter(|one| one.transport == Transport::Tcp);
        let addresses: Vec<_> = tcp.map(|one| SocketAddr::V4(one.host)).collect();
        if addresses.is_empty() {
            return None;
        }
        let vmm = pidfd_open(Pid::from_raw(number as i32)?, PidfdFlags::empty()).ok()?;
        Some(Self { vmm, number, addresses })
    }

    /// Gives its listening sockets the longest backlog that the system allows. A sandbox may forbid it; then crowds of
    /// clients wait as they do with QEMU alone. Returns how many there were.
    pub fn widen(&self) -> usize {
        let Ok(folder) = std::fs::read_dir(format!("/proc/{}/fd", self.number)) else { return 0 };
        let descriptors = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        descriptors.filter(|&descriptor| self.widen_one(descriptor).is_some()).count()
    }

    fn widen_one(&self, descriptor: i32) -> Option<()> {
        let link = std::fs::read_link(format!("/proc/{}/fd/{descriptor}", self.number)).ok()?;
        if !link.to_str()?.starts_with("socket:") {
            return None;
        }
        let socket = TcpListener::from(pidfd_getfd(&self.vmm, descriptor, PidfdGetfdFlags::empty()).ok()?);
        let listens = nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::AcceptConn).ok()?;
        // A connection accepted on the port has that address, too.
        if !listens || !self.addresses.contains(&socket.local_addr().ok()?) {
            return None;
        }
        listen(&socket, Backlog::MAXALLOWABLE).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmm::Forward;

    #[test]
    fn only_the_listening_sockets_of_forwarded_ports() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        let (accepted, _) = listening.accept().unwrap();
        let forward = |transport, listener: &TcpListener| {
            let SocketAddr::V4(host) = listener.local_addr().unwrap() else { panic!("no IPv4") };
            Forward { transport, host, guest: 80 }
        };
        let (tcp, udp) = (forward(Transport::Tcp, &listening), forward(Transport::Udp, &other));
        let listeners = |forwards| Listeners::of(std::process::id(), &Network::User { guest: None, forwards });
        assert!(listeners(vec![udp]).is_none());
        // Old systems and sandboxes lack the system call.
        if let Some(listeners) = listeners(vec![tcp, udp]) {
            assert!(listeners.widen() <= 1);
        }
        drop((client, accepted, other));
    }
}
