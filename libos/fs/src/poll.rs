//! poll(2) and select(2): scans a list of descriptors until one is ready.

use crate::files::Files;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::abi::Fd;
pub use libos_base::abi::PollFd;
use libos_base::file::FileLike;
use libos_base::poll::{self, Events, ThreadWatcher, Watcher};
use libos_base::thread::Wake;
use libos_base::{Errno, Result};

/// Fills in `revents`; returns how many are not zero. Waits until `deadline_ns`; EINTR if a signal comes first.
pub fn poll(files: &Files, fds: &mut [PollFd], deadline_ns: u64) -> Result<usize> {
    let mut open: Vec<Option<Arc<dyn FileLike>>> = Vec::new();
    open.try_reserve_exact(fds.len())?;
    open.extend(fds.iter().map(|p| files.fds.get(Fd(p.fd)).ok()));
    let n = scan(fds, &open, None);
    if n > 0 || deadline_ns == 0 {
        return Ok(n);
    }
    poll::look();
    let me = ThreadWatcher::new();
    let w: Arc<dyn Watcher> = me.clone();
    let mut watcher = Some(&w);
    let r = loop {
        me.take();
        let n = scan(fds, &open, watcher.take());
        if n > 0 {
            break Ok(n);
        }
        let mut wake = Wake::Token;
        // The token may be an old one: only our watcher says that something happened.
        while wake == Wake::Token && !me.take() {
            wake = poll::park(deadline_ns);
        }
        if wake != Wake::Token {
            let n = scan(fds, &open, None);
            break if n > 0 || wake == Wake::Timeout { Ok(n) } else { Err(Errno::EINTR) };
        }
    };
    for f in open.iter().flatten() {
        f.unwatch(&w);
    }
    r
}

/// Checks all of them, registering the watcher on the way until one is found ready.
fn scan(fds: &mut [PollFd], open: &[Option<Arc<dyn FileLike>>], watcher: Option<&Arc<dyn Watcher>>) -> usize {
    let mut n = 0;
    for (p, f) in fds.iter_mut().zip(open) {
        let now = match f {
            _ if p.fd < 0 => Events::empty(),
            None => Events::NVAL,
            Some(f) => {
                let asked = Events::from_bits_retain(u32::from(p.events)) | Events::ERR | Events::HUP;
                f.poll(watcher.filter(|_| n == 0)) & asked
            }
        };
        p.revents = now.bits() as u16;
        n += usize::from(!now.is_empty());
    }
    n
}

/// The three sets of `select`, each as bits; `None`: not asked for.
pub struct Sets {
    pub read: Option<Vec<u64>>,
    pub write: Option<Vec<u64>>,
    pub except: Option<Vec<u64>>,
}

/// What each set waits for, as in Linux's fs/select.c: (events that count, event asked for).
const SETS: [(Events, Events); 3] = [
    (Events::from_bits_retain(0x1 | 0x40 | 0x80 | 0x10 | 0x8 | 0x20), Events::from_bits_retain(0x1 | 0x40)),
    (Events::from_bits_retain(0x4 | 0x100 | 0x200 | 0x8 | 0x20), Events::from_bits_retain(0x4 | 0x100)),
    (Events::from_bits_retain(0x2 | 0x20), Events::from_bits_retain(0x2)),
];

/// `select`: leaves the ready descriptors in the sets; returns the number of bits. EBADF: a set names a closed
/// descriptor.
pub fn select(files: &Files, n: usize, sets: &mut Sets, deadline_ns: u64) -> Result<usize> {
    let has = |s: &Option<Vec<u64>>, fd: usize| s.as_ref().is_some_and(|s| s[fd / 64] >> (fd % 64) & 1 != 0);
    let mut fds: Vec<PollFd> = Vec::new();
    for fd in 0..n {
        let mut events = Events::empty();
        for (set, (_, ask)) in [&sets.read, &sets.write, &sets.except].into_iter().zip(&SETS) {
            if has(set, fd) {
                events |= *ask;
            }
        }
        if !events.is_empty() {
            files.fds.get(Fd(fd as i32))?;
            fds.try_reserve(1)?;
            fds.push(PollFd { fd: fd as i32, events: events.bits() as u16, revents: 0 });
        }
    }
    poll(files, &mut fds, deadline_ns)?;
    let mut count = 0;
    for (set, (counts, _)) in [&mut sets.read, &mut sets.write, &mut sets.except].into_iter().zip(&SETS) {
        let Some(set) = set else { continue };
        let asked = core::mem::take(set);
        set.resize(asked.len(), 0);
        for p in &fds {
            let (word, bit) = (p.fd as usize / 64, 1u64 << (p.fd % 64));
            if asked[word] & bit != 0 && Events::from_bits_retain(u32::from(p.revents)).intersects(*counts) {
                set[word] |= bit;
                count += 1;
            }
        }
    }
    Ok(count)
}
