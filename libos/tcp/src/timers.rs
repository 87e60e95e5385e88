//! Deadlines. They are computed from what happened when, so none can be forgotten; the earliest is
//! [`Connection::next_deadline`].

use crate::chunk::Pool;
use crate::connection::{Connection, End, State};
use crate::recovery::Phase;
use crate::{MS, NEVER, S, Seq, rtt};

/// Sent data was not acknowledged, or no probe answered, for this long (tcp_retries2: 924.6 s).
const GIVE_UP: u64 = 924 * S;
/// The same once the program has closed the connection (tcp_orphan_retries: 8 repetitions, 0.2 + 0.4 + ... + 51.2 s).
const ORPHAN_SILENT: u64 = 102 * S;
/// Closed by the program, and the peer answers every probe but accepts nothing. Linux gives up once its probes would be
/// more than 120 s apart: measured, between 340 and 450 s.
const ORPHAN_STUCK: u64 = 360 * S;
/// Closed by the program, everything acknowledged, but the peer does not end its side (tcp_fin_timeout).
const FIN_TIMEOUT: u64 = 60 * S;
/// The longest time between two probes of a closed window: an orphan's peer is heard often enough.
const PROBE_MOST: u64 = 60 * S;

/// How long to wait for the peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// TCP_USER_TIMEOUT in nanoseconds; 0: the system's default.
    pub user_timeout: u64,
    /// Time of silence until the first keep-alive probe, between probes, and how many.
    pub keep_alive: Option<(u64, u64, u32)>,
    /// The program has closed it.
    pub orphan: bool,
}

/// When things happened.
pub struct Timers {
    /// When the retransmission timer was last restarted.
    pub restarted: u64,
    /// When acknowledged data last advanced, or sending began.
    acked_at: u64,
    /// The same, or when the peer last answered a probe of its closed window.
    progress_at: u64,
    /// When anything last arrived.
    heard_at: u64,
    /// Unanswered keep-alive probes, and when the last one was sent.
    probes: u32,
    probed_at: u64,
    /// Probes of a closed window, and when the last one was sent or the window was found closed; 0: it is open.
    persists: u8,
    persist_from: u64,
    /// Since when only the peer's FIN is missing; 0: more is.
    fin_wait: u64,
    /// A probe is to be sent: of an idle peer or a closed window; of the tail of a flight.
    pub probe: bool,
    pub tail_probe: bool,
    /// The end of what was out when the tail was probed, and whether the probe was old data.
    pub tail: Option<(Seq, bool)>,
    /// The window is too small for a full segment and stayed so: send what fits.
    pub squeeze: bool,
}

impl Timers {
    pub fn new(now: u64) -> Self {
        Self {
            restarted: now,
            acked_at: now,
            progress_at: now,
            heard_at: now,
            probes: 0,
            probed_at: 0,
            persists: 0,
            persist_from: 0,
            fin_wait: 0,
            probe: false,
            tail_probe: false,
            tail: None,
            squeeze: false,
        }
    }
    /// The peer has acknowledged something new.
    pub fn progressed(&mut self, now: u64) {
        (self.acked_at, self.progress_at) = (now, now);
    }
    /// The peer's window is open again, or data fits into it.
    pub fn opened(&mut self) {
        (self.persists, self.persist_from) = (0, 0);
    }
    /// Something waits for the peer's window.
    pub fn closed(&mut self, now: u64) {
        if self.persist_from == 0 {
            self.persist_from = now;
        }
    }
}

impl Connection {
    /// A segment has arrived.
    pub(crate) fn heard(&mut self, now: u64) {
        (self.timers.heard_at, self.timers.probes) = (now, 0);
        // At most probes are in flight: a peer that answers is alive (RFC 1122 section 4.2.2.17).
        if self.limits.user_timeout == 0 && (self.timers.persist_from != 0 || self.send.window == 0) {
            self.timers.progress_at = now;
        }
    }
    /// When anything last arrived.
    pub fn heard_at(&self) -> u64 {
        self.timers.heard_at
    }
    /// Unanswered keep-alive probes.
    pub fn probes(&self) -> u32 {
        self.timers.probes
    }
    /// Number of timeouts in a row.
    pub fn backoff(&self) -> u8 {
        self.rtt.backoff().max(self.timers.persists)
    }

    /// The peer is about to owe us something: time counts from here.
    pub(crate) fn owes_from(&mut self, now: u64) {
        if !self.send.owed() {
            self.timers.progressed(now);
        }
    }

    /// When to give up on a peer that owes us an acknowledgment.
    fn gives_up_at(&self) -> u64 {
        let t = &self.timers;
        if !self.send.owed() || matches!(self.state, State::SynSent | State::SynReceived) {
            return NEVER;
        }
        let most = if self.limits.user_timeout > 0 { self.limits.user_timeout } else { GIVE_UP };
        if self.limits.orphan {
            (t.progress_at + most.min(ORPHAN_SILENT)).min(t.acked_at + ORPHAN_STUCK)
        } else {
            t.progress_at + most
        }
    }

    /// When an orphan has waited long enough for the peer's FIN.
    fn fin_at(&self) -> u64 {
        let waits = self.state == State::FinWait2 && self.limits.orphan && self.timers.fin_wait != 0;
        if waits { self.timers.fin_wait + FIN_TIMEOUT } else { NEVER }
    }
    /// Only the peer's FIN is missing, or the program is gone, from now on.
    pub fn fin_waits(&mut self, now: u64) {
        self.timers.fin_wait = now;
    }

    /// When the next keep-alive probe is due, or the verdict on the last one.
    fn keep_alive_at(&self) -> u64 {
        let Some((idle, interval, _)) = self.limits.keep_alive else { return NEVER };
        match self.state {
            State::Established | State::CloseWait | State::FinWait2 if !self.send.owed() => {}
            _ => return NEVER,
        }
        let t = &self.timers;
        if t.probes == 0 { t.heard_at + idle } else { t.probed_at + interval }
    }

    /// When everything in flight counts as lost.
    fn timeout_at(&self) -> u64 {
        if self.flight.is_empty() { NEVER } else { self.timers.restarted + self.rtt.timeout() }
    }

    /// When the tail of a flight is probed, so that the loss of it is found before the timeout (RFC 8985 section 7).
    fn tail_at(&self) -> u64 {
        let t = &self.timers;
        if self.flight.is_empty()
            || !self.sack
            || t.tail.is_some()
            || self.flight.sacked() > 0
            || self.recovery.phase != Phase::Open
            || matches!(self.state, State::SynSent | State::SynReceived)
        {
            return NEVER;
        }
        let Some(smoothed) = self.rtt.smoothed() else { return NEVER };
        // The acknowledgment of a single segment may be delayed.
        let single = self.outstanding() <= self.send.mss;
        t.restarted.max(self.send.sent_at) + 2 * smoothed + if single { rtt::LEAST } else { 2 * MS }
    }

    /// When a closed window is probed.
    fn persist_at(&self) -> u64 {
        let t = &self.timers;
        if t.persist_from == 0 || !self.flight.is_empty() || !self.send.owed() {
            return NEVER;
        }
        t.persist_from + (self.rtt.timeout() << t.persists.min(16)).min(PROBE_MOST)
    }

    /// When to come again at the latest.
    pub fn next_deadline(&self) -> u64 {
        if matches!(self.state, State::Closed | State::TimeWait) {
            return match self.state {
                _ if self.reset => 0,
                State::Closed => NEVER,
                _ => self.receive.delayed_until(),
            };
        }
        let flight = if self.flight.is_empty() {
            self.persist_at()
        } else {
            self.timeout_at().min(self.tail_at()).min(self.rack.due())
        };
        let idle = self.keep_alive_at().min(self.fin_at());
        flight.min(self.send.held_until()).min(idle).min(self.gives_up_at()).min(self.receive.delayed_until())
    }

    /// Does what is due. What there is to send after that comes from [`Connection::transmit`].
    pub fn on_timer(&mut self, now: u64, pool: &mut Pool) {
        if matches!(self.state, State::Closed | State::TimeWait) {
            return;
        }
        if now >= self.gives_up_at().min(self.fin_at()) {
            return self.give_up(pool);
        }
        if now >= self.keep_alive_at() {
            let most = self.limits.keep_alive.map_or(0, |k| k.2);
            if self.timers.probes >= most {
                return self.give_up(pool);
            }
            self.timers.probes += 1;
            (self.timers.probed_at, self.timers.probe) = (now, true);
        }
        if now >= self.send.held_until() {
            self.send.hold(false, now);
        }
        if now >= self.persist_at() {
            (self.timers.persist_from, self.timers.persists) = (now, self.timers.persists.saturating_add(1));
            self.timers.squeeze = self.send.admitted() > 0;
            self.timers.probe = !self.timers.squeeze;
        }
        if self.flight.is_empty() {
            return;
        }
        if now >= self.rack.due() {
            self.find_lost(now);
        }
        if now >= self.timeout_at() {
            self.rtt.back_off();
            self.timers.restarted = now;
            (self.timers.tail, self.timers.tail_probe) = (None, false);
            self.lose_all(now);
        } else if now >= self.tail_at() {
            self.timers.tail_probe = true;
        }
    }

    fn give_up(&mut self, pool: &mut Pool) {
        self.reset = true;
        self.close(End::TimedOut, pool);
    }

    /// When it gives up, for a peer that does not answer during the handshake.
    pub fn expire(&mut self, pool: &mut Pool) {
        self.reset = self.state == State::SynReceived;
        self.close(End::TimedOut, pool);
    }
}
