//! The error queue of datagram sockets (IP_RECVERR, IPV6_RECVERR; ip(7)): ICMP errors with what they say and the
//! datagram that they are about, read with MSG_ERRQUEUE. Part of the component `packet`.

use crate::addr::Addr;
use crate::options::int;
use crate::socket::{Incoming, Msg};
use crate::stack::Stack;
use crate::stack::ports::Proto;
use crate::stack::sock::Name;
use crate::stack::udp::{Icmp, Udp};
use crate::udp::{UdpSocket, udp};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use libos_base::abi::{ip_option, ipv6_option, sol};
use libos_base::io::Sink;
use libos_base::memory::try_box;
use libos_base::poll::Events;
use libos_base::sync::Provider;
use libos_base::{Errno, Result};
use smoltcp::wire::IpAddress;

/// Most errors that wait.
const MOST: usize = 64;
/// SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6.
const ORIGIN: [u8; 2] = [2, 3];

/// An error that waits to be read.
pub struct Failed {
    /// Where the datagram was sent to.
    to: Name,
    error: Errno,
    v6: bool,
    kind: u8,
    code: u8,
    info: u32,
    /// Who says so.
    from: IpAddress,
    data: Vec<u8>,
}

/// A queue, which other images know only by this.
pub trait Errors: Send {
    fn is_empty(&self) -> bool;
    fn list(&mut self) -> &mut VecDeque<Failed>;
}

impl Errors for VecDeque<Failed> {
    fn is_empty(&self) -> bool {
        Self::is_empty(self)
    }
    fn list(&mut self) -> &mut VecDeque<Failed> {
        self
    }
}

/// What datagram sockets do with it, in images that have it.
pub struct Calls {
    pub queue: fn(&mut Udp, Name, Errno, &Icmp<'_>),
    pub read: fn(&UdpSocket, &mut Sink<'_>, &mut Incoming) -> Result<usize>,
    /// An error about an echo request with this identifier.
    pub ping: fn(&mut Stack, u16, IpAddress, Errno, &Icmp<'_>),
    /// The flag of an option, if the option is one of these.
    pub flag: fn(&mut Stack, u32, i32, i32) -> Option<&mut bool>,
}

/// See [`Calls`].
pub static CALLS: Provider<Calls> = Provider::new();

/// Gives datagram sockets their error queues.
pub fn provide() {
    CALLS.provide(&Calls { queue, read, ping, flag });
}

/// `setsockopt`. `None`: not one of these options.
pub fn set(st: &mut Stack, sid: u32, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
    let flag = (CALLS.get()?.flag)(st, sid, level, name)?;
    let v = int(value).or(value.first().map(|&b| i32::from(b)).filter(|_| level == sol::IP).ok_or(Errno::EINVAL));
    Some(v.map(|v| *flag = v != 0))
}

/// `getsockopt`, likewise.
pub fn get(st: &mut Stack, sid: u32, level: i32, name: i32) -> Option<bool> {
    (CALLS.get()?.flag)(st, sid, level, name).map(|flag| *flag)
}

fn flag(st: &mut Stack, sid: u32, level: i32, name: i32) -> Option<&mut bool> {
    let s = st.sock(sid).ok()?;
    let at = match (level, name) {
        (sol::IP, ip_option::RECVERR) => 0,
        (sol::IPV6, ipv6_option::RECVERR) if s.v6 => 1,
        _ => return None,
    };
    Some(&mut udp(s).ok()?.reports[at])
}

fn queue(u: &mut Udp, to: Name, error: Errno, icmp: &Icmp<'_>) {
    let Icmp { v6, kind, code, info, from, data } = *icmp;
    if u.errors.is_none() {
        let Ok(empty) = try_box(VecDeque::new()) else { return };
        u.errors = Some(empty);
    }
    let Some(errors) = u.errors.as_mut().map(|errors| errors.list()) else { return };
    if errors.len() >= MOST || errors.try_reserve(1).is_err() {
        return;
    }
    let Ok(data) = libos_base::memory::copy(data) else { return };
    errors.push_back(Failed { to, error, v6, kind, code, info, from, data });
}

fn ping(st: &mut Stack, id: u16, to: IpAddress, error: Errno, icmp: &Icmp<'_>) {
    let Some(sid) = st.ports.on(Proto::Ping, id).first().map(|b| b.sock) else { return };
    let Ok(s) = st.sock(sid) else { return };
    let shared = s.shared.clone();
    let v6 = s.v6;
    let Ok(u) = udp(s) else { return };
    if u.reports[usize::from(v6)] {
        queue(u, (to, 0), error, icmp);
    } else if u.peer.is_none() {
        return;
    }
    s.error = Some(error);
    st.wakes.add(&shared, Events::ERR | Events::IN | Events::OUT);
}

/// `recvmsg` with MSG_ERRQUEUE: never waits.
fn read(socket: &UdpSocket, dst: &mut Sink<'_>, msg: &mut Incoming) -> Result<usize> {
    let f = socket.net.with(|st| {
        let s = st.sock(socket.id)?;
        let u = udp(s)?;
        let errors = u.errors.as_mut().ok_or(Errno::EAGAIN)?.list();
        let f = errors.pop_front().ok_or(Errno::EAGAIN)?;
        // What calls report next is the next one in the queue.
        s.error = errors.front().map(|f| f.error);
        Ok::<Failed, Errno>(f)
    })?;
    let copied = dst.put(&f.data)?;
    if copied < f.data.len() {
        msg.out_flags |= Msg::TRUNC;
    }
    msg.full_len = Some(copied);
    msg.out_flags |= Msg::ERRQUEUE;
    msg.from = Addr::inet(f.to, socket.v6, 2);
    // struct sock_extended_err, and the address of who says so.
    let mut data = (f.error as u32).to_le_bytes().to_vec();
    data.extend_from_slice(&[ORIGIN[usize::from(f.v6)], f.kind, f.code, 0]);
    data.extend_from_slice(&f.info.to_le_bytes());
    data.extend_from_slice(&[0; 4]);
    data.extend_from_slice(Addr::inet((f.from, 0), f.v6, 2).as_bytes());
    msg.control.push(if f.v6 { (sol::IPV6, ipv6_option::RECVERR, data) } else { (sol::IP, ip_option::RECVERR, data) });
    Ok(copied)
}
