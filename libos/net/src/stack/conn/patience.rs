//! How long a connection waits for its peer: unanswered retransmissions and probes, orphans, keep-alive.

use super::{Conn, Owner};
use libos_base::Errno;
use libos_base::time::NS;
use smoltcp::socket::tcp::State;

/// Sent data was not acknowledged, or no probe answered, for this long (tcp_retries2: 924.6 s).
const GIVE_UP: u64 = 924 * NS;
/// The same once the program has closed the connection (tcp_orphan_retries: 8 repetitions, 0.2 + 0.4 + ... + 51.2 s).
const ORPHAN_SILENT: u64 = 102 * NS;
/// Closed by the program, and the peer answers every probe but accepts nothing. Linux gives up once its probes would be
/// more than 120 s apart: measured, between 340 and 450 s.
const ORPHAN_STUCK: u64 = 360 * NS;
/// Closed by the program, everything acknowledged, but the peer does not end its side (tcp_fin_timeout).
const FIN_TIMEOUT: u64 = 60 * NS;

/// Our FIN is out, or about to be, and not acknowledged.
fn fin_unacknowledged(state: State) -> bool {
    matches!(state, State::FinWait1 | State::Closing | State::LastAck)
}

/// What a connection is waiting for: since when, and until when at most.
pub struct Patience {
    /// When acknowledged data last advanced, or sending began.
    acked_at: u64,
    /// The same, or when the peer last answered a probe of its closed window.
    progress_at: u64,
    acked: u64,
    /// When anything last arrived.
    heard_at: u64,
    /// Unanswered keep-alive probes, and when the last one was sent.
    probes: u32,
    probed_at: u64,
    /// When a bounded state ends: handshake, deferred accept, FIN-WAIT-2 of an orphan. 0: none.
    deadline: u64,
    made_at: u64,
}

impl Patience {
    /// Starts now.
    pub fn new(now: u64) -> Self {
        Self {
            acked_at: now,
            progress_at: now,
            acked: 0,
            heard_at: now,
            probes: 0,
            probed_at: 0,
            deadline: 0,
            made_at: now,
        }
    }
    /// Sets when the state ends; 0: not by itself.
    pub fn set_deadline(&mut self, at: u64) {
        self.deadline = at;
    }
    /// When the connection was created.
    pub fn made_at(&self) -> u64 {
        self.made_at
    }
    /// When anything last arrived.
    pub fn heard_at(&self) -> u64 {
        self.heard_at
    }
    /// Unanswered keep-alive probes.
    pub fn probes(&self) -> u32 {
        self.probes
    }
    /// The peer has answered, or the connection has progressed.
    pub fn progressed(&mut self, now: u64) {
        (self.acked_at, self.progress_at) = (now, now);
    }
}

impl Conn {
    /// A segment has arrived.
    pub fn heard(&mut self, now: u64) {
        if self.patience.probes > 0 {
            // The answer to a keep-alive probe: back to waiting until the connection is idle.
            self.stop_probing();
        }
        self.patience.heard_at = now;
    }

    /// Sends no keep-alive probes until it is idle again.
    pub fn stop_probing(&mut self) {
        self.tcp_mut().set_keep_alive(None);
        self.patience.probes = 0;
    }

    /// The peer is about to owe us something: time counts from here.
    pub fn owes_from(&mut self, now: u64) {
        let t = self.tcp();
        if t.send_queue() == 0 && !fin_unacknowledged(t.state()) {
            self.patience.progressed(now);
        }
    }

    /// Records what the peer has acknowledged, and when. To be called before anything new is sent. Returns the state.
    pub fn progress(&mut self, now: u64) -> State {
        let t = self.tcp();
        let (state, queued) = (t.state(), t.send_queue() as u64);
        let acked = self.send.acked(queued as usize);
        if acked != self.patience.acked || queued == 0 && !fin_unacknowledged(state) {
            self.patience.acked = acked;
            self.patience.progressed(now);
        } else if queued > 0
            && self.opts.user_timeout == 0
            && self.send.high().is_some_and(|h| h.wrapping_sub(self.send.sequence(acked)) <= 1)
        {
            // At most a probe is in flight: the window is closed. A peer that answers is alive (RFC 1122 section
            // 4.2.2.17).
            self.patience.progress_at = self.patience.progress_at.max(self.patience.heard_at);
        }
        if state == State::FinWait2 && self.owner == Owner::Orphan && self.patience.deadline == 0 {
            self.patience.deadline = now + FIN_TIMEOUT;
        }
        state
    }

    /// When to give up on a peer that owes us an acknowledgment.
    fn gives_up_at(&self) -> u64 {
        let user = u64::from(self.opts.user_timeout) * 1_000_000;
        let most = if user > 0 { user } else { GIVE_UP };
        if self.owner == Owner::Orphan {
            (self.patience.progress_at + most.min(ORPHAN_SILENT)).min(self.patience.acked_at + ORPHAN_STUCK)
        } else {
            self.patience.progress_at + most
        }
    }

    /// Gives up what has taken too long.
    pub fn drop_if_too_late(&mut self, now: u64, state: State) {
        if self.patience.deadline != 0 && now >= self.patience.deadline && state != State::Closed {
            match self.owner {
                // `established` hands out a deferred accept whose time is up.
                Owner::Half(_) if state != State::SynReceived => self.patience.deadline = 0,
                _ => self.abort(Some(Errno::ETIMEDOUT)),
            }
            return;
        }
        if !matches!(state, State::Closed | State::TimeWait | State::SynSent | State::SynReceived)
            && now >= self.gives_up_at()
            && (self.send.owed(self.patience.acked) || fin_unacknowledged(state))
        {
            self.abort(Some(Errno::ETIMEDOUT));
            return;
        }
        if let Some(at) = self.keepalive_at()
            && now >= at
        {
            if self.patience.probes >= self.opts.keep_cnt {
                self.abort(Some(Errno::ETIMEDOUT));
            } else {
                self.patience.probes += 1;
                self.patience.probed_at = now;
                if self.patience.probes == 1 {
                    // smoltcp's timer fires at once, and then at every interval until something is heard.
                    let every = smoltcp::time::Duration::from_secs(u64::from(self.opts.keep_intvl));
                    self.tcp_mut().set_keep_alive(Some(every));
                }
            }
        }
    }

    /// Data is waiting and none of smoltcp's timers runs: the peer withdrew a window for which data was in flight
    /// (Linux does that when short of memory), and the retransmission then due found no room. A keep-alive probe asks
    /// for the window; the answer opens it, or starts the window probes. Returns whether one is due.
    pub fn ask_for_window(&mut self, now: u64) -> bool {
        let stuck = self.send.owed(self.patience.acked)
            && self.patience.probes == 0
            && !matches!(self.tcp().state(), State::Closed | State::TimeWait);
        if stuck {
            (self.patience.probes, self.patience.probed_at) = (1, now);
            self.tcp_mut().set_keep_alive(Some(smoltcp::time::Duration::from_secs(1)));
        }
        stuck
    }

    /// When the next keep-alive probe is due, or the verdict on the last one.
    fn keepalive_at(&self) -> Option<u64> {
        if !self.opts.keepalive
            || self.tcp().send_queue() > 0
            || !matches!(self.tcp().state(), State::Established | State::CloseWait | State::FinWait2)
        {
            return None;
        }
        Some(if self.patience.probes == 0 {
            self.patience.heard_at + u64::from(self.opts.keep_idle) * NS
        } else {
            self.patience.probed_at + u64::from(self.opts.keep_intvl) * NS
        })
    }

    /// The earliest of smoltcp's timers and ours, after [`progress`](Self::progress) and [`change`](Self::change).
    pub fn next_timer(&self, smoltcp: u64) -> u64 {
        let mut at = smoltcp.min(self.send.cork_ends());
        if self.patience.deadline != 0 {
            at = at.min(self.patience.deadline);
        }
        if self.send.owed(self.patience.acked) || fin_unacknowledged(self.prev) {
            at = at.min(self.gives_up_at());
        }
        if let Some(k) = self.keepalive_at() {
            at = at.min(k);
        }
        at
    }
}
