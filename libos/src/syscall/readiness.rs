//! Signals when a file becomes ready (O_ASYNC in open(2); F_SETOWN and F_SETSIG in fcntl(2)).

use crate::sched;
use crate::signal::{self, Info, SIGIO};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use libos_base::abi::{Fd, FileOwner, OpenFlags, OwnerType};
use libos_base::file::FileLike;
use libos_base::poll::{Events, Watcher};
use libos_base::sync::{SpinLock, class};
use libos_base::{Errno, Result};

/// What an open file has while O_ASYNC is set.
struct Signals {
    file: Weak<dyn FileLike>,
    /// The descriptor by which it was set, which the signal tells.
    fd: Fd,
}

/// All of them; those of closed files go when the next one is made.
static ALL: SpinLock<Vec<Arc<Signals>>> = SpinLock::new(class::ASYNC_SIGNALS, Vec::new());

/// Sets or clears O_ASYNC. Where Linux sends no signals it means nothing, and is not kept: false.
pub fn set(fd: Fd, file: &Arc<dyn FileLike>, on: bool) -> Result<bool> {
    if !file.special_flags().contains(OpenFlags::ASYNC) {
        return Ok(false);
    }
    if file.flags().contains(OpenFlags::ASYNC) == on {
        return Ok(true);
    }
    let watcher = if on {
        let new = libos_fs::util::try_arc(Signals { file: Arc::downgrade(file), fd })?;
        let mut all = ALL.lock();
        all.retain(|s| s.file.strong_count() > 0);
        all.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        all.push(new.clone());
        Some(new)
    } else {
        let mut all = ALL.lock();
        let at = all.iter().position(|s| core::ptr::addr_eq(s.file.as_ptr(), Arc::as_ptr(file)));
        at.map(|i| all.swap_remove(i))
    };
    file.description().set_async(on);
    if let Some(watcher) = watcher {
        let watcher: Arc<dyn Watcher> = watcher;
        if on {
            // Only what happens from now on is told.
            file.poll(Some(&watcher));
        } else {
            file.unwatch(&watcher);
        }
    }
    Ok(true)
}

/// `si_code` and `si_band` (linux/fs/fcntl.c, band_table).
fn reason(events: Events) -> (i32, u64) {
    match events {
        e if e.intersects(Events::IN | Events::RDNORM) => (1, 0x41),
        e if e.intersects(Events::OUT | Events::WRNORM) => (2, 0x304),
        e if e.contains(Events::HUP) => (6, 0x18),
        e if e.contains(Events::ERR) => (4, 0x8),
        _ => (5, 0x82),
    }
}

fn send(owner: FileOwner, info: Info) -> Result<()> {
    match OwnerType(owner.kind) {
        OwnerType::TID => sched::find(owner.pid as u32).map_or(Ok(()), |t| signal::post_thread(&t, info)),
        _ => signal::post_process_info(info),
    }
}

impl Watcher for Signals {
    fn on_event(&self, events: Events) {
        let Some(file) = self.file.upgrade() else { return };
        let (owner, chosen) = (file.description().owner(), file.description().signal());
        if owner.pid == 0 {
            return;
        }
        let (code, band) = reason(events);
        let info = Info { signo: chosen, code, word16: band, word24: self.fd.0 as u64, ..Info::default() };
        // With a full queue it is the plain signal, of which one is enough.
        if chosen == 0 || send(owner, info).is_err() {
            let _ = send(owner, Info::kernel(SIGIO));
        }
    }
}
