//! Pending signals of a thread or of the process.

use super::set::{SIGRTMIN, SigSet};
use alloc::vec::Vec;
use libos_base::{Errno, Result};

/// `si_code` values.
pub mod code {
    pub const SI_USER: i32 = 0;
    pub const SI_KERNEL: i32 = 0x80;
    pub const SI_QUEUE: i32 = -1;
    pub const SI_TIMER: i32 = -2;
    pub const SI_TKILL: i32 = -6;
}

/// A siginfo_t: all variants that this kernel makes fit the first words of the union.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Info {
    pub signo: i32,
    pub errno: i32,
    pub code: i32,
    /// Bytes 16..24: pid and uid, or timer and overrun, or the fault address.
    pub word16: u64,
    /// Bytes 24..32: the value.
    pub word24: u64,
}

impl Info {
    /// From the kernel itself.
    pub fn kernel(signo: i32) -> Self {
        Self { signo, code: code::SI_KERNEL, ..Self::default() }
    }
    /// From a program thread, by kill (`SI_USER`) or tkill.
    pub fn user(signo: i32, code: i32) -> Self {
        // Sender: our one process, user 0.
        Self { signo, code, word16: crate::sched::PID as u64, ..Self::default() }
    }
    /// From a fault at `addr`.
    pub fn fault(signo: i32, code: i32, addr: usize) -> Self {
        Self { signo, code, word16: addr as u64, ..Self::default() }
    }
    /// As the program sees it.
    pub fn to_bytes(self) -> [u8; 128] {
        let mut b = [0; 128];
        b[0..4].copy_from_slice(&self.signo.to_le_bytes());
        b[4..8].copy_from_slice(&self.errno.to_le_bytes());
        b[8..12].copy_from_slice(&self.code.to_le_bytes());
        b[16..24].copy_from_slice(&self.word16.to_le_bytes());
        b[24..32].copy_from_slice(&self.word24.to_le_bytes());
        b
    }
    /// What a program wrote for rt_sigqueueinfo.
    pub fn from_bytes(b: &[u8; 128]) -> Self {
        let i = |at: usize| i32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let w = |at: usize| (i(at) as u32 as u64) | (i(at + 4) as u32 as u64) << 32;
        Self { signo: i(0), errno: i(4), code: i(8), word16: w(16), word24: w(24) }
    }
}

/// Real-time signals that may wait at one place (RLIMIT_SIGPENDING's part in Linux).
pub const QUEUE_MAX: usize = 4096;

/// Pending signals in the order they came. A standard signal is pending once.
#[derive(Default)]
pub struct Queue {
    infos: Vec<Info>,
    set: SigSet,
}

impl Queue {
    /// Empty.
    pub const fn new() -> Self {
        Self { infos: Vec::new(), set: SigSet::EMPTY }
    }

    /// What is pending.
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// Adds a signal. EAGAIN: no room for another real-time signal. A standard signal is never lost: without memory it
    /// loses its details.
    pub fn push(&mut self, info: Info) -> Result<()> {
        let rt = info.signo >= SIGRTMIN;
        if !rt && self.set.has(info.signo) {
            return Ok(());
        }
        if rt && self.infos.len() >= QUEUE_MAX {
            return Err(Errno::EAGAIN);
        }
        match self.infos.try_reserve(1) {
            Ok(()) => self.infos.push(info),
            Err(_) if rt => return Err(Errno::EAGAIN),
            Err(_) => {}
        }
        self.set = self.set.union(SigSet::of(info.signo));
        Ok(())
    }

    /// Takes the next of the signals in `among`.
    pub fn take(&mut self, among: SigSet) -> Option<Info> {
        let signo = SigSet(self.set.0 & among.0).first()?;
        let at = self.infos.iter().position(|i| i.signo == signo);
        let info = at.map_or(Info { signo, ..Info::default() }, |at| self.infos.remove(at));
        if !self.infos.iter().any(|i| i.signo == signo) {
            self.set = self.set.without(SigSet::of(signo));
        }
        Some(info)
    }

    /// Drops what is pending of `set`.
    pub fn flush(&mut self, set: SigSet) {
        self.infos.retain(|i| !set.has(i.signo));
        self.set = self.set.without(set);
    }
}

#[cfg(test)]
mod tests {
    use super::super::set::*;
    use super::*;

    #[test]
    fn standard_signals_collapse_and_real_time_ones_queue_in_order() {
        let mut q = Queue::new();
        for (signo, v) in [(SIGTERM, 1), (SIGTERM, 2), (40, 3), (40, 4), (35, 5)] {
            q.push(Info { signo, word24: v, ..Info::default() }).unwrap();
        }
        let all = SigSet(!0);
        let got: Vec<_> = std::iter::from_fn(|| q.take(all)).map(|i| (i.signo, i.word24)).collect();
        assert_eq!(got, [(SIGTERM, 1), (35, 5), (40, 3), (40, 4)]);
        assert_eq!(q.set(), SigSet::EMPTY);
    }

    #[test]
    fn take_leaves_blocked_ones_and_flush_forgets() {
        let mut q = Queue::new();
        q.push(Info::kernel(SIGHUP)).unwrap();
        q.push(Info::kernel(SIGUSR1)).unwrap();
        assert_eq!(q.take(SigSet::of(SIGUSR1)).unwrap().signo, SIGUSR1);
        assert!(q.take(SigSet::of(SIGUSR1)).is_none());
        q.flush(SigSet::of(SIGHUP));
        assert!(q.take(SigSet(!0)).is_none());
    }

    #[test]
    fn the_queue_is_bounded_for_real_time_signals_only() {
        let mut q = Queue::new();
        for _ in 0..QUEUE_MAX {
            q.push(Info::kernel(50)).unwrap();
        }
        assert_eq!(q.push(Info::kernel(50)), Err(Errno::EAGAIN));
        assert_eq!(q.push(Info::kernel(SIGTERM)), Ok(()));
    }

    #[test]
    fn siginfo_survives_the_round_trip() {
        let i = Info { signo: 44, errno: 1, code: code::SI_QUEUE, word16: 0x2_0000_0001, word24: u64::MAX - 5 };
        assert_eq!(Info::from_bytes(&i.to_bytes()), i);
    }
}
