//! Packet sockets (packet(7)): frames as the card sends and receives them, and those of the loopback interface.
//!
//! The first packet socket puts [`Tapped`] between the stack and the card. Until then, and in images without them,
//! no frame is looked at for their sake.

mod filter;
mod options;
mod socket;

use crate::device::{Caps, NetDevice, TxMeta};
use crate::frame;
use crate::net::Net;
use crate::stack::interface::InterfaceId;
use crate::stack::{Shared, Stack};
use crate::udp::{UdpSocket, udp};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use filter::{About, Program};
use libos_base::abi::so;
use libos_base::poll::{Events, Pollee};
use libos_base::sync::{Provider, SpinLock, class};
use libos_base::{Errno, Result, time, user};
pub use socket::PacketSocket;

/// The link's header: Ethernet's, which loopback has, too.
const HEADER: usize = 14;
/// ETH_P_ALL.
const ALL: u16 = 3;
/// PACKET_HOST, ...
const HOST: u8 = 0;
const BROADCAST: u8 = 1;
const MULTICAST: u8 = 2;
const OTHERHOST: u8 = 3;
const OUTGOING: u8 = 4;
/// What a queued frame costs besides its bytes.
const OVERHEAD: usize = 256;

/// A filter as sockets that are no packet sockets see it.
pub trait Filter: Send + Sync {
    /// How many bytes of a datagram's data to keep. `None`: it is refused. `whole`: the data begins with the IP header,
    /// as raw sockets have it.
    fn datagram(&self, d: &frame::Udp<'_>, whole: bool, ifc: InterfaceId) -> Option<usize>;
}

impl Filter for Program {
    fn datagram(&self, d: &frame::Udp<'_>, whole: bool, ifc: InterfaceId) -> Option<usize> {
        let v4 = matches!(d.tuple.local, smoltcp::wire::IpAddress::Ipv4(_));
        let protocol = if v4 { 0x800 } else { 0x86dd };
        let about = About { protocol, index: ifc.index(), hardware: hardware(ifc), ..About::default() };
        // A datagram's filter sees the UDP header first, and cannot cut it.
        let mut seen = Vec::new();
        let head = if whole { 0 } else { 8 };
        seen.try_reserve_exact(head + d.data.len()).ok()?;
        if !whole {
            let len = (8 + d.data.len()) as u16;
            for half in [d.tuple.rport, d.tuple.lport, len, 0] {
                seen.extend_from_slice(&half.to_be_bytes());
            }
        }
        seen.extend_from_slice(d.data);
        let kept = self.run(&seen, &about) as usize;
        (kept > 0).then(|| kept.saturating_sub(head))
    }
}

/// The program that SO_ATTACH_FILTER points to: struct sock_fprog.
fn program(value: &[u8]) -> Result<Program> {
    let v: &[u8; 16] = value.try_into().map_err(|_| Errno::EINVAL)?;
    let n = usize::from(u16::from_le_bytes([v[0], v[1]]));
    let at = usize::from_le_bytes([v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15]]);
    if n == 0 || n > 4096 || at == 0 {
        return Err(Errno::EINVAL);
    }
    Program::new(&user::read_vec::<u8>(libos_base::abi::In::new(at), n * 8)?)
}

/// SO_ATTACH_FILTER and SO_DETACH_FILTER of datagram sockets, in images that have it.
pub static ATTACH: Provider<Attach> = Provider::new();
pub type Attach = fn(&UdpSocket, i32, &[u8]) -> Result<()>;

/// [`ATTACH`]. The program is read before the lock is taken, since that may fault.
pub fn attach(s: &UdpSocket, name: i32, value: &[u8]) -> Result<()> {
    let filter: Option<Arc<dyn Filter>> =
        if name == so::ATTACH_FILTER { Some(Arc::new(program(value)?)) } else { None };
    s.net.with(|st| {
        let old = core::mem::replace(&mut udp(st.sock(s.id)?)?.filter, filter);
        if name == so::DETACH_FILTER && old.is_none() { Err(Errno::ENOENT) } else { Ok(()) }
    })
}

/// ARPHRD_LOOPBACK or ARPHRD_ETHER.
fn hardware(ifc: InterfaceId) -> u16 {
    if ifc == InterfaceId::Lo { 772 } else { 1 }
}

/// A frame in a packet socket's queue.
struct Seen {
    ifc: InterfaceId,
    protocol: u16,
    kind: u8,
    from: [u8; 6],
    /// Bytes before the filter cut it, without the link's header for SOCK_DGRAM.
    whole: usize,
    at: u64,
    data: Vec<u8>,
}

/// One packet socket.
struct Entry {
    id: u32,
    shared: Arc<Shared>,
    /// SOCK_DGRAM: without the link's header.
    cooked: bool,
    /// ETH_P_*; 0: receives nothing.
    protocol: u16,
    /// Of an interface; 0: of all.
    index: u32,
    /// Memberships: interface, type, address.
    members: Vec<(u32, u16, [u8; 8])>,
    filter: Option<Program>,
    ignores_outgoing: bool,
    queue: VecDeque<Seen>,
    queued: usize,
    limit: usize,
    /// Since they were last asked for.
    packets: u32,
    drops: u32,
}

/// All packet sockets.
pub struct Taps {
    list: SpinLock<List>,
}

struct List {
    sockets: Vec<Entry>,
    last: u32,
    /// Who is sending: does not see its own frame.
    sender: u32,
    mac: [u8; 6],
}

impl Taps {
    fn new(mac: [u8; 6]) -> Self {
        Self { list: SpinLock::new(class::PACKET_SOCKETS, List { sockets: Vec::new(), last: 0, sender: 0, mac }) }
    }

    /// Those of a stack.
    pub fn of(st: &Stack) -> Option<Arc<Self>> {
        st.taps.clone()?.downcast().ok()
    }

    /// What `/proc/net/packet` shows of a socket: protocol, interface, bytes that wait.
    pub fn shown(&self, pollee: &Pollee) -> Option<(u16, u32, usize)> {
        let list = self.list.lock();
        let s = list.sockets.iter().find(|s| core::ptr::eq(&raw const s.shared.pollee, pollee))?;
        Some((s.protocol, s.index, s.queued))
    }

    /// Shows a frame to those who want it.
    fn show(&self, ifc: InterfaceId, frame: &[u8], outgoing: bool) {
        let mut list = self.list.lock();
        let List { sockets, sender, mac, .. } = &mut *list;
        let Some((header, body)) = frame.split_first_chunk::<HEADER>() else { return };
        let to_us = header[..6] == if ifc == InterfaceId::Lo { [0; 6] } else { *mac };
        let kind = match header[0] {
            _ if outgoing => OUTGOING,
            // Nothing is the broadcast address of loopback.
            255 if header[..6] == [255; 6] && ifc == InterfaceId::Eth => BROADCAST,
            first if first & 1 != 0 => MULTICAST,
            _ if to_us => HOST,
            _ => OTHERHOST,
        };
        // The card hands over whatever it sees; an interface that is not promiscuous would have refused it.
        let index = ifc.index();
        if kind == OTHERHOST && ifc == InterfaceId::Eth && !sockets.iter().any(|s| s.promiscuous(index)) {
            return;
        }
        // Below 1536 it is a length (IEEE 802.3): ETH_P_802_2.
        let protocol = match u16::from_be_bytes([header[12], header[13]]) {
            0..1536 => 4,
            p => p,
        };
        let from = [header[6], header[7], header[8], header[9], header[10], header[11]];
        let about = About { protocol, kind, index, hardware: hardware(ifc) };
        for s in sockets.iter_mut() {
            // Frames on their way out are seen only by those who want all protocols.
            let wanted = s.protocol == ALL || s.protocol == protocol && !outgoing;
            if !wanted || s.index != 0 && s.index != index || outgoing && (s.id == *sender || s.ignores_outgoing) {
                continue;
            }
            let data = if s.cooked { body } else { frame };
            let kept = match &s.filter {
                Some(filter) => (filter.run(data, &about) as usize).min(data.len()),
                None => data.len(),
            };
            if kept > 0 || s.filter.is_none() {
                let seen =
                    Seen { ifc, protocol, kind, from, whole: data.len(), at: time::realtime_ns(), data: Vec::new() };
                s.take(seen, &data[..kept]);
            }
        }
    }
}

impl Entry {
    /// Whether it wants its interface promiscuous (PACKET_MR_PROMISC).
    fn promiscuous(&self, index: u32) -> bool {
        self.members.iter().any(|m| (m.0, m.1) == (index, 1))
    }

    fn take(&mut self, mut seen: Seen, data: &[u8]) {
        let cost = data.len() + OVERHEAD;
        self.packets += 1;
        if self.queued + cost > self.limit.max(cost)
            || self.queue.try_reserve(1).is_err()
            || seen.data.try_reserve_exact(data.len()).is_err()
        {
            self.drops += 1;
            return;
        }
        seen.data.extend_from_slice(data);
        self.queued += cost;
        self.queue.push_back(seen);
        self.shared.pollee.notify(Events::IN | Events::RDNORM);
    }
}

/// The card as seen through the sockets that watch it.
struct Tapped {
    card: Box<dyn NetDevice>,
    taps: Arc<Taps>,
}

impl NetDevice for Tapped {
    fn mac(&self) -> [u8; 6] {
        self.card.mac()
    }
    fn mtu(&self) -> usize {
        self.card.mtu()
    }
    fn caps(&self) -> Caps {
        self.card.caps()
    }
    fn receive(&mut self, f: &mut dyn FnMut(&[u8], bool)) -> bool {
        let taps = &self.taps;
        self.card.receive(&mut |frame, good| {
            taps.show(InterfaceId::Eth, frame, false);
            f(frame, good);
        })
    }
    fn tx_ready(&mut self) -> bool {
        self.card.tx_ready()
    }
    fn transmit(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        let taps = &self.taps;
        self.card.transmit(len, &mut |b| {
            let meta = fill(b);
            taps.show(InterfaceId::Eth, b, true);
            meta
        })
    }
    fn flush(&mut self) {
        self.card.flush();
    }
    fn arm(&mut self, tx: bool) -> bool {
        self.card.arm(tx)
    }
    fn disarm(&mut self) {
        self.card.disarm();
    }
    fn link_up(&self) -> bool {
        self.card.link_up()
    }
}

/// Shows a packet on the loopback interface, which is sent and received at once.
fn loops(st: &Stack, ip: &[u8]) {
    let Some(taps) = Taps::of(st) else { return };
    let mut frame = Vec::new();
    if frame.try_reserve_exact(HEADER + ip.len()).is_err() {
        return;
    }
    frame.resize(HEADER - 2, 0);
    let v4 = ip.first().is_some_and(|b| b >> 4 == 4);
    frame.extend_from_slice(if v4 { &[8, 0] } else { &[0x86, 0xdd] });
    frame.extend_from_slice(ip);
    taps.show(InterfaceId::Lo, &frame, true);
    taps.show(InterfaceId::Lo, &frame, false);
}

/// The packet sockets of a network, which watch its card from the first one on.
fn taps(net: &Net) -> Arc<Taps> {
    net.with_card(|st, card| {
        if let Some(taps) = Taps::of(st) {
            return taps;
        }
        let taps = Arc::new(Taps::new(st.interfaces.mac().unwrap_or_default()));
        *card = card.take().map(|card| Box::new(Tapped { card, taps: taps.clone() }) as Box<dyn NetDevice>);
        st.taps = Some(taps.clone());
        st.lo_tap = Some(loops);
        st.udp_seen = Some(crate::stack::raw::udp_seen);
        taps
    })
}
