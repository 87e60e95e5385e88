//! How long a connection waits for its peer: unanswered retransmissions and probes, orphans, keep-alive.

use super::conn::{Conn, Owner};
use libos_base::Errno;
use libos_base::time::NS;
use smoltcp::socket::tcp::State;

/// What was sent is not acknowledged, or no probe answered, for this long (tcp_retries2: 924.6 s).
const GIVE_UP: u64 = 924 * NS;
/// The same once the program has closed it (tcp_orphan_retries: 8 repetitions, 0.2 + 0.4 + ... + 51.2 s).
const ORPHAN_SILENT: u64 = 102 * NS;
/// Closed by the program, and the peer answers every probe but takes nothing. Linux gives up once its probes would be
/// more than 120 s apart: between 340 and 450 s, measured.
const ORPHAN_STUCK: u64 = 360 * NS;
/// Closed by the program, everything acknowledged, and the peer does not end its side (tcp_fin_timeout).
const FIN_TIMEOUT: u64 = 60 * NS;

/// Our FIN is out, or about to be, and not acknowledged.
fn fin_unacknowledged(state: State) -> bool {
    matches!(state, State::FinWait1 | State::Closing | State::LastAck)
}

impl Conn {
    /// Something is about to be owed: time counts from here.
    pub fn owes_from(&mut self, now: u64) {
        let t = self.tcp();
        if t.send_queue() == 0 && !fin_unacknowledged(t.state()) {
            (self.acked_at, self.progress_at) = (now, now);
        }
    }

    /// Notes what the peer has acknowledged, and when. Before anything new is sent. Gives the state.
    pub fn progress(&mut self, now: u64) -> State {
        let t = self.tcp();
        let (state, queued) = (t.state(), t.send_queue() as u64);
        let acked = self.enqueued - queued;
        if acked != self.acked || queued == 0 && !fin_unacknowledged(state) {
            self.acked = acked;
            (self.acked_at, self.progress_at) = (now, now);
        } else if queued > 0
            && self.opts.user_timeout == 0
            && self.high.is_some_and(|h| h.wrapping_sub(self.sequence(acked)) <= 1)
        {
            // At most a probe is in flight: the window is closed. A peer that answers is there (RFC 1122 section
            // 4.2.2.17).
            self.progress_at = self.progress_at.max(self.heard_at);
        }
        if state == State::FinWait2 && self.owner == Owner::Orphan && self.deadline == 0 {
            self.deadline = now + FIN_TIMEOUT;
        }
        state
    }

    /// When a peer that owes us an acknowledgment is given up.
    fn gives_up_at(&self) -> u64 {
        let user = u64::from(self.opts.user_timeout) * 1_000_000;
        let most = if user > 0 { user } else { GIVE_UP };
        if self.owner == Owner::Orphan {
            (self.progress_at + most.min(ORPHAN_SILENT)).min(self.acked_at + ORPHAN_STUCK)
        } else {
            self.progress_at + most
        }
    }

    /// Gives up what has taken too long.
    pub fn drop_if_too_late(&mut self, now: u64, state: State) {
        if self.deadline != 0 && now >= self.deadline && state != State::Closed {
            match self.owner {
                // A deferred accept whose time is up is handed out by `established`.
                Owner::Half(_) if state != State::SynReceived => self.deadline = 0,
                _ => self.abort(Some(Errno::ETIMEDOUT)),
            }
            return;
        }
        if !matches!(state, State::Closed | State::TimeWait | State::SynSent | State::SynReceived)
            && now >= self.gives_up_at()
            && (self.enqueued != self.acked || fin_unacknowledged(state))
        {
            self.abort(Some(Errno::ETIMEDOUT));
            return;
        }
        if let Some(at) = self.keepalive_at()
            && now >= at
        {
            if self.probes >= self.opts.keep_cnt {
                self.abort(Some(Errno::ETIMEDOUT));
            } else {
                self.probes += 1;
                self.probed_at = now;
                if self.probes == 1 {
                    // smoltcp's timer fires at once, and then every interval until something is heard.
                    let every = smoltcp::time::Duration::from_secs(u64::from(self.opts.keep_intvl));
                    self.tcp_mut().set_keep_alive(Some(every));
                }
            }
        }
    }

    /// Data waits and no timer of smoltcp's runs: the peer took back a window that data was in flight for (Linux does
    /// that when its memory is short), and the retransmission that was due then found no room. A keep-alive probe asks
    /// for the window; the answer opens it, or starts the window probes. Whether one is due.
    pub fn ask_for_window(&mut self, now: u64) -> bool {
        let stuck = self.enqueued != self.acked
            && self.probes == 0
            && !matches!(self.tcp().state(), State::Closed | State::TimeWait);
        if stuck {
            (self.probes, self.probed_at) = (1, now);
            self.tcp_mut().set_keep_alive(Some(smoltcp::time::Duration::from_secs(1)));
        }
        stuck
    }

    /// When the next keep-alive probe, or the verdict on the last one, is due.
    fn keepalive_at(&self) -> Option<u64> {
        if !self.opts.keepalive
            || self.tcp().send_queue() > 0
            || !matches!(self.tcp().state(), State::Established | State::CloseWait | State::FinWait2)
        {
            return None;
        }
        Some(if self.probes == 0 {
            self.heard_at + u64::from(self.opts.keep_idle) * NS
        } else {
            self.probed_at + u64::from(self.opts.keep_intvl) * NS
        })
    }

    /// The earliest of smoltcp's timers and ours, after [`progress`](Self::progress) and [`change`](Self::change).
    pub fn next_timer(&self, smoltcp: u64) -> u64 {
        let mut at = smoltcp;
        if self.deadline != 0 {
            at = at.min(self.deadline);
        }
        if self.cork_at != 0 && !self.corked.is_empty() {
            at = at.min(self.cork_at);
        }
        if self.enqueued != self.acked || fin_unacknowledged(self.prev) {
            at = at.min(self.gives_up_at());
        }
        if let Some(k) = self.keepalive_at() {
            at = at.min(k);
        }
        at
    }
}
