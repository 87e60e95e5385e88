//! Packet sockets: the calls.

use super::{Entry, HEADER, Seen, Taps, hardware, options};
use crate::addr::{Addr, family};
use crate::device::TxMeta;
use crate::net::Net;
use crate::phy::FrameSink;
use crate::socket::{Incoming, Msg, Ops, Outgoing, Wait};
use crate::sockopts::{BUF_DEFAULT, stamp_message};
use crate::stack::Shared;
use crate::stack::interface::InterfaceId;
use crate::udp::gather;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use libos_base::abi::{IoctlArgument, af, ioctl, sock};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee};
use libos_base::{Errno, Result, time, user};

/// SIOCGSTAMP, with a struct timeval.
const SIOCGSTAMP: u32 = 0x8906;
/// Where a sockaddr_ll has the address, and its size.
const ADDRESS: usize = 12;
const SIZE: usize = 20;

/// A packet socket.
pub struct PacketSocket {
    pub(super) net: Arc<Net>,
    taps: Arc<Taps>,
    pub(super) id: u32,
    cooked: bool,
    shared: Arc<Shared>,
    /// Which SO_TIMESTAMP option is on; 0: none.
    pub(super) stamp: AtomicU8,
    /// PACKET_AUXDATA, and whether PACKET_ORIGDEV was asked for.
    pub(super) auxiliary: AtomicU8,
    /// When the last frame that was read had arrived.
    last: AtomicU64,
}

impl PacketSocket {
    /// `socket(AF_PACKET, SOCK_RAW or SOCK_DGRAM, protocol)`; the protocol is in network order.
    pub fn open(net: &Arc<Net>, kind: u32, protocol: u32) -> Result<Box<dyn Ops>> {
        let taps = super::taps(net);
        let shared = Arc::new(Shared::default());
        let cooked = kind == sock::DGRAM;
        let mut list = taps.list.lock();
        list.sockets.try_reserve(1)?;
        list.last += 1;
        let id = list.last;
        list.sockets.push(Entry {
            id,
            shared: shared.clone(),
            cooked,
            protocol: (protocol as u16).swap_bytes(),
            index: 0,
            members: Vec::new(),
            filter: None,
            ignores_outgoing: false,
            queue: VecDeque::new(),
            queued: 0,
            limit: BUF_DEFAULT as usize,
            packets: 0,
            drops: 0,
        });
        drop(list);
        Ok(Box::new(Self {
            net: net.clone(),
            taps,
            id,
            cooked,
            shared,
            stamp: AtomicU8::new(0),
            auxiliary: AtomicU8::new(0),
            last: AtomicU64::new(0),
        }))
    }

    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Entry) -> R) -> Result<R> {
        let mut list = self.taps.list.lock();
        list.sockets.iter_mut().find(|s| s.id == self.id).map(f).ok_or(Errno::EBADF)
    }

    /// Takes or copies the oldest frame.
    fn next(&self, peek: bool) -> Option<Result<Seen>> {
        let next = self.with(|e| {
            let first = e.queue.front()?;
            if peek {
                let data = libos_base::memory::copy(&first.data);
                return Some(data.map(|data| Seen { data, ..*first }));
            }
            let first = e.queue.pop_front()?;
            e.queued -= first.data.len() + super::OVERHEAD;
            Some(Ok(first))
        });
        next.unwrap_or_else(|e| Some(Err(e)))
    }

    /// Where a frame is sent: interface, protocol, and for SOCK_DGRAM the neighbor.
    fn destination(&self, to: Option<&[u8]>) -> Result<(u32, u16, Option<[u8; 6]>)> {
        let Some(a) = to else {
            let (index, protocol) = self.with(|e| (e.index, e.protocol))?;
            return Ok((index, protocol, None));
        };
        if a.len() < SIZE || a.len() < ADDRESS + usize::from(a[11]) || self.cooked && a.len() < ADDRESS + 6 {
            return Err(Errno::EINVAL);
        }
        if family(a)? != af::PACKET {
            return Err(Errno::EINVAL);
        }
        let mac = [a[12], a[13], a[14], a[15], a[16], a[17]];
        let index = u32::from_le_bytes([a[4], a[5], a[6], a[7]]);
        Ok((index, u16::from_be_bytes([a[2], a[3]]), Some(mac)))
    }
}

/// struct sockaddr_ll.
fn name(protocol: u16, ifc: Option<InterfaceId>, kind: u8, mac: [u8; 6], len: usize) -> Addr {
    let mut b = [0; SIZE];
    b[..2].copy_from_slice(&af::PACKET.to_le_bytes());
    b[2..4].copy_from_slice(&protocol.to_be_bytes());
    if let Some(ifc) = ifc {
        b[4..8].copy_from_slice(&ifc.index().to_le_bytes());
        b[8..10].copy_from_slice(&hardware(ifc).to_le_bytes());
        b[11] = 6;
        b[ADDRESS..ADDRESS + 6].copy_from_slice(&mac);
    }
    b[10] = kind;
    Addr::from_bytes(&b[..len]).unwrap_or(Addr::none())
}

impl Ops for PacketSocket {
    fn identity(&self) -> (u16, u32, u32) {
        // SO_PROTOCOL does not tell the protocol.
        (af::PACKET, if self.cooked { sock::DGRAM } else { sock::RAW }, 0)
    }

    fn bind(&self, a: &[u8]) -> Result<()> {
        if a.len() < SIZE || family(a)? != af::PACKET {
            return Err(Errno::EINVAL);
        }
        let index = u32::from_le_bytes([a[4], a[5], a[6], a[7]]);
        if index != 0 {
            self.net.ask(|st| st.interfaces.by_index(index))?;
        }
        let protocol = u16::from_be_bytes([a[2], a[3]]);
        self.with(|e| {
            e.index = index;
            if protocol != 0 {
                e.protocol = protocol;
            }
        })
    }

    fn connect(&self, _: &[u8], _: Wait) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn send(&self, src: &mut Source<'_>, msg: &Outgoing<'_>, _: Wait) -> Result<usize> {
        if !msg.files.is_empty() {
            return Err(Errno::EINVAL);
        }
        let (index, protocol, to) = self.destination(msg.to)?;
        let ifc = self.net.ask(|st| st.interfaces.by_index(index)).map_err(|_| Errno::ENXIO)?;
        let (mtu, me) = self.net.ask(|st| (st.interfaces.mtu(ifc), st.interfaces.mac()));
        let head = if self.cooked { HEADER } else { 0 };
        let len = src.left();
        if head + len > HEADER + mtu {
            return Err(Errno::EMSGSIZE);
        }
        if head + len < HEADER {
            return Err(Errno::EINVAL);
        }
        let to = match (self.cooked, to) {
            // Without a neighbor there is no header, except on loopback.
            (true, None) if ifc == InterfaceId::Eth => return Err(Errno::EINVAL),
            (_, to) => to.unwrap_or_default(),
        };
        let data = gather(src)?;
        let mut frame = libos_base::memory::with_room(head + data.len()).map_err(|_| Errno::ENOBUFS)?;
        if self.cooked {
            frame.extend_from_slice(&to);
            frame.extend_from_slice(&if ifc == InterfaceId::Eth { me.unwrap_or_default() } else { [0; 6] });
            frame.extend_from_slice(&protocol.to_be_bytes());
        }
        frame.extend_from_slice(&data);
        self.taps.list.lock().sender = self.id;
        let sent = if ifc == InterfaceId::Lo { self.loop_back(&frame) } else { self.transmit(&frame) };
        self.taps.list.lock().sender = 0;
        if sent { Ok(len) } else { Err(Errno::ENOBUFS) }
    }

    fn recv(&self, dst: &mut Sink<'_>, msg: &mut Incoming, wait: Wait) -> Result<usize> {
        if msg.flags.contains(Msg::ERRQUEUE) {
            return Err(Errno::EAGAIN);
        }
        let peek = msg.flags.contains(Msg::PEEK);
        let seen = self.net.wait(wait, &self.shared.pollee, || self.next(peek))?;
        let copied = dst.put(&seen.data)?;
        let full = seen.data.len();
        if full > copied {
            msg.out_flags |= Msg::TRUNC;
        }
        msg.full_len = Some(full);
        msg.from = name(seen.protocol, Some(seen.ifc), seen.kind, seen.from, SIZE);
        self.last.store(seen.at, Relaxed);
        let stamp = self.stamp.load(Relaxed);
        if stamp != 0 {
            msg.control.push(stamp_message(stamp, seen.at));
        }
        if self.auxiliary.load(Relaxed) & 1 != 0 {
            msg.control.push(options::auxiliary(&seen, self.cooked));
        }
        Ok(if msg.flags.contains(Msg::TRUNC) { full } else { copied })
    }

    fn shutdown(&self, _: bool, _: bool) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }
    fn local(&self) -> Result<Addr> {
        let (index, protocol) = self.with(|e| (e.index, e.protocol))?;
        let ifc = self.net.ask(|st| st.interfaces.by_index(index)).ok();
        let mac = if ifc == Some(InterfaceId::Eth) { self.net.ask(|st| st.interfaces.mac()) } else { None };
        let len = if ifc.is_some() { ADDRESS + 6 } else { ADDRESS };
        Ok(name(protocol, ifc, 0, mac.unwrap_or_default(), len))
    }
    fn peer(&self) -> Result<Addr> {
        Err(Errno::EOPNOTSUPP)
    }
    fn set(&self, level: i32, name: i32, value: &[u8]) -> Option<Result<()>> {
        options::set(self, level, name, value)
    }
    fn get(&self, level: i32, name: i32) -> Option<Result<Vec<u8>>> {
        options::get(self, level, name)
    }

    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        let n = match cmd {
            ioctl::FIONREAD => self.with(|e| e.queue.front().map_or(0, |s| s.data.len()))?,
            ioctl::TIOCOUTQ => 0,
            SIOCGSTAMP => {
                let at = self.last.load(Relaxed);
                if at == 0 {
                    return Err(Errno::ENOENT);
                }
                let pair = [at / time::NS, at % time::NS / 1000];
                return user::write(arg.to(), &pair).map(|()| 0);
            }
            _ => return crate::ifreq::ioctl(&self.net, cmd, arg),
        };
        user::write(arg.to(), &(n as i32)).map(|()| 0)
    }

    fn events(&self) -> Events {
        let any = self.with(|e| !e.queue.is_empty()).unwrap_or(false);
        let read = if any { Events::IN | Events::RDNORM } else { Events::empty() };
        read | Events::OUT | Events::WRNORM
    }
    fn pollee(&self) -> &Pollee {
        &self.shared.pollee
    }
}

impl PacketSocket {
    /// Sends a frame through the card. False: it has no room.
    fn transmit(&self, frame: &[u8]) -> bool {
        self.net.with_card(|_, card| {
            let Some(card) = card else { return false };
            let sent = card.tx_ready()
                && card.transmit(frame.len(), &mut |b| {
                    b.copy_from_slice(frame);
                    TxMeta::default()
                });
            card.flush();
            sent
        })
    }

    /// Sends a frame over loopback: an IP packet to the stack, which shows it on the way; any other protocol has no
    /// readers but packet sockets.
    fn loop_back(&self, frame: &[u8]) -> bool {
        if matches!(frame[12..14], [8, 0] | [0x86, 0xdd]) && frame.len() > HEADER {
            return self.net.with(|st| {
                st.interfaces.lo.queue.send(frame.len() - HEADER, &mut |b| {
                    b.copy_from_slice(&frame[HEADER..]);
                    TxMeta::default()
                })
            });
        }
        self.taps.show(InterfaceId::Lo, frame, true);
        self.taps.show(InterfaceId::Lo, frame, false);
        true
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        let mut list = self.taps.list.lock();
        let gone = list.sockets.iter().position(|s| s.id == self.id).map(|i| list.sockets.swap_remove(i));
        drop(list);
        // Its queue is freed without the lock.
        drop(gone);
    }
}
