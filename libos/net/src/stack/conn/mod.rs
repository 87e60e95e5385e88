//! One TCP connection: the protocol's state machine ([`libos_tcp`]), and what belongs to it on this host: who owns it,
//! whom to wake, the errors of its calls.

mod data;
mod options;

pub use data::Moved;
pub use options::{TcpOpts, marks};

use super::Shared;
use super::interface::InterfaceId;
use super::memory::Memory;
use super::neighbor::Route;
use crate::frame::Tuple;
use alloc::sync::Arc;
use libos_base::poll::Events;
use libos_base::time::NS;
use libos_base::{Errno, Result};
use libos_tcp::{Connection, End, State};

/// Who owns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Waiting to be accepted from this listening socket.
    Queued(u32),
    /// It belongs to an open socket.
    Sock(u32),
    /// The program has closed it; the protocol finishes on its own.
    Orphan,
}

/// See the module.
pub struct Conn {
    tcp: Connection,
    pub tuple: Tuple,
    /// The tuple's.
    pub hash: u64,
    pub ifc: InterfaceId,
    pub owner: Owner,
    /// Whom to wake; for a connection in a backlog, the listener's watchers.
    pub shared: Option<Arc<Shared>>,
    pub opts: TcpOpts,
    /// shutdown(SHUT_RD) and shutdown(SHUT_WR).
    pub shut_read: bool,
    pub shut_write: bool,
    /// A writer found no room: notify when a third is free.
    pub want_room: bool,
    pub error: Option<Errno>,
    /// Already on the list of connections to poll.
    pub dirty: bool,
    /// The peer or the protocol ended it; the table no longer has the tuple.
    pub detached: bool,
    /// The way to the peer, as last looked up.
    pub route: Route,
    /// When a connection attempt ends. 0: this is none.
    deadline: u64,
    /// When [`on_timer`](Self::on_timer) has something to do.
    due: u64,
    /// State after the last poll.
    prev: State,
    /// Bytes received but not read as of the last poll.
    seen: usize,
    /// The watchers know that the peer has ended.
    fin_told: bool,
}

/// What a connection costs besides its data: itself, and its place in the tables.
pub const COST: usize = size_of::<Conn>() + 256;

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
    /// A connection that is connecting, or whose peer has just connected.
    pub fn new(
        tcp: Connection,
        (tuple, hash): (Tuple, u64),
        ifc: InterfaceId,
        owner: Owner,
        opts: TcpOpts,
        now: u64,
    ) -> Self {
        let prev = tcp.state();
        let mut new = Self {
            tcp,
            tuple,
            hash,
            ifc,
            owner,
            shared: None,
            opts,
            shut_read: false,
            shut_write: false,
            want_room: false,
            error: None,
            dirty: false,
            detached: false,
            route: Route::default(),
            deadline: 0,
            due: now,
            prev,
            seen: 0,
            fin_told: false,
        };
        new.apply();
        new
    }

    /// The protocol's part.
    pub fn tcp(&self) -> &Connection {
        &self.tcp
    }
    pub fn tcp_mut(&mut self) -> &mut Connection {
        &mut self.tcp
    }

    /// Sets when the attempt to connect ends.
    pub fn set_deadline(&mut self, at: u64) {
        self.deadline = at;
    }

    /// Poll bits of a socket that is or was connected: Linux's `tcp_poll`.
    pub fn events(&self) -> Events {
        let mut e = Events::empty();
        let state = self.tcp.state();
        let rx_done = self.shut_read || self.tcp.ended();
        let tx_done = self.shut_write || state == State::Closed;
        if (rx_done && tx_done) || state == State::Closed {
            e |= Events::HUP;
        }
        if rx_done {
            e |= Events::IN | Events::RDNORM | Events::RDHUP;
        }
        if !matches!(state, State::SynSent | State::SynReceived) {
            if self.tcp.recv_queue() >= self.opts.rcvlowat.max(1) as usize {
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

    /// Does what is due by the clock.
    pub fn on_timer(&mut self, now: u64, memory: &mut Memory) {
        if now < self.due {
            return;
        }
        if self.deadline != 0 && now >= self.deadline && self.tcp.state() != State::Closed {
            self.tcp.expire(&mut memory.pool);
        }
        self.tcp.on_timer(now, &mut memory.pool);
    }
    /// Until when everything that could go out is kept for what was announced, if it is.
    pub fn kept_until(&mut self, now: u64) -> Option<u64> {
        let at = self.tcp.kept_until(now)?;
        self.due = self.due.min(at);
        Some(at)
    }
    /// There is nothing more to do now. Returns when there will be.
    pub fn rest(&mut self) -> u64 {
        let at = self.tcp.next_deadline();
        self.due = if self.deadline != 0 { at.min(self.deadline) } else { at };
        self.due
    }

    /// What follows from the state that a poll led to.
    pub fn change(&mut self, state: State) -> Change {
        let prev = core::mem::replace(&mut self.prev, state);
        if state == prev {
            return Change::None;
        }
        match state {
            State::TimeWait => Change::TimeWait,
            State::Closed => {
                if self.error.is_none() && !self.detached {
                    self.error = match (self.tcp.end(), prev) {
                        (End::Normal | End::Aborted, _) => None,
                        (End::TimedOut, _) => Some(Errno::ETIMEDOUT),
                        (End::Reset, State::SynSent | State::SynReceived) => Some(Errno::ECONNREFUSED),
                        (End::Reset, State::CloseWait) if !self.shut_write => Some(Errno::EPIPE),
                        (End::Reset, _) => Some(Errno::ECONNRESET),
                    };
                }
                Change::Over
            }
            State::SynSent | State::SynReceived => Change::None,
            _ if matches!(prev, State::SynSent | State::SynReceived) => Change::Established,
            _ => Change::None,
        }
    }

    /// What its watchers should be notified of after a poll.
    pub fn news(&mut self, change: Change) -> Events {
        let mut changed = false;
        if change != Change::None {
            if change == Change::Established && matches!(self.owner, Owner::Sock(_)) {
                self.deadline = 0;
            }
            changed = true;
        }
        changed |= self.arrived();
        if self.want_room && self.writable() {
            self.want_room = false;
            changed = true;
        }
        if changed { self.events() } else { Events::empty() }
    }

    /// Whether TIME-WAIT has not begun because the ACK of the peer's FIN is not out.
    pub fn fin_waits(&self, state: State) -> bool {
        state == State::TimeWait && self.tcp.ack_waits()
    }

    /// Ends it with an error, and an RST to the peer.
    pub fn abort(&mut self, why: Option<Errno>, memory: &mut Memory) {
        if self.tcp.state() != State::Closed {
            self.error = why;
            self.tcp.abort(&mut memory.pool);
        }
    }

    /// Takes the pending error.
    pub fn take_error(&mut self) -> Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// The program has closed it.
    pub fn orphan(&mut self, now: u64) {
        self.owner = Owner::Orphan;
        self.shared = None;
        self.apply();
        self.tcp.fin_waits(now);
    }

    /// Bytes that a peer beyond the card has not received or not acknowledged; a FIN and a reset count as one.
    pub fn undelivered(&self) -> usize {
        if self.ifc != InterfaceId::Eth || self.detached {
            return 0;
        }
        self.tcp.send_queue() + usize::from(self.dirty || self.tcp.owed() && self.tcp.state() != State::Closed)
    }
}

/// The longest handshake of a client with this number of repetitions: 1 + 2 + 4 + ... seconds.
pub fn patience(repetitions: u8) -> u64 {
    NS * ((1u64 << (u64::from(repetitions) + 1).min(20)) - 1)
}
