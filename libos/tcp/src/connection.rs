//! A connection: its state, and what the program does with it.

use crate::chunk::Pool;
use crate::congestion::{Algorithm, Window};
use crate::flight::Flight;
use crate::options::SynOptions;
use crate::rack::Rack;
use crate::receive::Receiver;
use crate::recovery::Recovery;
use crate::rtt::Rtt;
use crate::send::Sender;
use crate::timers::{Limits, Timers};
use crate::{NEVER, Segment, Seq};

/// RFC 9293 section 3.3.2. LISTEN is not a connection's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not, or both sides have ended it.
    Normal,
    /// The peer has reset it, or refused it.
    Reset,
    /// The peer did not answer.
    TimedOut,
    /// This side has reset it.
    Aborted,
}

/// What a connection starts with.
#[derive(Clone, Copy)]
pub struct Config {
    /// The largest segment that reaches us: the MTU without headers.
    pub mss: u16,
    /// Size of the receive buffer: at first, and at most.
    pub receive: (usize, usize),
    /// How much may wait to be sent and acknowledged: at first, and at most.
    pub send: (usize, usize),
    /// How long an acknowledgment may wait for something to go with.
    pub ack_delay: u64,
    pub algorithm: Algorithm,
}

impl Config {
    /// The window scale that a SYN announces, and the window in it, which is not scaled.
    pub fn announced(&self) -> (u8, u16) {
        let window = u16::try_from(self.receive.0).unwrap_or(u16::MAX);
        (crate::receive::scale(size(self.receive.1)), window)
    }
}

/// The size of a buffer.
fn size(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(1 << 30).min(1 << 30)
}

/// See the module.
pub struct Connection {
    pub(crate) state: State,
    pub(crate) end: End,
    /// Our MSS, as announced.
    pub(crate) mss: u16,
    /// Both sides scale windows; both know selective acknowledgments.
    pub(crate) scaled: bool,
    pub(crate) sack: bool,
    pub(crate) send: Sender,
    pub(crate) receive: Receiver,
    pub(crate) flight: Flight,
    pub(crate) rtt: Rtt,
    pub(crate) rack: Rack,
    pub(crate) recovery: Recovery,
    pub(crate) window: Window,
    pub(crate) algorithm: Algorithm,
    pub(crate) timers: Timers,
    pub(crate) limits: Limits,
    /// A reset is to be sent.
    pub(crate) reset: bool,
    /// Duplicate acknowledgments in a row, from a peer without selective ones.
    pub(crate) duplicates: u8,
    pub(crate) resent: u32,
    /// Sequence numbers that the peer has acknowledged.
    pub(crate) acknowledged: u64,
    /// The peer has connected, not this side.
    accepted: bool,
    /// What was not acknowledged when it ended.
    left: u32,
    /// When something was last challenged; 0: never.
    pub(crate) challenged_at: u64,
}

impl Connection {
    fn new(state: State, isn: Seq, c: &Config, now: u64) -> Self {
        let mss = u32::from(c.mss);
        Self {
            state,
            end: End::Normal,
            mss: c.mss,
            scaled: true,
            sack: true,
            send: Sender::new(isn, mss, size(c.send.0), size(c.send.1)),
            receive: Receiver::new(size(c.receive.0), size(c.receive.1), c.ack_delay),
            flight: Flight::default(),
            rtt: Rtt::new(),
            rack: Rack::default(),
            recovery: Recovery::new(),
            window: Window::new(mss),
            algorithm: c.algorithm,
            timers: Timers::new(now),
            limits: Limits::default(),
            reset: false,
            duplicates: 0,
            resent: 0,
            acknowledged: 0,
            accepted: state == State::SynReceived,
            left: 0,
            challenged_at: 0,
        }
    }

    /// Begins a connection: the first segment will be a SYN.
    pub fn connect(isn: Seq, c: &Config, now: u64) -> Self {
        Self::new(State::SynSent, isn, c, now)
    }

    /// Answers a SYN: the first segment will be a SYN with an ACK.
    pub fn accept(isn: Seq, c: &Config, syn: &Segment<'_>, now: u64) -> Self {
        let mut new = Self::new(State::SynReceived, isn, c, now);
        new.take_syn(syn, &SynOptions::read(syn.options));
        new
    }

    /// One that has answered a SYN, without options in `syn`: they are `options`.
    pub fn answered(isn: Seq, c: &Config, syn: &Segment<'_>, options: &SynOptions, now: u64) -> Self {
        let mut new = Self::new(State::SynReceived, isn, c, now);
        new.take_syn(syn, options);
        if new.flight.ready() {
            new.first_sent(now);
            new.receive.sending(false);
        }
        new
    }

    /// The peer's SYN: its number and its options.
    pub(crate) fn take_syn(&mut self, syn: &Segment<'_>, o: &SynOptions) {
        self.receive.begin(syn.seq);
        self.sack = o.sack;
        self.scaled = o.scale.is_some();
        self.send.scale = o.scale.unwrap_or(0);
        if !self.scaled {
            self.receive.unscaled();
        }
        // RFC 9293 section 3.7.1; less than 48 bytes is an attack.
        let theirs = o.mss.max(48);
        self.set_mss(u32::from(theirs.min(self.mss)));
        self.window = Window::new(self.send.mss);
        self.send.first_window(syn.seq, syn.ack, syn.window);
    }

    pub(crate) fn set_mss(&mut self, mss: u32) {
        self.send.mss = mss;
        self.window.mss = mss;
    }

    pub fn state(&self) -> State {
        self.state
    }
    /// Why it is closed.
    pub fn end(&self) -> End {
        self.end
    }
    pub fn isn(&self) -> Seq {
        self.send.isn
    }
    /// The next sequence number to be sent, and the next expected.
    pub fn next(&self) -> (Seq, Seq) {
        (self.send.next, self.receive.next)
    }
    /// Whether the peer will send nothing more.
    pub fn ended(&self) -> bool {
        self.receive.ended() || self.state == State::Closed
    }
    /// Whether the program may write.
    pub fn may_send(&self) -> bool {
        matches!(self.state, State::Established | State::CloseWait)
    }
    /// Bytes not acknowledged, sent or not.
    pub fn send_queue(&self) -> usize {
        self.send.buffer.len()
    }
    /// What is not acknowledged, or was not when the connection ended: bytes, and the FIN, as Linux counts for SIOCOUTQ.
    #[cold]
    pub fn unacknowledged(&self) -> u32 {
        match self.state {
            State::SynSent | State::SynReceived => 0,
            State::Closed => self.left,
            _ => self.send.buffer.len() as u32 + u32::from(self.send.fin && !self.fin_acknowledged()),
        }
    }
    /// What the peer has acknowledged and what it has sent, as Linux counts: FINs are part of it, and the SYN of the side
    /// that has connected is part of the former.
    #[cold]
    pub fn counted(&self) -> (u64, u64) {
        (self.acknowledged.saturating_sub(self.accepted.into()), self.receive.received)
    }
    /// Bytes that can be read.
    pub fn recv_queue(&self) -> usize {
        self.receive.buffer.ready()
    }
    pub fn recv_capacity(&self) -> usize {
        self.receive.capacity() as usize
    }
    pub fn send_capacity(&self) -> usize {
        self.send.capacity(self.window.size)
    }
    /// Free room for writing.
    pub fn room(&self) -> usize {
        self.send.room(self.window.size)
    }
    /// Full size of a segment's data.
    pub fn mss(&self) -> usize {
        self.send.mss as usize
    }
    /// Segments sent again.
    pub fn resent(&self) -> u32 {
        self.resent
    }
    pub fn algorithm(&self) -> &'static str {
        self.algorithm.name()
    }
    pub fn congestion_window(&self) -> Window {
        self.window
    }
    /// The smoothed round trip and its variation, if anything was measured.
    pub fn round_trip(&self) -> Option<(u64, u64)> {
        self.rtt.smoothed().map(|s| (s, self.rtt.variation()))
    }
    pub fn retransmission_timeout(&self) -> u64 {
        self.rtt.timeout()
    }
    /// Whether the peer has acknowledged everything that was written, and a FIN.
    pub fn owed(&self) -> bool {
        self.send.owed()
    }
    /// Whether the acknowledgment of what has arrived is not out.
    pub fn ack_waits(&self) -> bool {
        self.receive.ack_waits()
    }
    /// Whether a read has made room that the peer should know of.
    pub fn window_opened(&self) -> bool {
        self.receive.ack_now()
    }
    /// Sends an acknowledgment that waits for something to go with. Returns whether there is one.
    pub fn hurry(&mut self) -> bool {
        let waits = self.receive.ack_waits();
        if waits {
            self.receive.acknowledge();
        }
        waits
    }
    /// Sends an acknowledgment, for the window in it.
    pub fn announce(&mut self) {
        self.receive.acknowledge();
    }
    /// Whether there is something to send, as far as this side alone decides.
    #[inline]
    pub fn pending(&self, now: u64) -> bool {
        let new = self.send.unsent() > 0 || self.send.fin && !self.send.fin_sent;
        new && self.state != State::Closed || self.pending_besides(now)
    }
    /// Besides new data and the FIN.
    fn pending_besides(&self, now: u64) -> bool {
        let first = self.send.next == self.send.isn;
        let again = self.flight.lost() > 0 || self.timers.tail_probe || self.timers.probe;
        self.reset || first || again || self.receive.ack_due(now)
    }
    /// Until when everything that could be sent now is kept back for what was announced, if it is.
    pub fn kept_until(&self, now: u64) -> Option<u64> {
        let s = &self.send;
        let kept = s.unsent() > 0 && s.unsent() < s.mss && !s.fin && now < s.held_until();
        (kept && s.held_until() != NEVER && !self.pending_besides(now)).then(|| s.held_until())
    }
    /// Sequence numbers that are out and not acknowledged.
    pub(crate) fn outstanding(&self) -> u32 {
        self.send.next - self.send.una
    }

    /// When something was last challenged; 0: never.
    pub fn challenged_at(&self) -> u64 {
        self.challenged_at
    }
    pub fn set_challenged_at(&mut self, at: u64) {
        self.challenged_at = at;
    }
    /// TCP_NODELAY.
    pub fn set_nodelay(&mut self, on: bool) {
        self.send.nodelay = on;
    }
    pub fn set_ack_delay(&mut self, delay: u64) {
        self.receive.delay = delay;
    }
    pub fn set_algorithm(&mut self, a: Algorithm) {
        self.algorithm = a;
    }
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }
    /// SO_RCVBUF.
    pub fn set_recv_capacity(&mut self, n: usize) {
        self.receive.set_capacity(u32::try_from(n).unwrap_or(1 << 30));
    }
    /// SO_SNDBUF.
    pub fn set_send_capacity(&mut self, n: usize) {
        let n = u32::try_from(n).unwrap_or(1 << 30);
        (self.send.limit, self.send.most) = (n, n);
    }

    /// Takes data of at most `most` bytes: `fill` writes into the piece it is given and returns how much it wrote; if not
    /// all of it, that was the last one. `more`: the program has announced more.
    pub fn write(
        &mut self,
        pool: &mut Pool,
        now: u64,
        most: usize,
        more: bool,
        fill: impl FnMut(&mut [u8]) -> usize,
    ) -> usize {
        self.owes_from(now);
        let n = self.send.buffer.append(pool, most, fill);
        self.send.hold(more, now);
        n
    }
    /// Nothing more was announced after all. Returns whether that held something back.
    pub fn push(&mut self) -> bool {
        let held = self.send.held_until() != NEVER;
        self.send.hold(false, 0);
        held
    }

    /// Passes what can be read to `take`, piece by piece, until it does not take the whole of one. Returns the bytes
    /// taken.
    pub fn read(&mut self, pool: &mut Pool, now: u64, take: impl FnMut(&[u8]) -> usize) -> usize {
        let round = self.rtt.smoothed();
        self.receive.read(pool, now, round, take)
    }
    /// Copies the first bytes without consuming them.
    pub fn peek(&self, to: &mut [u8]) -> usize {
        self.receive.peek(to)
    }
    /// Copies bytes that were written, for a segment.
    pub fn copy(&self, offset: usize, to: &mut [u8]) {
        self.send.buffer.copy(offset, to);
    }

    /// Sends a FIN after everything that was written.
    pub fn finish(&mut self, now: u64) {
        let next = match self.state {
            State::SynReceived | State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return,
        };
        self.owes_from(now);
        self.send.fin = true;
        // During the handshake the state follows once that is over.
        if self.state != State::SynReceived {
            self.state = next;
        }
    }

    /// Ends it at once, with a reset to the peer.
    pub fn abort(&mut self, pool: &mut Pool) {
        self.reset = !matches!(self.state, State::Closed | State::SynSent | State::TimeWait);
        self.close(End::Aborted, pool);
    }

    /// It is over. What has arrived can still be read.
    pub(crate) fn close(&mut self, why: End, pool: &mut Pool) {
        if self.state != State::Closed {
            self.left = self.unacknowledged();
            (self.state, self.end) = (State::Closed, why);
            self.send.buffer.clear(pool);
            self.flight.clear();
        }
    }

    /// Gives all memory back.
    pub fn release(&mut self, pool: &mut Pool) {
        self.send.buffer.clear(pool);
        self.receive.clear(pool);
    }
}
