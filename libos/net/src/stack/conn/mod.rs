//! One TCP connection: a smoltcp socket alone in its set, and what Linux keeps in addition to the protocol.

mod options;
mod patience;
mod receive;
mod send;
mod validate;

pub use options::TcpOpts;
pub use validate::{Fate, PAUSE};

use super::Shared;
use super::interface::InterfaceId;
use super::memory::Pooled;
use crate::frame::Tuple;
use crate::phy::Report;
use alloc::sync::Arc;
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use patience::Patience;
use receive::{Receiver, ended};
use send::Sender;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};

/// Who owns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// In the handshake, for this listening socket.
    Half(u32),
    /// Waiting to be accepted from this listening socket.
    Queued(u32),
    /// It belongs to an open socket.
    Sock(u32),
    /// The program has closed it; the protocol finishes on its own.
    Orphan,
}

/// See the module.
pub struct Conn {
    set: SocketSet<'static>,
    handle: SocketHandle,
    pub tuple: Tuple,
    pub ifc: InterfaceId,
    pub owner: Owner,
    /// Whom to wake; for a connection in a backlog, the listener's watchers.
    pub shared: Option<Arc<Shared>>,
    pub opts: TcpOpts,
    pub send: Sender,
    pub receive: Receiver,
    pub patience: Patience,
    pub error: Option<Errno>,
    /// Bytes charged to the socket memory budget.
    pub charged: usize,
    /// Already on the list of connections to poll.
    pub dirty: bool,
    /// The peer or the protocol ended it; the table no longer has the tuple.
    pub detached: bool,
    /// State after the last poll.
    prev: State,
    /// When a segment was last challenged.
    challenged_at: u64,
}

/// What a read or a write moved.
#[derive(Clone, Copy, Default)]
pub struct Moved {
    pub bytes: usize,
    /// There would be more, but the program's page is not present.
    pub stopped: bool,
}

/// The outcome of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// A handshake is complete.
    Established,
    /// A handshake failed, or the connection is over.
    Over,
    /// Nothing but its tuple need be remembered.
    TimeWait,
}

impl Conn {
    /// A connection around a socket that is connecting, or has just taken a SYN.
    pub fn new((set, handle): Pooled, tuple: Tuple, ifc: InterfaceId, owner: Owner, opts: TcpOpts, now: u64) -> Self {
        let prev = set.get::<tcp::Socket>(handle).state();
        Self {
            set,
            handle,
            tuple,
            ifc,
            owner,
            shared: None,
            opts,
            send: Sender::new(),
            receive: Receiver::default(),
            patience: Patience::new(now),
            error: None,
            charged: 0,
            dirty: false,
            detached: false,
            prev,
            challenged_at: 0,
        }
    }

    /// The smoltcp socket.
    pub fn tcp(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }
    pub fn tcp_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// The socket in its set, as smoltcp polls it.
    pub fn set(&mut self) -> &mut SocketSet<'static> {
        &mut self.set
    }
    /// The parts that another connection can reuse.
    pub fn into_pooled(self) -> Pooled {
        (self.set, self.handle)
    }

    /// Takes note of what a poll sent.
    pub fn note(&mut self, r: &Report) {
        self.send.note(r);
        self.receive.note(r);
    }

    /// Poll bits of a socket that is or was connected: Linux's `tcp_poll`.
    pub fn events(&self) -> Events {
        let mut e = Events::empty();
        let tcp = self.tcp();
        let state = tcp.state();
        let rx_done = self.receive.shut || ended(state);
        let tx_done = self.send.shut || state == State::Closed;
        if (rx_done && tx_done) || state == State::Closed {
            e |= Events::HUP;
        }
        if rx_done {
            e |= Events::IN | Events::RDNORM | Events::RDHUP;
        }
        if !matches!(state, State::SynSent | State::SynReceived) {
            if tcp.recv_queue() >= self.opts.rcvlowat.max(1) as usize {
                e |= Events::IN | Events::RDNORM;
            }
            if tx_done || self.send.writable(tcp) {
                e |= Events::OUT | Events::WRNORM;
            }
        }
        if self.error.is_some() {
            e |= Events::ERR;
        }
        e
    }

    /// What follows from the state that a poll led to.
    pub fn change(&mut self, state: State) -> Change {
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
                        State::CloseWait if !self.send.shut => Some(Errno::EPIPE),
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

    /// What its watchers should be notified of after a poll.
    pub fn news(&mut self, change: Change, now: u64) -> Events {
        let mut changed = false;
        if change != Change::None {
            if change == Change::Established && matches!(self.owner, Owner::Sock(_)) {
                self.patience.set_deadline(0);
            }
            self.patience.progressed(now);
            changed = true;
        }
        changed |= self.arrived();
        if self.send.want_room && self.send.writable(self.tcp()) {
            self.send.want_room = false;
            changed = true;
        }
        if changed { self.events() } else { Events::empty() }
    }

    /// Whether TIME-WAIT has not begun because the ACK of the peer's FIN is not out.
    pub fn fin_waits(&mut self, state: State) -> bool {
        let waits = state == State::TimeWait && !self.receive.fin_acked();
        if waits {
            self.prev = State::FinWait2;
        }
        waits
    }

    /// Ends it with an error, and an RST to the peer.
    pub fn abort(&mut self, why: Option<Errno>) {
        if self.tcp().state() != State::Closed {
            self.error = why;
            self.send.drop_corked();
            self.tcp_mut().abort();
        }
    }

    /// Takes the pending error.
    pub fn take_error(&mut self) -> Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}
