//! How much may be on its way: the congestion window.

mod cubic;
mod reno;

use cubic::Cubic;
use reno::Reno;

/// The initial window in segments (RFC 6928).
const INITIAL: u32 = 10;

/// The window, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub size: u32,
    /// Below this it grows exponentially.
    pub threshold: u32,
    pub mss: u32,
}

impl Window {
    pub fn new(mss: u32) -> Self {
        Self { size: INITIAL * mss, threshold: u32::MAX, mss }
    }
    /// The initial window.
    pub fn initial(&self) -> u32 {
        INITIAL * self.mss
    }
    pub fn slow_start(&self) -> bool {
        self.size < self.threshold
    }
    /// Grows exponentially, up to the threshold. Returns what is left of `acked`.
    fn start(&mut self, acked: u32) -> u32 {
        let grown = acked.min(self.threshold - self.size);
        self.size = self.size.saturating_add(grown);
        acked - grown
    }
}

/// An algorithm of congestion control. It moves the window; recovery and timeouts are the connection's.
pub trait Congestion {
    /// Its name in TCP_CONGESTION.
    const NAME: &'static str;
    /// `acked` bytes arrived while the window was what limited sending.
    fn acknowledged(&mut self, w: &mut Window, acked: u32, now: u64, rtt: u64);
    /// Something was lost. Returns the new threshold.
    fn lost(&mut self, w: &Window) -> u32;
    /// For `pause` nothing was sent, which does not count as time without a loss.
    fn paused(&mut self, _pause: u64) {}
}

/// The algorithm of a connection.
#[derive(Clone, Copy)]
pub enum Algorithm {
    Reno(Reno),
    Cubic(Cubic),
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Cubic(Cubic::default())
    }
}

impl Algorithm {
    /// The names that [`by_name`](Self::by_name) knows, the default first.
    pub const NAMES: [&'static str; 2] = [Cubic::NAME, Reno::NAME];

    pub fn by_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            _ if name == Reno::NAME.as_bytes() => Self::Reno(Reno::default()),
            _ if name == Cubic::NAME.as_bytes() => Self::Cubic(Cubic::default()),
            _ => return None,
        })
    }
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reno(_) => Reno::NAME,
            Self::Cubic(_) => Cubic::NAME,
        }
    }
    pub fn acknowledged(&mut self, w: &mut Window, acked: u32, now: u64, rtt: u64) {
        match self {
            Self::Reno(a) => a.acknowledged(w, acked, now, rtt),
            Self::Cubic(a) => a.acknowledged(w, acked, now, rtt),
        }
    }
    pub fn lost(&mut self, w: &Window) -> u32 {
        match self {
            Self::Reno(a) => a.lost(w),
            Self::Cubic(a) => a.lost(w),
        }
    }
    pub fn paused(&mut self, pause: u64) {
        match self {
            Self::Reno(a) => a.paused(pause),
            Self::Cubic(a) => a.paused(pause),
        }
    }
}
