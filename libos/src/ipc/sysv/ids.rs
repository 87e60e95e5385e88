//! Numbers of objects: a place in a table, and above it a sequence number, so that the number of an object that is gone
//! does not soon mean another one (Linux's ipc/util.c).

use super::permission::PRIVATE;
use super::{IPC_CREAT, IPC_EXCL};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::sync::{Mutex, SpinLock, class};
use libos_base::{Errno, Result};

/// Bits of a number that are a place.
const PLACE: u32 = 15;
const PLACES: usize = 1 << PLACE;
/// So many places are gone through, at least, before one is used again.
const ROUND: usize = 64;

/// The sequence number in a number.
pub fn sequence(id: i32) -> i32 {
    id >> PLACE
}
fn place(id: i32) -> usize {
    id as usize % PLACES
}

struct Entry<T> {
    id: i32,
    key: i32,
    object: Arc<T>,
}

struct Table<T> {
    places: Vec<Option<Entry<T>>>,
    used: usize,
    sequence: i32,
    /// The place after the one that was given out last.
    next: usize,
}

/// All objects of a kind.
pub struct Ids<T> {
    /// Held while one is looked for by its key and made.
    making: Mutex<()>,
    table: SpinLock<Table<T>>,
}

/// How a description names its object.
#[derive(Clone, Copy)]
pub enum Which {
    Id(i32),
    /// `..._STAT`: by its place; `..._STAT_ANY`: whoever asks.
    Place {
        at: i32,
        anybody: bool,
    },
}

/// For the calls that describe all objects.
pub struct Statistics {
    /// How many there are.
    pub used: usize,
    /// The highest place that is taken; 0 if none is.
    pub highest: usize,
}

impl<T> Ids<T> {
    /// None.
    pub const fn new() -> Self {
        let table = Table { places: Vec::new(), used: 0, sequence: 0, next: 0 };
        Self { making: Mutex::new(class::IPC_MAKING, ()), table: SpinLock::new(class::IPC_IDS, table) }
    }

    /// The object with this key, for which `check` is asked, or a new one from `make`. ENOENT, EEXIST; ENOSPC: there are
    /// `most` already.
    pub fn get(
        &self,
        key: i32,
        flags: u32,
        most: usize,
        check: impl FnOnce(&T) -> Result<()>,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<i32> {
        let _one = self.making.lock();
        if key != PRIVATE {
            let found = {
                let t = self.table.lock();
                t.places.iter().flatten().find(|e| e.key == key).map(|e| (e.id, e.object.clone()))
            };
            match found {
                Some(_) if flags & (IPC_CREAT | IPC_EXCL) == IPC_CREAT | IPC_EXCL => return Err(Errno::EEXIST),
                Some((id, object)) => return check(&object).map(|()| id),
                None if flags & IPC_CREAT == 0 => return Err(Errno::ENOENT),
                None => {}
            }
        }
        let object = Arc::new(make()?);
        let mut t = self.table.lock();
        if t.used >= most {
            drop(t);
            return Err(Errno::ENOSPC);
        }
        let round = ROUND.max(t.used * 3 / 2).min(PLACES);
        let free = |at: &usize| t.places.get(*at).is_none_or(Option::is_none);
        let at = (t.next..round).chain(0..round).find(free).ok_or(Errno::ENOSPC)?;
        if at >= t.places.len() {
            let more = at + 1 - t.places.len();
            t.places.try_reserve(more)?;
            t.places.resize_with(at + 1, || None);
        }
        if at < t.next {
            t.sequence = (t.sequence + 1) & 0xffff;
        }
        t.next = at + 1;
        let id = t.sequence << PLACE | at as i32;
        t.places[at] = Some(Entry { id, key, object });
        t.used += 1;
        Ok(id)
    }

    /// The object with this number. EINVAL.
    pub fn find(&self, id: i32) -> Result<Arc<T>> {
        let t = self.table.lock();
        let found = t.places.get(place(id)).and_then(Option::as_ref).filter(|e| id >= 0 && e.id == id);
        found.map(|e| e.object.clone()).ok_or(Errno::EINVAL)
    }
    /// The object at a place, and its number. EINVAL.
    fn at(&self, at: i32) -> Result<(i32, Arc<T>)> {
        let t = self.table.lock();
        let found = t.places.get(place(at)).and_then(Option::as_ref).filter(|_| at >= 0);
        found.map(|e| (e.id, e.object.clone())).ok_or(Errno::EINVAL)
    }
    /// The object to be described, and its number. EINVAL; what `readable` says, if it must be asked.
    pub fn described(&self, which: Which, readable: impl FnOnce(&T) -> Result<()>) -> Result<(i32, Arc<T>)> {
        let ((id, object), anybody) = match which {
            Which::Id(id) => ((id, self.find(id)?), false),
            Which::Place { at, anybody } => (self.at(at)?, anybody),
        };
        if !anybody {
            readable(&object)?;
        }
        Ok((id, object))
    }
    /// Takes the object with this number off; whoever still has it may go on with it.
    pub fn remove(&self, id: i32) -> Option<Arc<T>> {
        let mut t = self.table.lock();
        let gone = t.places.get_mut(place(id))?.take_if(|e| e.id == id)?;
        t.used -= 1;
        Some(gone.object)
    }
    /// Its key is not found any more.
    pub fn forget_key(&self, id: i32) {
        if let Some(Some(e)) =
            self.table.lock().places.get_mut(place(id)).filter(|e| e.as_ref().is_some_and(|e| e.id == id))
        {
            e.key = PRIVATE;
        }
    }

    /// See [`Statistics`].
    pub fn statistics(&self) -> Statistics {
        let t = self.table.lock();
        Statistics { used: t.used, highest: t.places.iter().rposition(Option::is_some).unwrap_or(0) }
    }
    /// All objects with their numbers. Without memory, as many as there is memory for.
    pub fn all(&self) -> Vec<(i32, Arc<T>)> {
        let mut all = Vec::new();
        let t = self.table.lock();
        for e in t.places.iter().flatten() {
            if all.try_reserve(1).is_ok() {
                all.push((e.id, e.object.clone()));
            }
        }
        all
    }
}

#[cfg(test)]
#[test]
fn numbers_are_those_of_linux() {
    let ids = Ids::new();
    let make =
        |key, flags| ids.get(key, flags, 3, |n: &i32| if *n == 7 { Err(Errno::EACCES) } else { Ok(()) }, || Ok(key));
    assert_eq!(make(1, 0), Err(Errno::ENOENT));
    assert_eq!(make(1, IPC_CREAT), Ok(0));
    assert_eq!(make(1, IPC_CREAT), Ok(0));
    assert_eq!(make(1, IPC_CREAT | IPC_EXCL), Err(Errno::EEXIST));
    assert_eq!((make(PRIVATE, 0), make(7, IPC_CREAT)), (Ok(1), Ok(2)));
    assert_eq!((make(7, 0), make(8, IPC_CREAT)), (Err(Errno::EACCES), Err(Errno::ENOSPC)));
    // The place is used again after a round, the number is not.
    assert!(ids.remove(1).is_some() && ids.remove(1).is_none() && ids.find(1).is_err());
    for id in 3..ROUND as i32 {
        assert_eq!(make(PRIVATE, 0), Ok(id));
        assert!(ids.remove(id).is_some());
    }
    assert_eq!(make(PRIVATE, 0), Ok(1 << PLACE | 1));
    assert_eq!(ids.at(1).map(|(id, _)| id), Ok(1 << PLACE | 1));
    assert_eq!((ids.find(-1), ids.at(-1)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
    ids.forget_key(2);
    assert_eq!(make(7, 0), Err(Errno::ENOENT));
    assert_eq!((ids.statistics().used, ids.statistics().highest), (3, 2));
}
