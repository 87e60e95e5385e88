//! Reno (RFC 5681): a segment more each round trip, half after a loss.

use super::{Congestion, Window};

/// See the module.
#[derive(Clone, Copy, Default)]
pub struct Reno {
    /// Bytes acknowledged since the window last grew.
    counted: u32,
}

impl Congestion for Reno {
    const NAME: &'static str = "reno";

    fn acknowledged(&mut self, w: &mut Window, mut acked: u32, _: u64, _: u64) {
        if w.slow_start() {
            acked = w.start(acked);
        }
        self.counted = self.counted.saturating_add(acked);
        if self.counted >= w.size {
            self.counted -= w.size;
            w.size = w.size.saturating_add(w.mss);
        }
    }

    fn lost(&mut self, w: &Window) -> u32 {
        self.counted = 0;
        (w.size / 2).max(2 * w.mss)
    }
}
