//! One TCP connection: a smoltcp socket alone in its set, and what Linux keeps beside the protocol.

use super::Shared;
use super::interface::InterfaceId;
use crate::frame::Tuple;
use crate::ipopts;
use crate::phy::{Report, before};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};

/// Whose a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// In the handshake, for this listening socket.
    Half(u32),
    /// Waits to be accepted from this listening socket.
    Queued(u32),
    /// An open socket's.
    Sock(u32),
    /// The program has closed it; the protocol finishes alone.
    Orphan,
}

/// Socket options that outlive the switch from listening to accepted: the child inherits them, as on Linux.
#[derive(Clone, Copy, Debug)]
pub struct TcpOpts {
    pub nodelay: bool,
    pub cork: bool,
    pub quickack: bool,
    pub keepalive: bool,
    /// Seconds.
    pub keep_idle: u32,
    pub keep_intvl: u32,
    pub keep_cnt: u32,
    /// SO_LINGER: seconds.
    pub linger: Option<u32>,
    /// Milliseconds; 0: the system's.
    pub user_timeout: u32,
    /// The options of the IP level.
    pub ip: crate::ipopts::Values,
    /// SO_RCVBUF and SO_SNDBUF as asked for; 0: by the memory there is.
    pub rcvbuf: usize,
    pub sndbuf: usize,
    /// Seconds that TCP_DEFER_ACCEPT holds a connection without data back; 0: off.
    pub defer: u32,
    pub syn_count: u8,
    /// TCP_FASTOPEN: how many half-open connections could have data; and TCP_FASTOPEN_CONNECT.
    pub fastopen: u16,
    pub fastopen_connect: bool,
    /// SO_RCVLOWAT.
    pub rcvlowat: u32,
}

impl Default for TcpOpts {
    fn default() -> Self {
        Self {
            nodelay: false,
            cork: false,
            quickack: true,
            keepalive: false,
            keep_idle: 7200,
            keep_intvl: 75,
            keep_cnt: 9,
            linger: None,
            user_timeout: 0,
            ip: crate::ipopts::defaults(),
            rcvbuf: 0,
            sndbuf: 0,
            defer: 0,
            syn_count: 6,
            fastopen: 0,
            fastopen_connect: false,
            rcvlowat: 1,
        }
    }
}

/// See the module.
pub struct Conn {
    pub set: SocketSet<'static>,
    pub handle: SocketHandle,
    pub tuple: Tuple,
    pub ifc: InterfaceId,
    pub owner: Owner,
    /// Whom to tell; a connection in a backlog has its listener's.
    pub shared: Option<Arc<Shared>>,
    pub opts: TcpOpts,
    /// IP_TOS or IPV6_TCLASS.
    pub tos: u8,
    /// SO_SNDBUF, set when the connection was open already.
    pub send_limit: usize,
    /// Bytes charged to the socket memory budget.
    pub charged: usize,
    /// Already on the list of connections to poll.
    pub dirty: bool,
    /// State after the last poll.
    pub prev: State,
    pub error: Option<Errno>,
    pub rx_shut: bool,
    pub tx_shut: bool,
    /// The peer or the protocol ended it; the tuple is no longer in the table.
    pub detached: bool,
    /// A writer found no room: tell when a third is free.
    pub want_room: bool,
    /// Bytes received and not read at the last poll.
    pub seen_rx: usize,
    /// Stream bytes given to smoltcp.
    pub enqueued: u64,
    /// Data that TCP_CORK or MSG_MORE holds back: less than a segment.
    pub corked: Vec<u8>,
    /// When it goes anyway (200 ms, as on Linux).
    pub cork_at: u64,
    /// Sequence numbers seen on the way out.
    pub isn: u32,
    pub high: Option<u32>,
    pub small_end: Option<u32>,
    pub last_seq: u32,
    pub last_ack: u32,
    /// The window field that went with it.
    pub last_win: u16,
    /// The next sequence number expected, and when a segment was last challenged ([`super::validate`]).
    pub rcv_nxt: u32,
    pub challenged_at: u64,
    /// The sequence number after the peer's FIN, once that was taken in.
    pub fin_end: Option<u32>,
    pub mss: usize,
    /// A FIN is to follow what the peer's window does not let out yet: see [`Conn::finish`].
    pub fin_due: bool,
    /// When acknowledged data last advanced, or sending began.
    pub acked_at: u64,
    /// The same, or when the peer last answered a probe of its closed window.
    pub progress_at: u64,
    pub acked: u64,
    /// When anything last arrived.
    pub heard_at: u64,
    /// Keep-alive probes unanswered, and when the last went.
    pub probes: u32,
    pub probed_at: u64,
    /// The end of a bounded state: handshake, deferred accept, FIN-WAIT-2 of an orphan. 0: none.
    pub deadline: u64,
    pub retransmits: u32,
    pub made_at: u64,
    pub bytes_in: u64,
    /// The watchers know that the peer has ended.
    pub fin_told: bool,
}

/// What a poll found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// A handshake is complete.
    Established,
    /// A handshake failed, or the connection is over.
    Over,
    /// It may be forgotten but for its tuple.
    TimeWait,
}

impl Conn {
    /// A connection around a socket that is listening or connecting.
    pub fn new(
        set: SocketSet<'static>,
        handle: SocketHandle,
        tuple: Tuple,
        ifc: InterfaceId,
        owner: Owner,
        opts: TcpOpts,
        now: u64,
    ) -> Self {
        Self {
            set,
            handle,
            tuple,
            ifc,
            owner,
            shared: None,
            opts,
            tos: 0,
            send_limit: usize::MAX,
            charged: 0,
            dirty: false,
            prev: State::SynSent,
            error: None,
            rx_shut: false,
            tx_shut: false,
            detached: false,
            want_room: false,
            seen_rx: 0,
            enqueued: 0,
            corked: Vec::new(),
            cork_at: 0,
            isn: 0,
            high: None,
            small_end: None,
            last_seq: 0,
            last_ack: 0,
            last_win: 0,
            rcv_nxt: 0,
            challenged_at: 0,
            fin_end: None,
            mss: 536,
            fin_due: false,
            acked_at: now,
            progress_at: now,
            acked: 0,
            heard_at: now,
            probes: 0,
            probed_at: 0,
            deadline: 0,
            retransmits: 0,
            made_at: now,
            bytes_in: 0,
            fin_told: false,
        }
    }

    /// The socket.
    pub fn tcp(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }
    /// The socket.
    pub fn tcp_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Applies the options that smoltcp carries out.
    pub fn apply(&mut self) {
        let v6 = matches!(self.tuple.local, smoltcp::wire::IpAddress::Ipv6(_));
        let (hops, tos) = if v6 { (ipopts::HOPS, ipopts::TCLASS) } else { (ipopts::TTL, ipopts::TOS) };
        let hops = self.opts.ip[hops];
        self.tos = self.opts.ip[tos];
        self.tcp_mut().set_hop_limit(Some(hops.max(1)));
        // On loopback an ACK costs nothing and waiting for one does.
        let delay = match (self.ifc, self.opts.quickack) {
            (InterfaceId::Lo, _) => None,
            (_, true) => Some(10),
            (_, false) => Some(40),
        };
        self.tcp_mut().set_ack_delay(delay.map(smoltcp::time::Duration::from_millis));
    }

    /// Nagle's algorithm as Minshall amended it and as Linux has it: a small segment waits only while another
    /// *small* one is unacknowledged. smoltcp's waits for everything in flight, which costs a delayed ACK at the
    /// end of every odd-sized response.
    pub fn nagle_now(&self) -> bool {
        !self.opts.nodelay && self.small_end.is_some_and(|end| before(self.unacked(), end))
    }

    /// Sequence number of the first byte that the peer has not acknowledged.
    pub fn unacked(&self) -> u32 {
        self.sequence(self.acked_bytes())
    }

    /// Sequence number of a byte of what the program wrote.
    pub fn sequence(&self, byte: u64) -> u32 {
        self.isn.wrapping_add(1).wrapping_add(byte as u32)
    }

    /// Stream bytes that the peer has acknowledged.
    pub fn acked_bytes(&self) -> u64 {
        self.enqueued - self.tcp().send_queue() as u64
    }

    /// Takes in what a poll sent.
    pub fn note(&mut self, r: &Report) {
        if let Some(isn) = r.isn {
            self.isn = isn;
        }
        if let Some(s) = r.last {
            self.last_seq = s.seq.wrapping_add(s.len as u32).wrapping_add(u32::from(s.flags & 1));
            self.last_ack = s.ack;
            self.last_win = s.window;
        }
        self.high = r.high;
        if r.small_end.is_some() {
            self.small_end = r.small_end;
        }
    }

    /// Something was sent again. Until a first loss the peer's window and our buffer are the limit; from then on
    /// congestion control is: smoltcp's starts at two segments, a tenth of what RFC 6928 allows.
    pub fn resent(&mut self) {
        self.retransmits += 1;
        if self.tcp().congestion_control() == tcp::CongestionControl::None {
            self.tcp_mut().set_congestion_control(tcp::CongestionControl::Reno);
        }
    }

    /// The peer will send no more.
    pub fn rx_ended(&self) -> bool {
        matches!(
            self.tcp().state(),
            State::CloseWait | State::LastAck | State::Closing | State::TimeWait | State::Closed
        )
    }

    /// Whether the peer's FIN, if it has sent one, was acknowledged on the wire.
    pub fn fin_acked(&self) -> bool {
        self.fin_end.is_none_or(|end| end == self.last_ack)
    }

    /// What may wait to be sent and acknowledged.
    pub fn send_capacity(&self) -> usize {
        self.tcp().send_capacity().min(self.send_limit)
    }

    /// Free room for writing.
    pub fn room(&self) -> usize {
        self.send_capacity().saturating_sub(self.tcp().send_queue() + self.corked.len())
    }

    /// A third of the buffer is free: what Linux calls writable.
    pub fn writable(&self) -> bool {
        self.room() * 3 >= self.send_capacity()
    }

    /// Poll bits of a connected (or once connected) socket: `tcp_poll` of Linux.
    pub fn events(&self) -> Events {
        let mut e = Events::empty();
        let state = self.tcp().state();
        let rx_done = self.rx_shut || self.rx_ended();
        let tx_done = self.tx_shut || state == State::Closed;
        if (rx_done && tx_done) || state == State::Closed {
            e |= Events::HUP;
        }
        if rx_done {
            e |= Events::IN | Events::RDNORM | Events::RDHUP;
        }
        if !matches!(state, State::SynSent | State::SynReceived) {
            if self.tcp().recv_queue() >= self.opts.rcvlowat.max(1) as usize {
                e |= Events::IN | Events::RDNORM;
            }
            if tx_done || self.writable() {
                e |= Events::OUT | Events::WRNORM;
            }
        }
        if self.error.is_some() {
            e |= Events::ERR;
        }
        e
    }

    /// What follows from the state after a poll.
    pub fn change(&mut self) -> Change {
        let state = self.tcp().state();
        let prev = core::mem::replace(&mut self.prev, state);
        if state == prev {
            return Change::None;
        }
        match state {
            State::Listen => Change::Over,
            State::TimeWait => Change::TimeWait,
            State::Closed => {
                if self.error.is_none() && !self.detached {
                    self.error = match prev {
                        State::SynSent | State::SynReceived => Some(Errno::ECONNREFUSED),
                        State::LastAck | State::TimeWait => None,
                        State::CloseWait if !self.tx_shut => Some(Errno::EPIPE),
                        _ => Some(Errno::ECONNRESET),
                    };
                }
                Change::Over
            }
            State::SynSent | State::SynReceived => Change::None,
            _ if matches!(prev, State::SynSent | State::SynReceived | State::Listen) => Change::Established,
            _ => Change::None,
        }
    }

    /// Ends it with an error and an RST to the peer.
    pub fn abort(&mut self, why: Option<Errno>) {
        if self.tcp().state() != State::Closed {
            self.error = why;
            self.corked.clear();
            self.tcp_mut().abort();
        }
    }

    /// Moves what cork held back into the send buffer. The room for it is reserved.
    pub fn uncork(&mut self) {
        if !self.corked.is_empty() {
            let data = core::mem::take(&mut self.corked);
            let n = self.tcp_mut().send_slice(&data).unwrap_or(0);
            self.enqueued += n as u64;
        }
        self.cork_at = 0;
    }

    /// The pending error, once.
    pub fn take_error(&mut self) -> Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}
