//! Writing changes to the disk in an order that a power cut may interrupt at any point.
//!
//! | phase | what is written | why at that point |
//! |---|---|---|
//! | | file data | before this, by the page cache |
//! | 1 | allocation of clusters, new clusters of directories, times | nothing leads there yet |
//! | 2 | new and changed entries, clusters added to directories | what they lead to is there |
//! | 3 | removal of entries, ends of shortened chains | a renamed file already has its new name |
//! | 4 | freeing of clusters | nothing leads there any more |
//!
//! Between two phases that both have something to write there is a flush; phase 4 waits for the flush after phase 3,
//! which is only requested where it is needed (directory sync, lack of space), and is written with the next phase 1. An
//! entry lies within one sector, so it is either there or not; if it does not (names of more than 195 characters, or
//! made by other systems), the long name is written a flush earlier and removed after the rest. A FAT12 table has
//! entries that span two sectors: their clusters are never allocated ([`crate::table`]). Those that another system
//! allocated change in phase 1 (the end of a file, which is where its entry says) or 4 (nothing leads there), where
//! half a change does no harm, except for a directory that continues after such a cluster. A power cut can leave
//! clusters without an owner, chains longer than the file, and two names of a file that was being renamed; all of that
//! is found at the next mount ([`crate::check`]).

use crate::dir::TOGETHER;
use crate::entry::{DELETED, Entry, Raw};
use crate::object::{FatInode, Place};
use crate::table::{self, END, Run};
use crate::volume::{MANY, Meta, Volume};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use libos_base::Result;
use libos_base::memory::{copy, push, with_room};

/// What a commit is for.
#[derive(Clone, Copy)]
pub enum Want<'a> {
    /// This file, whose content up to this length is on the device.
    File(&'a FatInode, u64),
    /// Everything; content has been written.
    All,
    /// Names only.
    Names,
}

/// An entry to write.
struct Update {
    inode: Arc<FatInode>,
    place: Place,
    raw: Raw,
    /// Slots of the long name; empty if the disk has them.
    long: Vec<Raw>,
    /// The place is a new one.
    fresh: bool,
    /// Only times and attributes change.
    light: bool,
    parent: Option<u32>,
}

/// Objects committed together. Few in tests, so that power cuts come in between.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 256 };

impl Volume {
    /// `fsync` and `fdatasync`.
    pub fn sync_inode(&self, i: &FatInode, data_only: bool) -> Result<()> {
        if i.is_dir() {
            if self.is_read_only() {
                return Ok(());
            }
            return self.commit(&mut self.meta.lock(), Want::Names);
        }
        let size = i.length();
        i.flush()?;
        if self.is_read_only() {
            return Ok(());
        }
        i.fill(size.min(i.length()))?;
        match self.pending(i, size) {
            Pending::Nothing => self.barrier(),
            Pending::Times if data_only => self.barrier(),
            Pending::Times => {
                // Goes out together with the data.
                let mut m = self.meta.lock();
                self.mark(&mut m)?;
                if let Some(u) = self.update(i, Want::File(i, size))?.filter(|u| u.light) {
                    self.write_entry(&mut m, &u)?;
                    self.write_back(&mut m)?;
                    done(u);
                }
                drop(m);
                self.barrier()
            }
            Pending::Entry => self.commit(&mut self.meta.lock(), Want::File(i, size)),
        }
    }

    /// `sync`: all content and all names.
    pub fn sync_all(&self) -> Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        let list = copy(&self.meta.lock().dirty)?;
        let mut result = Ok(());
        for i in list {
            result = result.and(i.flush());
        }
        let mut m = self.meta.lock();
        let committed = self.commit(&mut m, Want::All);
        committed.and(result)
    }

    /// Reclaims what only needs a commit to be free.
    pub fn reclaim(&self, m: &mut Meta) -> Result<()> {
        self.commit(m, Want::Names)?;
        // Removed files that only the list of changes kept alive are gone now, and their clusters can be freed, too.
        self.absorb(m)?;
        if !m.frees.is_empty() {
            self.commit(m, Want::Names)?;
        }
        self.barrier()?;
        self.apply_frees(m)
    }
    /// Commits if too many buffers or objects are waiting to be written.
    pub fn trim(&self, m: &mut Meta) -> Result<()> {
        if m.dirty.len() >= m.many {
            self.commit(m, Want::All)?;
            m.many = MANY.max(2 * m.dirty.len());
        }
        if m.table.buf.full() || m.removals.len() >= MANY {
            self.commit(m, Want::Names)?;
        }
        Ok(())
    }

    fn write_back(&self, m: &mut Meta) -> Result<()> {
        if m.table.buf.write_back()? {
            self.wrote();
        }
        Ok(())
    }

    /// The short entry that `i` should have. `full`: how far its content is on the device.
    fn target(&self, i: &FatInode, full: Option<u64>) -> Option<(Place, Raw, Raw, bool)> {
        // In this order: a file that was truncated and has grown again is valid only up to where it was truncated.
        let now = i.length();
        let valid = i.map.lock().valid;
        let first = i.first();
        let s = i.state.lock();
        let place = s.place.clone()?;
        let mut raw = s.entry();
        let old = s.disk.unwrap_or([0; 32]);
        let fresh = s.disk.is_none() || s.unsure;
        if i.is_dir() {
            raw.set_size(0);
            raw.set_first(first, self.geo.wide());
        } else {
            let size = match full {
                Some(n) => n.min(now),
                // Content may be missing: no more than the disk says now. A file that moved had its entry elsewhere.
                None => u64::from(s.raw.size()).min(now),
            };
            let size = size.min(valid);
            raw.set_size(size as u32);
            raw.set_first(if size == 0 { 0 } else { first }, self.geo.wide());
        }
        Some((place, raw, old, fresh))
    }

    fn pending(&self, i: &FatInode, size: u64) -> Pending {
        match self.target(i, Some(size)) {
            None => Pending::Nothing,
            Some((_, _, _, true)) => Pending::Entry,
            Some((_, raw, old, _)) if raw == old => Pending::Nothing,
            Some((_, raw, old, _)) if is_light(&raw, &old) => Pending::Times,
            Some(_) => Pending::Entry,
        }
    }

    fn update(&self, i: &FatInode, want: Want<'_>) -> Result<Option<Update>> {
        if i.is_removed() {
            return Ok(None);
        }
        let full = match want {
            Want::All => Some(i.length()),
            Want::File(f, size) if core::ptr::eq(f, i) => Some(size),
            _ => None,
        };
        // With `All`, more may have arrived since the content was written.
        let full = match full {
            Some(n) if matches!(want, Want::All) && i.is_dirty() => {
                i.flush()?;
                Some(n)
            }
            None if i.state.lock().flush_first => {
                let n = i.length();
                i.flush()?;
                Some(n)
            }
            n => n,
        };
        if let (Some(n), false) = (full, i.is_dir()) {
            i.fill(n.min(i.length()))?;
        }
        let Some((place, raw, old, fresh)) = self.target(i, full) else { return Ok(None) };
        let light = !fresh && is_light(&raw, &old);
        if !fresh && raw == old || light && full.is_none() {
            return Ok(None);
        }
        let s = i.state.lock();
        Ok(Some(Update { inode: i.arc()?, place, raw, long: copy(&s.long)?, fresh, light, parent: s.parent }))
    }

    /// Writes what `want` asks for and everything that must go with it. See the module.
    pub fn commit(&self, m: &mut Meta, want: Want<'_>) -> Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        self.absorb(m)?;
        let mut shrunk: Vec<Arc<FatInode>> = Vec::new();
        // Phases 1 and 2 for a few objects at a time, so that this needs little memory however many there are.
        let mut at = 0;
        loop {
            let end = m.dirty.len().min(at + AT_ONCE);
            self.commit_some(m, want, at..end, &mut shrunk)?;
            if end == m.dirty.len() {
                break;
            }
            at = end;
        }
        m.dirty.retain(|i| {
            let keep = {
                let mut s = i.state.lock();
                s.listed = s.busy > 0 || !i.is_removed() && (i.is_dirty() || self.unsaved(i, &s));
                s.listed
            };
            // A change from here on lists it again. (The lock of the clusters comes before that of the state.)
            let behind = !keep && !i.is_removed() && i.is_behind();
            if behind {
                i.state.lock().listed = true;
            }
            keep || behind
        });

        let mut late = with_room(m.removals.len())?;
        let removals = core::mem::take(&mut m.removals);
        let mut erased = Ok(());
        for place in &removals {
            erased = erased.and(self.erase(m, place, &mut late));
        }
        for i in &shrunk {
            erased = erased.and(self.cut(m, i));
        }
        if let Err(e) = erased.and_then(|()| self.write_back(m)) {
            m.removals = removals;
            return Err(e);
        }
        for place in &removals {
            let mut d = place.dir.dir.lock();
            d.ghosts.retain(|g| g.slot != place.slot);
            d.give(place.slot, place.long);
        }
        if !removals.is_empty() || !shrunk.is_empty() {
            m.names = self.written();
        }
        if !m.frees.is_empty() {
            m.waiting.try_reserve(1)?;
            m.waiting.push((self.written(), core::mem::take(&mut m.frees)));
        }
        if matches!(want, Want::Names | Want::All) && self.flushed() < m.names || !late.is_empty() {
            self.barrier()?;
        }
        for at in late {
            m.table.buf.write(at, &[DELETED])?;
        }
        self.apply_frees(m)
    }

    /// Phases 1 and 2 for some of the changed objects; truncated files are added to `shrunk`.
    fn commit_some(
        &self,
        m: &mut Meta,
        want: Want<'_>,
        range: Range<usize>,
        shrunk: &mut Vec<Arc<FatInode>>,
    ) -> Result<()> {
        let last = range.end == m.dirty.len();
        let mut updates: Vec<Update> = with_room(range.len())?;
        for i in &m.dirty[range] {
            updates.extend(self.update(i, want)?);
            if self.excess(i) > 0 {
                push(shrunk, i.clone())?;
            }
        }
        let heavy = updates.iter().any(|u| !u.light) || !m.links.is_empty();
        let changes = !updates.is_empty() || !m.removals.is_empty() || !shrunk.is_empty();
        if changes || !m.frees.is_empty() || !m.waiting.is_empty() || !m.table.buf.is_clean() {
            self.mark(m)?;
        }
        self.apply_frees(m)?;
        for u in updates.iter().filter(|u| u.light) {
            self.write_entry(m, u)?;
        }
        self.write_back(m)?;
        if heavy || last && matches!(want, Want::File(..) | Want::All) {
            self.barrier()?;
        }

        if heavy && let Err(e) = self.write_names(m, &updates) {
            updates.iter().filter(|u| !u.light).for_each(unsure);
            return Err(e);
        }
        for u in updates {
            done(u);
        }
        Ok(())
    }

    /// Phase 2.
    fn write_names(&self, m: &mut Meta, updates: &[Update]) -> Result<()> {
        let mut early = false;
        for u in updates.iter().filter(|u| !u.light) {
            early |= self.write_early(m, u)?;
        }
        if early {
            self.write_back(m)?;
            self.barrier()?;
        }
        for k in 0..m.links.len() {
            let (from, to) = m.links[k];
            m.table.set(from, to)?;
        }
        for u in updates.iter().filter(|u| !u.light) {
            self.write_entry(m, u)?;
        }
        self.write_back(m)?;
        self.barrier()?;
        m.links.clear();
        Ok(())
    }

    fn unsaved(&self, i: &FatInode, s: &crate::object::State) -> bool {
        if s.place.is_none() {
            return false;
        }
        let Some(disk) = s.disk.filter(|_| !s.unsure) else { return true };
        let raw = s.entry();
        !i.is_dir() && i.length() != u64::from(disk.size()) || !is_light(&raw, &disk) || raw[11..26] != disk[11..26]
    }

    /// The number of clusters beyond the end of a file.
    fn excess(&self, i: &FatInode) -> u32 {
        if i.is_dir() || i.is_removed() {
            return 0;
        }
        let map = i.map.lock();
        if !map.loaded {
            return 0;
        }
        table::total(&map.runs).saturating_sub(self.geo.clusters_for(i.length()).max(map.floor))
    }
    /// Cuts off excess clusters; the entry on the disk no longer reaches them.
    fn cut(&self, m: &mut Meta, i: &FatInode) -> Result<()> {
        let _io = i.io.lock();
        let mut map = i.map.lock();
        let on_disk = i.state.lock().disk.map_or(0, |d| u64::from(d.size()));
        let keep = self.geo.clusters_for(i.length().max(on_disk)).max(map.floor);
        if keep >= table::total(&map.runs) {
            return Ok(());
        }
        let gone = table::cut(&mut map.runs, keep)?;
        map.valid = map.valid.min(u64::from(keep) * u64::from(self.geo.cluster));
        if let Some(last) = table::last(&map.runs) {
            m.table.set(last, END)?;
        }
        m.frees.try_reserve(gone.len())?;
        m.frees.extend(gone);
        Ok(())
    }

    /// Frees clusters that nothing on the disk leads to any more.
    pub fn apply_frees(&self, m: &mut Meta) -> Result<()> {
        let flushed = self.flushed();
        while let Some(k) = m.waiting.iter().position(|w| w.0 <= flushed) {
            let (_, runs): (u64, Vec<Run>) = m.waiting.swap_remove(k);
            self.free(m, &runs)?;
        }
        Ok(())
    }

    /// Writes the slots of a new long name that lie in other sectors than the entry. Returns whether there are any.
    fn write_early(&self, m: &mut Meta, u: &Update) -> Result<bool> {
        let p = &u.place;
        if !u.fresh || u.long.is_empty() || (p.slot - p.long) / TOGETHER == p.slot / TOGETHER {
            return Ok(false);
        }
        self.open_slots(m, p)?;
        self.write_long(m, u, |slot| slot / TOGETHER != p.slot / TOGETHER)?;
        Ok(true)
    }
    fn write_long(&self, m: &mut Meta, u: &Update, which: impl Fn(u32) -> bool) -> Result<()> {
        let first = u.place.slot - u.long.len() as u32;
        for (slot, raw) in (first..).zip(&u.long) {
            if which(slot) {
                m.table.buf.write(u.place.dir.slot_at(slot)?, raw)?;
            }
        }
        Ok(())
    }
    /// Keeps never-used slots before `p` from ending the directory.
    fn open_slots(&self, m: &mut Meta, p: &Place) -> Result<()> {
        let first = p.slot - p.long;
        let end = p.dir.dir.lock().end;
        for slot in end..first {
            m.table.buf.write(p.dir.slot_at(slot)?, &[DELETED])?;
        }
        p.dir.dir.lock().end = end.max(p.slot + 1);
        Ok(())
    }
    fn write_entry(&self, m: &mut Meta, u: &Update) -> Result<()> {
        let p = &u.place;
        if u.fresh {
            self.open_slots(m, p)?;
            self.write_long(m, u, |_| true)?;
        }
        m.table.buf.write(p.dir.slot_at(p.slot)?, &u.raw)?;
        if let Some(parent) = u.parent {
            let at = u.inode.slot_at(1)?;
            let mut raw: Raw = [0; 32];
            m.table.buf.read(at, &mut raw)?;
            raw.set_first(parent, self.geo.wide());
            m.table.buf.write(at, &raw)?;
        }
        Ok(())
    }
    /// Removes an entry; slots in sectors other than the short entry's are put off until later.
    fn erase(&self, m: &mut Meta, p: &Place, late: &mut Vec<u64>) -> Result<()> {
        for slot in p.slot - p.long..=p.slot {
            let at = p.dir.slot_at(slot)?;
            if slot / TOGETHER == p.slot / TOGETHER {
                m.table.buf.write(at, &[DELETED])?;
            } else {
                push(late, at)?;
            }
        }
        Ok(())
    }
}

enum Pending {
    Nothing,
    Times,
    Entry,
}

/// Whether two entries agree in name, clusters and length.
fn is_light(a: &Raw, b: &Raw) -> bool {
    a[..11] == b[..11] && a[12] == b[12] && a.first() == b.first() && a.size() == b.size()
}

/// The disk may have the entry, a part of it, or the previous one: it will be written again, its clusters are kept
/// until then, and a removal removes whatever may be there.
fn unsure(u: &Update) {
    let mut s = u.inode.state.lock();
    if !s.is_at(&u.place) {
        return;
    }
    let mut disk = s.disk.unwrap_or(u.raw);
    disk.set_size(disk.size().max(u.raw.size()));
    s.disk = Some(disk);
    s.known = true;
    s.unsure = true;
}

/// Records that the disk has the entry.
fn done(u: Update) {
    {
        let mut d = u.place.dir.dir.lock();
        if let Some(rec) = d.recs.get_mut(&u.place.slot).filter(|r| r.ino == u.inode.ino) {
            rec.raw = u.raw;
        }
    }
    let mut s = u.inode.state.lock();
    s.known = true;
    if s.is_at(&u.place) {
        s.disk = Some(u.raw);
        let (first, size) = (u.raw.first(), u.raw.size());
        s.raw.set_first(first, true);
        s.raw.set_size(size);
        s.long = Vec::new();
        s.over = false;
        s.parent = None;
        s.flush_first = false;
        s.unsure = false;
    }
}
