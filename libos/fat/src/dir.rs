//! A directory in memory: its names, by name and by slot.
//!
//! Read on first use through the crate and kept: looking up or creating a name costs the same however large the
//! directory is. This is what programs see; the disk follows at the next commit.

use crate::entry::{DELETED, Entry, Raw, attr};
use crate::names::{Short, fold, short_text};
use crate::object::FatInode;
use crate::view;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use alloc::vec::Vec;
use libos_base::memory::{self, push, with_room};
use libos_base::{Errno, Result};

/// Slots in a sector, which the disk changes as a unit.
pub const TOGETHER: u32 = 16;

/// One name.
pub struct Rec {
    pub name: Box<[u8]>,
    /// The slot of the short entry; those of the long name come before it.
    pub slot: u32,
    pub long: u32,
    pub ino: u64,
    /// The short entry as it is on the disk, or will be.
    pub raw: Raw,
    pub inode: Weak<FatInode>,
}

/// A name that was removed in memory but is still on the disk: if created again, it takes the same place, in a single
/// write.
pub struct Ghost {
    pub name: Box<[u8]>,
    pub slot: u32,
    pub long: u32,
    pub raw: Raw,
    /// Slots of the long name that the disk may be missing.
    pub missing: Vec<Raw>,
}

/// The names in a directory.
#[derive(Default)]
pub struct Dir {
    pub loaded: bool,
    pub recs: BTreeMap<u32, Rec>,
    /// Long and short names, case-folded. A tree, since a large hash table needs its memory in one piece.
    keys: BTreeMap<Box<[u8]>, u32>,
    /// A byte per slot: whether it is taken, here or on the disk.
    used: Vec<u8>,
    /// From this slot on, all were never used.
    pub end: u32,
    /// Where to start looking for free slots.
    hint: u32,
    pub ghosts: Vec<Ghost>,
    /// Number of directories among the names.
    pub subdirs: u32,
    /// Removed: nothing can be created here.
    pub dead: bool,
}

/// Two entries of the same name: only a power cut leaves them.
pub type Duplicate = (u32, u32);

impl Dir {
    /// Reads the slots of a directory. `next_ino` numbers the objects.
    pub fn load(&mut self, slots: &[Raw], mut next_ino: impl FnMut() -> u64) -> Result<Vec<Duplicate>> {
        let end = slots.iter().position(|s| s[0] == 0).unwrap_or(slots.len());
        let mut used = with_room(slots.len())?;
        used.extend(slots.iter().enumerate().map(|(i, s)| u8::from(i < end && s[0] != DELETED)));
        *self = Dir { used, end: end as u32, ..Dir::default() };
        let mut doubles = Vec::new();
        view::entries(&slots[..end], |f| {
            let raw = slots[f.slot as usize];
            let odd = |n: &str| n.is_empty() || n == "." || n == ".." || n.contains(['/', '\0']);
            let mut name = f.name;
            if odd(&name) {
                name = short_text(&raw.short()).replace(['/', '\0', '.'], "_");
            }
            if name.is_empty() {
                return Ok(());
            }
            let long = f.long.min(f.slot);
            let rec = Rec {
                name: name.into_bytes().into_boxed_slice(),
                slot: f.slot,
                long,
                ino: next_ino(),
                raw,
                inode: Weak::new(),
            };
            if let Some(other) = self.slot_of(&rec.name)? {
                return push(&mut doubles, (other, f.slot));
            }
            self.insert(rec)
        })?;
        self.loaded = true;
        Ok(doubles)
    }

    fn slot_of(&self, name: &[u8]) -> Result<Option<u32>> {
        let name = core::str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
        Ok(self.keys.get(&fold(name)?).copied())
    }
    /// The entry called `name` in any case, or by its short name.
    pub fn find(&self, name: &str) -> Result<Option<&Rec>> {
        Ok(self.keys.get(&fold(name)?).and_then(|s| self.recs.get(s)))
    }
    /// Whether a short name is used by an entry other than that at `but`.
    pub fn has_short(&self, short: &Short, but: Option<u32>) -> bool {
        fold(&short_text(short)).is_ok_and(|k| self.keys.get(&k).is_some_and(|s| Some(*s) != but))
    }
    /// Adds a name; its slots are already taken.
    pub fn insert(&mut self, rec: Rec) -> Result<()> {
        memory::check()?;
        let name = core::str::from_utf8(&rec.name).map_err(|_| Errno::EINVAL)?;
        let (long, short) = (fold(name)?, fold(&short_text(&rec.raw.short()))?);
        self.keys.entry(short).or_insert(rec.slot);
        self.keys.insert(long, rec.slot);
        self.subdirs += u32::from(rec.raw.attr() & attr::DIR != 0);
        self.recs.insert(rec.slot, rec);
        Ok(())
    }
    /// Removes a name; its slots stay taken.
    pub fn remove(&mut self, slot: u32) -> Option<Rec> {
        let rec = self.recs.remove(&slot)?;
        self.subdirs -= u32::from(rec.raw.attr() & attr::DIR != 0);
        let name = core::str::from_utf8(&rec.name).unwrap_or("");
        for key in [fold(name), fold(&short_text(&rec.raw.short()))].into_iter().flatten() {
            if self.keys.get(&key) == Some(&slot) {
                self.keys.remove(&key);
            }
        }
        Some(rec)
    }
    /// The total number of slots.
    pub fn slots(&self) -> u32 {
        self.used.len() as u32
    }
    /// The directory has grown by this many slots.
    pub fn grow(&mut self, by: u32) -> Result<()> {
        self.used.try_reserve(by as usize)?;
        self.used.resize(self.used.len() + by as usize, 0);
        Ok(())
    }

    /// Takes `n` free slots, within one sector if they fit, so that they appear at once. Returns the last of them.
    pub fn take(&mut self, n: u32) -> Option<u32> {
        let len = self.slots();
        let from = self.hint.min(len);
        let first = self.search(from, len, n).or_else(|| self.search(0, from.saturating_add(n).min(len), n))?;
        self.used[first as usize..(first + n) as usize].fill(1);
        self.hint = first + n;
        Some(first + n - 1)
    }
    fn search(&self, from: u32, to: u32, n: u32) -> Option<u32> {
        let mut at = from;
        while at + n <= to {
            let over = at % TOGETHER + n;
            if n <= TOGETHER && over > TOGETHER {
                at = at.next_multiple_of(TOGETHER);
                continue;
            }
            match (at..at + n).rev().find(|&s| self.used[s as usize] != 0) {
                None => return Some(at),
                Some(s) => at = s + 1,
            }
        }
        None
    }
    /// Frees slots: the disk has nothing in them.
    pub fn give(&mut self, slot: u32, long: u32) {
        for s in slot - long..=slot {
            if let Some(u) = self.used.get_mut(s as usize) {
                *u = 0;
            }
        }
        self.hint = self.hint.min(slot - long);
    }
    /// Removes and returns the ghost of `name`.
    pub fn ghost(&mut self, name: &[u8]) -> Option<Ghost> {
        let i = self.ghosts.iter().position(|g| *g.name == *name)?;
        Some(self.ghosts.swap_remove(i))
    }
}

/// Whether a slot holds a short entry of an object.
pub fn is_object(raw: &Raw) -> bool {
    raw[0] != 0 && raw[0] != DELETED && raw.attr() & attr::LONG != attr::LONG && raw.attr() & attr::VOLUME == 0
}
