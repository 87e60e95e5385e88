//! What tuples stand for: connections, handshakes that strangers have begun, TIME-WAIT. One table for all of them, so that
//! a frame is looked up once, and a tuple that goes on from one to the next only changes its holder.

use crate::frame::Tuple;
use crate::table::Keyed;
use core::hash::BuildHasher;
use hashbrown::HashTable;
use libos_base::{Errno, Result};

/// What a tuple stands for: its number or place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Conn(u32),
    Request(u32),
    Waits(u32),
}

type Row = (Tuple, Holder);

/// The table of a shard. Hashes are passed in: whoever holds a tuple keeps its hash.
pub struct Tuples {
    table: HashTable<Row>,
    key: Keyed,
}

/// For a table that grows: one function, so that growing is linked once.
fn hasher(key: Keyed) -> impl Fn(&Row) -> u64 {
    move |row| key.hash_one(row.0)
}

impl Tuples {
    /// `key`: that of the hashes.
    pub fn new(key: Keyed) -> Self {
        Self { table: HashTable::new(), key }
    }

    /// Makes room for one more; ENOBUFS.
    pub fn reserve(&mut self) -> Result<()> {
        self.table.try_reserve(1, hasher(self.key)).map_err(|_| Errno::ENOBUFS)
    }

    /// What a tuple stands for. Never inlined: there are several callers.
    #[inline(never)]
    pub fn holder(&self, t: &Tuple, hash: u64) -> Option<Holder> {
        self.table.find(hash, |row| row.0 == *t).map(|row| row.1)
    }

    /// It stands for this from now on. If it is new, room was reserved.
    pub fn hold(&mut self, t: &Tuple, hash: u64, holder: Holder) {
        match self.table.find_mut(hash, |row| row.0 == *t) {
            Some(row) => row.1 = holder,
            None => {
                self.table.insert_unique(hash, (*t, holder), hasher(self.key));
            }
        }
    }

    /// It no longer stands for this.
    pub fn free(&mut self, t: &Tuple, hash: u64, holder: Holder) {
        if let Ok(row) = self.table.find_entry(hash, |row| row.1 == holder && row.0 == *t) {
            row.remove();
        }
    }
}
