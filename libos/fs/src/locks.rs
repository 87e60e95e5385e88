//! Advisory locks: POSIX record locks, open file description locks, flock.
//!
//! There is one process, so all its record locks have one owner and never conflict with each other; they do conflict
//! with locks of open descriptions, and any close of the file releases them (fcntl(2)). Linux keeps flock locks
//! separate from the other two, and so does this module.
//!
//! One blocking lock guards the table; nothing else is taken under it. A program that never locks never links this:
//! closing goes through providers, which the first lock fills. Anything open can be locked, as on Linux.

use crate::openfile::OpenFile;
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use libos_base::file::{self, FileLike};
use libos_base::sync::{Mutex, Provider, WaitQueue, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The process (F_SETLK).
    Process,
    /// An open description, by its number (F_OFD_SETLK, flock).
    Description(usize),
}

/// A locked range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    pub owner: Owner,
    pub exclusive: bool,
    pub start: u64,
    /// Exclusive; `u64::MAX`: to the end, however far that moves.
    pub end: u64,
}

/// The locks on one file.
#[derive(Default)]
struct FileLocks {
    records: Vec<Lock>,
    flocks: Vec<Lock>,
}

/// Identifies a file: the address of its object, or the numbers that `fstat` shows.
type Key = (u64, u64);

static ON_CLOSE: Provider<fn(&dyn FileLike)> = Provider::new();
static TABLE: Mutex<Option<HashMap<Key, FileLocks>>> = Mutex::new(class::FILE_LOCKS, None);
static RELEASED: WaitQueue = WaitQueue::new();

/// Called when a descriptor of `f` is being closed.
pub fn on_close(f: &dyn FileLike) {
    if let Some(hook) = ON_CLOSE.get() {
        hook(f);
    }
}

fn file_key(f: &dyn FileLike) -> Result<Key> {
    match f.downcast::<OpenFile>() {
        Some(o) => Ok((u64::MAX, Arc::as_ptr(o.path.inode()).cast::<()>() as u64)),
        None => f.stat().map(|s| (s.dev, s.ino)),
    }
}

fn with<R>(key: Key, act: impl FnOnce(&mut FileLocks) -> Result<R>) -> Result<R> {
    ON_CLOSE.provide(&(closed as fn(&dyn FileLike)));
    file::ON_END.provide(&(ended as fn(usize)));
    let mut t = TABLE.lock();
    let t = t.get_or_insert_default();
    t.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
    let r = act(t.entry(key).or_default());
    if t.get(&key).is_some_and(|l| l.records.is_empty() && l.flocks.is_empty()) {
        t.remove(&key);
    }
    r
}

/// A descriptor of `f` is being closed.
fn closed(f: &dyn FileLike) {
    if let Ok(key) = file_key(f) {
        release(Some(key), Owner::Process);
    }
}

/// This description is gone.
fn ended(id: usize) {
    release(None, Owner::Description(id));
}

/// Releases what `owner` holds on one file, or on all.
fn release(key: Option<Key>, owner: Owner) {
    let mut released = false;
    if let Some(t) = TABLE.lock().as_mut() {
        t.retain(|k, l| {
            if key.is_none_or(|key| key == *k) {
                for list in [&mut l.records, &mut l.flocks] {
                    let before = list.len();
                    list.retain(|r| r.owner != owner);
                    released |= list.len() < before;
                }
            }
            !(l.records.is_empty() && l.flocks.is_empty())
        });
    }
    if released {
        RELEASED.wake_all();
    }
}

fn conflict(list: &[Lock], want: &Lock) -> Option<Lock> {
    list.iter()
        .filter(|l| l.owner != want.owner && (l.exclusive || want.exclusive))
        .find(|l| l.start < want.end && want.start < l.end)
        .copied()
}

/// Puts `new`, or nothing if `None`, over what its owner holds in the range, splitting and joining locks.
fn cover(list: &mut Vec<Lock>, owner: Owner, start: u64, end: u64, new: Option<Lock>) -> Result<()> {
    // At most one lock is split in two, and one is added.
    list.try_reserve(2)?;
    let mut i = 0;
    let mut new = new;
    while i < list.len() {
        let l = list[i];
        if l.owner != owner || l.end < start || l.start > end {
            i += 1;
            continue;
        }
        if let Some(n) = &mut new
            && n.exclusive == l.exclusive
        {
            // Touching or overlapping locks of the same kind become one.
            n.start = n.start.min(l.start);
            n.end = n.end.max(l.end);
            list.swap_remove(i);
            continue;
        }
        if l.end == start || l.start == end {
            i += 1;
            continue;
        }
        list.swap_remove(i);
        if l.start < start {
            list.push(Lock { end: start, ..l });
        }
        if l.end > end {
            list.push(Lock { start: end, ..l });
        }
    }
    list.extend(new);
    Ok(())
}

/// The first lock that keeps `want` from being set (F_GETLK).
pub fn blocker(f: &dyn FileLike, want: &Lock) -> Result<Option<Lock>> {
    with(file_key(f)?, |l| Ok(conflict(&l.records, want)))
}

/// The owner of a description's locks.
pub fn description(f: &dyn FileLike) -> Owner {
    Owner::Description(f.description().id())
}

/// Sets a record lock. EAGAIN: held by another, and `wait` is false.
pub fn set_record(f: &dyn FileLike, want: Lock, wait: bool) -> Result<()> {
    set(f, want, wait, |l| &mut l.records)
}
/// Releases a range of record locks.
pub fn clear_record(f: &dyn FileLike, owner: Owner, start: u64, end: u64) -> Result<()> {
    with(file_key(f)?, |l| cover(&mut l.records, owner, start, end, None))?;
    RELEASED.wake_all();
    Ok(())
}
/// `flock`: sets, or with `None` releases, the lock of the description.
pub fn flock(f: &dyn FileLike, exclusive: Option<bool>, wait: bool) -> Result<()> {
    let owner = description(f);
    let key = file_key(f)?;
    // A conversion is not atomic (flock(2)): the old lock goes first.
    with(key, |l| {
        match exclusive {
            Some(e) if l.flocks.iter().any(|x| x.owner == owner && x.exclusive == e) => {}
            _ => l.flocks.retain(|x| x.owner != owner),
        }
        Ok(())
    })?;
    RELEASED.wake_all();
    match exclusive {
        Some(exclusive) => set(f, Lock { owner, exclusive, start: 0, end: u64::MAX }, wait, |l| &mut l.flocks),
        None => Ok(()),
    }
}

fn set(f: &dyn FileLike, want: Lock, wait: bool, list: fn(&mut FileLocks) -> &mut Vec<Lock>) -> Result<()> {
    let key = file_key(f)?;
    let attempt = || match with(key, |l| {
        let list = list(l);
        match conflict(list, &want) {
            Some(_) => Err(Errno::EAGAIN),
            None => cover(list, want.owner, want.start, want.end, Some(want)),
        }
    }) {
        Err(Errno::EAGAIN) => None,
        r => Some(r),
    };
    if !wait {
        return attempt().unwrap_or(Err(Errno::EAGAIN));
    }
    let r = RELEASED.wait(FOREVER, true, attempt)?;
    // A lock that shrank or became shared can let others in.
    RELEASED.wake_all();
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(exclusive: bool, start: u64, end: u64) -> Lock {
        Lock { owner: Owner::Process, exclusive, start, end }
    }
    fn sorted(mut v: Vec<Lock>) -> Vec<(bool, u64, u64)> {
        v.sort_by_key(|l| l.start);
        v.iter().map(|l| (l.exclusive, l.start, l.end)).collect()
    }

    #[test]
    fn ranges_split_and_join() {
        let mut v = Vec::new();
        let put = |v: &mut Vec<Lock>, l: Lock| cover(v, l.owner, l.start, l.end, Some(l)).unwrap();
        put(&mut v, lock(true, 0, 100));
        put(&mut v, lock(false, 40, 60));
        assert_eq!(sorted(v.clone()), [(true, 0, 40), (false, 40, 60), (true, 60, 100)]);
        put(&mut v, lock(true, 40, 60));
        assert_eq!(sorted(v.clone()), [(true, 0, 100)]);
        cover(&mut v, Owner::Process, 10, 20, None).unwrap();
        assert_eq!(sorted(v.clone()), [(true, 0, 10), (true, 20, 100)]);
        cover(&mut v, Owner::Process, 0, u64::MAX, None).unwrap();
        assert!(v.is_empty());
    }

    #[test]
    fn only_other_owners_conflict() {
        let held = [Lock { owner: Owner::Description(1), exclusive: false, start: 5, end: 10 }];
        assert!(conflict(&held, &lock(false, 0, 100)).is_none());
        assert_eq!(conflict(&held, &lock(true, 0, 100)), Some(held[0]));
        assert!(conflict(&held, &lock(true, 10, 100)).is_none());
        let same = Lock { exclusive: true, ..held[0] };
        assert!(conflict(&held, &same).is_none());
    }
}
