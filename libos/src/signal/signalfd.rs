//! signalfd: signals that can be read.

use crate::sched::current;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};
use libos_base::abi::{SigSet, SignalfdFlags, SignalfdInfo};
use libos_base::file::{Description, FileLike};
use libos_base::io::Sink;
use libos_base::poll::{Events, Pollee, block_on};
use libos_base::sync::{SpinLock, class};
use libos_base::thread::FOREVER;
use libos_base::zerocopy::IntoBytes;
use libos_base::{Errno, Result};

const RECORD: usize = size_of::<SignalfdInfo>();

/// An open signalfd. It reads what is pending for the reading thread and the process, as on Linux.
pub struct SignalFd {
    mask: AtomicU64,
    description: Description,
    pollee: Pollee,
}

static ALL: SpinLock<Vec<Weak<SignalFd>>> = SpinLock::new(class::SIGNALFDS, Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A signal was queued somewhere.
pub(super) fn posted() {
    if COUNT.load(SeqCst) == 0 {
        return;
    }
    let mut i = 0;
    loop {
        let fd = match ALL.lock().get(i) {
            Some(w) => w.upgrade(),
            None => return,
        };
        if let Some(fd) = fd {
            fd.pollee.notify(Events::IN | Events::RDNORM);
        }
        i += 1;
    }
}

impl SignalFd {
    /// Makes a signalfd. ENOMEM.
    pub fn new(mask: SigSet, flags: SignalfdFlags) -> Result<Arc<Self>> {
        let fd = Arc::new(Self {
            mask: AtomicU64::new(mask.without(SigSet::UNBLOCKABLE).0),
            description: Description::both_ways(flags.bits()),
            pollee: Pollee::new(),
        });
        let mut all = ALL.lock();
        all.retain(|w| w.strong_count() > 0);
        all.try_reserve(1)?;
        all.push(Arc::downgrade(&fd));
        COUNT.store(all.len(), SeqCst);
        Ok(fd)
    }

    /// Changes the mask: signalfd on an existing descriptor.
    pub fn set_mask(&self, mask: SigSet) {
        self.mask.store(mask.without(SigSet::UNBLOCKABLE).0, SeqCst);
        self.pollee.notify(Events::IN | Events::RDNORM);
    }

    fn mask(&self) -> SigSet {
        SigSet(self.mask.load(SeqCst))
    }
}

fn record(i: &super::Info) -> SignalfdInfo {
    let (low, high) = (i.word16 as u32, (i.word16 >> 32) as u32);
    let of_timer = i.code == super::code::TIMER;
    let (pid, uid, tid, overrun) = if of_timer { (0, 0, low, high) } else { (low, high, 0, 0) };
    let (int, ptr) = (i.word24 as i32, i.word24);
    let (signo, errno, code) = (i.signo, i.errno, i.code);
    SignalfdInfo { signo, errno, code, pid, uid, tid, overrun, int, ptr, ..SignalfdInfo::default() }
}

impl FileLike for SignalFd {
    fn description(&self) -> &Description {
        &self.description
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        if dst.left() < RECORD {
            return Err(Errno::EINVAL);
        }
        let nonblock = self.description.nonblock();
        let first =
            block_on(&self.pollee, nonblock, FOREVER, Errno::EAGAIN, || super::take_pending(self.mask()).map(Ok))?;
        dst.put_whole(record(&first).as_bytes())?;
        let mut n = RECORD;
        while dst.left() >= RECORD
            && let Some(i) = super::take_pending(self.mask())
        {
            // As on Linux, a signal that cannot be told is gone.
            if dst.put_whole(record(&i).as_bytes()).is_err() {
                break;
            }
            n += RECORD;
        }
        Ok(n)
    }
    fn events(&self) -> Events {
        let ready = current().signals.pending().0 & self.mask().0 != 0;
        if ready { Events::IN | Events::RDNORM } else { Events::empty() }
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(&self.pollee)
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[signalfd]")
    }
}
