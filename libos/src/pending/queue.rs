//! Pending signals of a thread or of the process.
//!
//! What a program queues is counted against RLIMIT_SIGPENDING, for all queues together. A timer has one entry, which
//! was counted and given room when the timer was made: while it is pending, the timer counts further expiries.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::*};
use libos_base::abi::signal::{SIGRTMIN, SigSet, code};
use libos_base::limits::SIGPENDING;
use libos_base::{Errno, Result};

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
        Self { signo, code: code::KERNEL, ..Self::default() }
    }
    /// From a program thread, by kill (`SI_USER`) or tkill.
    pub fn user(signo: i32, code: i32) -> Self {
        // Sender: our one process, and its real user.
        let uid = u64::from(libos_base::cred::real().0);
        Self { signo, code, word16: u64::from(libos_base::thread::PID) | uid << 32, ..Self::default() }
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
    /// From what a program wrote for rt_sigqueueinfo.
    pub fn from_bytes(b: &[u8; 128]) -> Self {
        let i = |at: usize| i32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let w = |at: usize| (i(at) as u32 as u64) | (i(at + 4) as u32 as u64) << 32;
        Self { signo: i(0), errno: i(4), code: i(8), word16: w(16), word24: w(24) }
    }
}

/// A timer whose signal is in a queue.
pub trait Expiry: Send + Sync {
    /// The signal of setting `number` is being taken: returns the expiries beyond the first that it stands for; `None`:
    /// the timer was set again or deleted since, and the signal is void. No lock is held.
    fn taken(&self, number: u32) -> Option<i32>;
    /// The signal was dropped because it is ignored now. No lock is held.
    fn ignored(&self, number: u32);
}

/// A pending signal; if a timer sent it, also the timer and the number of its setting.
pub struct Entry {
    pub info: Info,
    pub timer: Option<(Arc<dyn Expiry>, u32)>,
}

/// Counted against RLIMIT_SIGPENDING: entries that are not timers', and timers.
static COUNTED: AtomicUsize = AtomicUsize::new(0);

/// Counts one more: false at the limit, unless `beyond` exempts it.
fn count(beyond: bool) -> bool {
    let more = |n| (beyond || (n as u64) < SIGPENDING.soft()).then_some(n + 1);
    COUNTED.fetch_update(Relaxed, Relaxed, more).is_ok()
}

/// Pending signals in order of arrival. A standard signal is pending once, not counting those of timers.
pub struct Queue {
    entries: Vec<Entry>,
    /// Timers whose signals come here: there is room for one entry for each.
    timers: usize,
    set: SigSet,
}

impl Queue {
    /// Empty.
    pub const fn new() -> Self {
        Self { entries: Vec::new(), timers: 0, set: SigSet::EMPTY }
    }

    /// Makes room for the entry of one more timer. EAGAIN: too many, or no memory.
    pub fn add_timer(&mut self) -> Result<()> {
        self.entries.try_reserve(self.timers + 1).map_err(|_| Errno::EAGAIN)?;
        if !count(false) {
            return Err(Errno::EAGAIN);
        }
        self.timers += 1;
        Ok(())
    }

    /// A timer that had been added is gone.
    pub fn remove_timer(&mut self) {
        self.timers -= 1;
        COUNTED.fetch_sub(1, Relaxed);
    }

    /// Adds a timer's signal, or gives the pending one the new number.
    pub fn push_timer(&mut self, info: Info, timer: Arc<dyn Expiry>, number: u32) {
        let same = |e: &&mut Entry| e.timer.as_ref().is_some_and(|t| Arc::ptr_eq(&t.0, &timer));
        if let Some(e) = self.entries.iter_mut().find(same) {
            e.timer = Some((timer, number));
            return;
        }
        // Only for a timer that is being deleted may there be no room.
        if self.entries.try_reserve(1).is_ok() {
            self.entries.push(Entry { info, timer: Some((timer, number)) });
            self.set = self.set.union(SigSet::of(info.signo));
        }
    }

    /// What is pending.
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// Adds a signal. EAGAIN: no room for another real-time signal with details. Other signals are never
    /// lost: without room they lose their details (Linux's `__send_signal_locked`).
    pub fn push(&mut self, info: Info) -> Result<()> {
        let rt = info.signo >= SIGRTMIN;
        if !rt && self.set.has(info.signo) {
            return Ok(());
        }
        // Standard signals from the kernel and from kill are exempt from the limit.
        let counted = count(!rt && info.code >= 0);
        if counted && self.entries.try_reserve(self.timers + 1).is_ok() {
            self.entries.push(Entry { info, timer: None });
        } else {
            if counted {
                COUNTED.fetch_sub(1, Relaxed);
            }
            if rt && info.code != code::USER && info.code != code::KERNEL {
                return Err(Errno::EAGAIN);
            }
        }
        self.set = self.set.union(SigSet::of(info.signo));
        Ok(())
    }

    /// Takes the next of the signals in `among`.
    pub fn take(&mut self, among: SigSet) -> Option<Entry> {
        let signo = SigSet(self.set.0 & among.0).first()?;
        let at = self.entries.iter().position(|e| e.info.signo == signo);
        let bare = || Entry { info: Info { signo, ..Info::default() }, timer: None };
        let entry = at.map_or_else(bare, |at| self.entries.remove(at));
        if at.is_some() && entry.timer.is_none() {
            COUNTED.fetch_sub(1, Relaxed);
        }
        if !self.entries.iter().any(|e| e.info.signo == signo) {
            self.set = self.set.without(SigSet::of(signo));
        }
        Some(entry)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let plain = self.entries.iter().filter(|e| e.timer.is_none()).count();
        COUNTED.fetch_sub(plain, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libos_base::abi::signal::*;

    struct Nothing;
    impl Expiry for Nothing {
        fn taken(&self, _: u32) -> Option<i32> {
            Some(0)
        }
        fn ignored(&self, _: u32) {}
    }

    fn user(signo: i32) -> Info {
        Info { signo, code: -1, ..Info::default() }
    }

    #[test]
    fn standard_signals_collapse_and_real_time_ones_queue_in_order() {
        let mut q = Queue::new();
        for (signo, v) in [(SIGTERM, 1), (SIGTERM, 2), (40, 3), (40, 4), (35, 5)] {
            q.push(Info { signo, word24: v, ..Info::default() }).unwrap();
        }
        let all = SigSet(!0);
        let got: Vec<_> = std::iter::from_fn(|| q.take(all)).map(|e| (e.info.signo, e.info.word24)).collect();
        assert_eq!(got, [(SIGTERM, 1), (35, 5), (40, 3), (40, 4)]);
        assert_eq!(q.set(), SigSet::EMPTY);
    }

    #[test]
    fn take_leaves_blocked_ones() {
        let mut q = Queue::new();
        q.push(Info::kernel(SIGHUP)).unwrap();
        q.push(Info::kernel(SIGUSR1)).unwrap();
        assert_eq!(q.take(SigSet::of(SIGUSR1)).unwrap().info.signo, SIGUSR1);
        assert!(q.take(SigSet::of(SIGUSR1)).is_none());
        assert_eq!(q.set(), SigSet::of(SIGHUP));
    }

    #[test]
    fn a_timer_is_pending_once_however_often_it_expires() {
        let mut q = Queue::new();
        let timers: [Arc<dyn Expiry>; 2] = [Arc::new(Nothing), Arc::new(Nothing)];
        timers.iter().for_each(|_| q.add_timer().unwrap());
        for number in 0..1000 {
            q.push_timer(user(SIGUSR1), timers[0].clone(), number);
            q.push_timer(user(40), timers[1].clone(), 7);
        }
        // A timer's standard signal is pending besides one from elsewhere; but then no second one from elsewhere is
        // added.
        q.push(user(SIGUSR1)).unwrap();
        let got: Vec<_> =
            std::iter::from_fn(|| q.take(SigSet(!0))).map(|e| (e.info.signo, e.timer.unwrap().1)).collect();
        assert_eq!(got, [(SIGUSR1, 999), (40, 7)]);
        q.push(user(SIGUSR1)).unwrap();
        q.push_timer(user(SIGUSR1), timers[0].clone(), 1);
        assert_eq!(std::iter::from_fn(|| q.take(SigSet(!0))).count(), 2);
        timers.iter().for_each(|_| q.remove_timer());
    }

    /// The limit is global: this is the only test that reaches it, and it gives everything back.
    #[test]
    fn the_limit_holds_for_all_queues_but_not_for_what_must_not_get_lost() {
        let (mut q, mut other) = (Queue::new(), Queue::new());
        while q.push(user(50)).is_ok() {}
        assert!(q.entries.len() > 1000);
        assert_eq!((other.push(user(51)), other.add_timer()), (Err(Errno::EAGAIN), Err(Errno::EAGAIN)));
        assert_eq!(other.push(Info::kernel(SIGTERM)), Ok(()));
        // kill() sends a number: it arrives, without details.
        assert_eq!(other.push(Info { signo: 52, ..Info::default() }), Ok(()));
        assert!(other.set().has(52) && other.set().has(SIGTERM) && other.entries.len() == 1);
        q.take(SigSet(!0));
        drop(q);
        assert_eq!(other.push(user(51)), Ok(()));
    }

    #[test]
    fn siginfo_survives_the_round_trip() {
        let i = Info { signo: 44, errno: 1, code: -1, word16: 0x2_0000_0001, word24: u64::MAX - 5 };
        assert_eq!(Info::from_bytes(&i.to_bytes()), i);
    }
}
