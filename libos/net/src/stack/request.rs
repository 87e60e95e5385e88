//! Handshakes that strangers have begun. Each is a tuple and what its SYN said: a connection is made when the peer shows
//! that it has got our answer, so whoever only sends SYNs costs little more than an entry in a table.
//!
//! Whatever arrives for a request is judged by a connection made for the purpose ([`Request::revive`]); if it is still in
//! the handshake after that, it is forgotten again.

use super::Stack;
use super::conn::{COST, Conn, Owner, TcpOpts, marks};
use super::connections::SHARDS;
use super::interface::InterfaceId;
use super::reply::{Reply, ends};
use super::sock::Kind;
use super::solicit::Mac;
use crate::frame::{Tcp, Tuple};
use crate::table::{Slab, Timers};
use libos_base::Result;
use libos_base::memory::try_box;
use libos_base::time::NS;
use libos_tcp::{ACK, Config, Connection, FIN, Options, Pool, RST, SYN, Segment, Seq, State, SynOptions, Verdict};

/// The first repetition of our answer is due after this; each further one takes twice as long.
const FIRST: u64 = NS;
/// Most repetitions (tcp_synack_retries). It is over when another would be due.
const REPETITIONS: u8 = 5;
/// What a request costs: itself, and its place in the tables.
const ASKED: usize = size_of::<Request>() + 96;

/// A handshake of which the peer's SYN has arrived.
#[derive(Clone, Copy)]
pub struct Request {
    pub tuple: Tuple,
    pub hash: u64,
    pub ifc: InterfaceId,
    /// The listening socket.
    pub listener: u32,
    /// Our initial sequence number, and the peer's.
    pub isn: Seq,
    pub irs: Seq,
    /// The other things that its SYN said.
    pub window: u16,
    pub options: SynOptions,
    /// The size of the receive buffer when our answer announced a scale for it: at first, and at most.
    pub receive: (usize, usize),
    /// The peer's Ethernet address, and ours.
    pub ethernet: (Mac, Mac),
    /// How often our answer was repeated by the clock.
    pub repeated: u8,
    /// What was taken from the budget.
    pub charged: usize,
    /// When the SYN came, and when something odd was last answered; 0: never.
    pub made_at: u64,
    pub said_at: u64,
}

/// What became of a request.
pub enum Outcome {
    /// It is a connection, or failed.
    Over,
    /// Nothing yet. When something odd was last answered.
    Waits(u64),
}

/// The requests of a shard, each in its place.
pub struct Requests {
    list: Slab<Request>,
    /// When each answer is due again.
    timers: Timers,
}

impl Requests {
    pub fn new() -> Self {
        Self { list: Slab::new(), timers: Timers::new() }
    }
    pub fn len(&self) -> usize {
        self.list.len()
    }
    pub fn get_mut(&mut self, place: u32) -> Option<&mut Request> {
        self.list.get_mut(place)
    }
    pub fn add(&mut self, r: Request, due: u64) -> Result<u32> {
        let place = self.list.insert(r)?;
        self.timers.reserve(place).inspect_err(|_| {
            self.list.remove(place);
        })?;
        self.timers.set(place, due);
        Ok(place)
    }
    pub fn remove(&mut self, place: u32) -> Option<Request> {
        self.timers.clear(place);
        self.list.remove(place)
    }
    fn due_at(&mut self, place: u32, at: u64) {
        self.timers.set(place, at);
    }
    /// When the first is due.
    pub fn next(&self) -> u64 {
        self.timers.first().map_or(u64::MAX, |t| t.0)
    }
    /// One that is due, and its place.
    pub fn due(&self, now: u64) -> Option<(u32, Request)> {
        let (_, place) = self.timers.first().filter(|t| t.0 <= now)?;
        Some((place, *self.list.get(place)?))
    }
    /// The hash of the one in this place, if it is for that listening socket.
    fn of(&self, listener: u32, place: u32) -> Option<u64> {
        self.list.get(place).filter(|r| r.listener == listener).map(|r| r.hash)
    }
}

impl Request {
    /// One made of the segment `syn` in the frame `raw`.
    #[expect(clippy::too_many_arguments, reason = "each is a part of it")]
    pub fn new(
        listener: u32,
        ifc: InterfaceId,
        raw: &[u8],
        (tuple, hash): (Tuple, u64),
        syn: &Segment<'_>,
        isn: Seq,
        receive: (usize, usize),
        now: u64,
    ) -> Self {
        Self {
            tuple,
            hash,
            ifc,
            listener,
            isn,
            irs: syn.seq,
            window: syn.window,
            options: SynOptions::read(syn.options),
            receive,
            ethernet: ends(ifc, raw),
            repeated: 0,
            charged: 0,
            made_at: now,
            said_at: 0,
        }
    }

    /// A connection in the state in which the request is: our answer is out, once or more often.
    fn revive(&self, config: &Config, pool: &mut Pool) -> Connection {
        let (seq, flags, window) = (self.irs, SYN, self.window);
        let syn = Segment { seq, ack: Seq(0), flags, window, options: &[], data: &[] };
        let mut tcp = Connection::answered(self.isn, config, &syn, &self.options, self.made_at);
        if self.repeated > 0 {
            // So that it does not take the answer to one for the answer to another.
            tcp.on_timer(self.made_at + FIRST, pool);
            tcp.transmit(self.made_at + FIRST, 0);
        }
        tcp.set_challenged_at(self.said_at);
        tcp
    }

    /// Whether the segment is the end of the handshake without anything else in it.
    fn bare(&self, s: &Segment<'_>) -> bool {
        s.has(ACK) && !s.has(RST | SYN | FIN) && s.is_empty() && s.seq == self.irs + 1 && s.ack == self.isn + 1
    }
}

impl Stack {
    /// Answers the SYN `t` for a listening socket, and remembers it.
    pub fn request(&mut self, sid: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) -> Result<()> {
        let opts = self.sock(sid)?.opts;
        let now = self.now;
        let config = self.config(&opts, ifc, &t.tuple.local);
        let isn = self.sequence.isn(&t.tuple, now);
        let mut r = Request::new(sid, ifc, raw, (t.tuple, t.hash), &t.segment, isn, config.receive, now);
        // The loopback interface has no peers that are gone. There it is known at once whether there is memory for the
        // connection, and who connects shall learn it.
        r.charged = if ifc == InterfaceId::Lo { COST } else { ASKED };
        self.memory.charge(r.charged)?;
        let added = self.connections.ask(r, now + FIRST);
        added.inspect_err(|_| self.memory.release(r.charged))?;
        self.memory.half += r.charged;
        self.count_request(sid, 1);
        self.answer_request(&r, &config, &opts);
        Ok(())
    }

    fn count_request(&mut self, sid: u32, by: isize) {
        if let Some(Kind::Listen(l)) = self.sockets.get_mut(sid).map(|s| &mut s.kind) {
            l.half_len = l.half_len.saturating_add_signed(by);
        }
    }

    /// Sends our answer to its SYN.
    fn answer_request(&mut self, r: &Request, config: &Config, opts: &TcpOpts) {
        let (scale, window) = config.announced();
        let options = Options::syn(config.mss, r.options.scale.map(|_| scale), r.options.sack);
        let marks = marks(opts, &r.tuple.local);
        let reply = Reply { flags: SYN | ACK, seq: r.isn, ack: r.irs + 1, window, options, marks };
        self.answer_to(r.ifc, r.ethernet, &r.tuple, reply);
    }

    /// What its connection starts with, and the options that this inherits.
    fn config_of(&self, r: &Request) -> Option<(Config, TcpOpts)> {
        let opts = self.sockets.get(r.listener)?.opts;
        Some((Config { receive: r.receive, ..self.config(&opts, r.ifc, &r.tuple.local) }, opts))
    }

    /// Forgets a request.
    fn forget_request(&mut self, hash: u64, place: u32) {
        if let Some(r) = self.connections.unask(hash, place) {
            self.memory.release(r.charged);
            self.memory.half -= r.charged;
            self.count_request(r.listener, -1);
        }
    }

    /// Handles a segment for the request in this place.
    pub fn request_in(&mut self, place: u32, ifc: InterfaceId, raw: &[u8], t: &Tcp<'_>) {
        let now = self.now;
        let requests = self.connections.requests(t.hash);
        let Some(r) = requests.get_mut(place).copied().filter(|r| r.ifc == ifc) else { return };
        let defer = self.sockets.get(r.listener).map_or(0, |s| s.opts.defer);
        let until = r.made_at + u64::from(defer) * NS;
        if r.bare(&t.segment) && now < until {
            // As on Linux: if no data comes in time, our answer is repeated, and what the peer says to that counts.
            self.connections.requests(t.hash).due_at(place, until);
            return;
        }
        match self.complete(&r, raw, t) {
            Outcome::Over => self.forget_request(t.hash, place),
            Outcome::Waits(said_at) => {
                if let Some(r) = self.connections.requests(t.hash).get_mut(place) {
                    r.said_at = said_at;
                }
            }
        }
    }

    /// Lets a segment end the handshake of a request.
    pub fn complete(&mut self, r: &Request, raw: &[u8], t: &Tcp<'_>) -> Outcome {
        let now = self.now;
        let Some((config, opts)) = self.config_of(r) else { return Outcome::Over };
        let mut tcp = r.revive(&config, &mut self.memory.pool);
        match tcp.on_segment(now, &t.segment, false, &mut self.memory.pool) {
            Verdict::Challenge => {
                let (seq, ack, window) = tcp.position();
                self.answer(r.ifc, raw, &t.tuple, Reply::ack(seq, ack, window));
            }
            Verdict::Reset => self.answer(r.ifc, raw, &t.tuple, Reply::reset(t)),
            _ => {}
        }
        match tcp.state() {
            State::Closed => return Outcome::Over,
            State::SynReceived => {
                // The SYN again: so is our answer.
                if tcp.pending(now) {
                    self.answer_request(r, &config, &opts);
                }
                return Outcome::Waits(tcp.challenged_at());
            }
            _ => {}
        }
        // What the request has taken is given back with it.
        self.memory.release(r.charged);
        let room = self.connections.reserve(t.hash).and_then(|()| self.memory.charge(COST));
        self.memory.add(r.charged);
        if room.is_err() {
            // The peer repeats its data, or we our answer.
            tcp.release(&mut self.memory.pool);
            self.stats.syn_dropped += 1;
            return Outcome::Waits(r.said_at);
        }
        let c = try_box(Conn::new(tcp, (t.tuple, t.hash), r.ifc, Owner::Queued(r.listener), opts, now));
        match self.add_conn(c) {
            Ok(id) => {
                self.follow(id);
                self.established(r.listener, id);
            }
            Err(_) => self.stats.syn_dropped += 1,
        }
        Outcome::Over
    }

    /// Repeats the answers that are due, and gives up those that were repeated often enough.
    pub fn run_requests(&mut self) {
        let now = self.now;
        while let Some((place, r)) = self.connections.request_due(now) {
            if r.repeated == REPETITIONS {
                self.forget_request(r.hash, place);
                continue;
            }
            if let Some((config, opts)) = self.config_of(&r) {
                self.answer_request(&r, &config, &opts);
            }
            let requests = self.connections.requests(r.hash);
            requests.due_at(place, now + (FIRST << (r.repeated + 1)));
            if let Some(r) = requests.get_mut(place) {
                r.repeated += 1;
            }
        }
    }

    /// Forgets the requests of a listening socket that closes. Whoever comes back gets a reset.
    pub fn forget_requests(&mut self, sid: u32) {
        for shard in 0..SHARDS {
            for place in 0..self.connections.requests_in(shard).list.end() {
                if let Some(hash) = self.connections.requests_in(shard).of(sid, place) {
                    self.forget_request(hash, place);
                }
            }
        }
    }
}
