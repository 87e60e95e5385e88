//! Creating, removing and renaming objects: in memory at once, on the disk at the next commit.

use crate::dir::{Dir, Ghost, Rec};
use crate::entry::{self, Entry, Raw, attr};
use crate::names;
use crate::object::{FatInode, Place, fat};
use crate::table::{self, Run};
use crate::view;
use crate::volume::Meta;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::{Errno, Result};
use libos_fs::inode::Rename;

/// How a name will be encoded.
struct Head {
    raw: Raw,
    long: Vec<Raw>,
    /// Whether the disk has an entry of that name there.
    over: bool,
}

impl Head {
    /// The encoding in the entry `raw`, whose place is reused.
    fn of(raw: &Raw, long: Vec<Raw>, over: bool) -> Self {
        let mut head = [0; 32];
        head[..11].copy_from_slice(&raw[..11]);
        head[12] = raw[12] & 0x18;
        Self { raw: head, long, over }
    }
}

impl FatInode {
    pub(crate) fn make(&self, m: &mut Meta, name: &str, dir: bool) -> Result<Arc<FatInode>> {
        self.load_dir(m)?;
        m.dirty.try_reserve(1)?;
        let now = libos_fs::time::now();
        let mut d = self.dir.lock();
        if d.dead || d.find(name)?.is_some() {
            return Err(if d.dead { Errno::ENOENT } else { Errno::EEXIST });
        }
        let (slot, long, head) = self.spell(m, &mut d, name, None)?;
        let mut raw = head.raw;
        raw[11] = if dir { attr::DIR } else { attr::ARCHIVE };
        raw.set_created(self.vol.stamp(now));
        raw.set_mtime(entry::whole(now));
        raw.set_atime(entry::day(now));
        let run = if dir { Some(self.make_cluster(m, raw)?) } else { None };
        if let Some(r) = run {
            raw.set_first(r.start, self.vol.geo.wide());
        }
        let ino = self.vol.next_ino();
        let place = Place { dir: self.arc()?, slot, long };
        let i = FatInode::new(&self.vol, ino, raw, Some(place), false)?;
        {
            let mut map = i.map.lock();
            map.runs.extend(run);
            map.loaded = true;
            let mut s = i.state.lock();
            s.long = head.long;
            s.over = head.over;
            s.raw = raw;
        }
        if dir {
            let mut below = i.dir.lock_nested(1);
            below.grow(self.vol.geo.cluster / 32)?;
            below.take(2);
            below.end = 2;
            below.loaded = true;
        }
        d.insert(Rec { name: Box::from(name.as_bytes()), slot, long, ino, raw, inode: i.me.clone() })?;
        drop(d);
        i.list(m)?;
        Ok(i)
    }

    /// Makes a zeroed cluster with `.` and `..`.
    pub(crate) fn make_cluster(&self, m: &mut Meta, like: Raw) -> Result<Run> {
        let geo = self.vol.geo;
        let run = m.table.alloc(None, 1, false)?;
        self.zero(m, run)?;
        for (i, first) in [run.start, self.link()].into_iter().enumerate() {
            let mut raw = like;
            raw[..11].fill(b' ');
            raw[..i + 1].fill(b'.');
            raw[12] = 0;
            raw.set_first(first, geo.wide());
            m.table.buf.write(geo.at(run.start) + 32 * i as u64, &raw)?;
        }
        Ok(run)
    }
    /// Fills a directory's new cluster with slots that were never used.
    fn zero(&self, m: &mut Meta, run: Run) -> Result<()> {
        let geo = self.vol.geo;
        for at in (0..u64::from(geo.cluster)).step_by(512) {
            m.table.buf.write(geo.at(run.start) + at, &[0; 512])?;
        }
        Ok(())
    }
    /// The cluster number for the `..` of directories below this one.
    pub(crate) fn link(&self) -> u32 {
        if self.state.lock().place.is_none() { 0 } else { self.first() }
    }

    /// Finds slots for `name`: those of its ghost, or new ones; `own` is the slot of an entry that this one replaces.
    fn spell(&self, m: &mut Meta, d: &mut Dir, name: &str, own: Option<u32>) -> Result<(u32, u32, Head)> {
        if let Some(g) = d.ghost(name.as_bytes()) {
            m.removals.retain(|place| !place.is(self, g.slot));
            return Ok((g.slot, g.long, Head::of(&g.raw, g.missing, true)));
        }
        let e = names::encode(name, |s| d.has_short(s, own))?;
        let long = e.long.len() as u32;
        let slot = loop {
            if let Some(s) = d.take(long + 1) {
                break s;
            }
            self.extend(m, d)?;
        };
        let mut raw = [0; 32];
        raw[..11].copy_from_slice(&e.short);
        raw[12] = e.flags;
        Ok((slot, long, Head { raw, long: e.long, over: false }))
    }

    /// Adds a cluster to a directory.
    pub(crate) fn extend(&self, m: &mut Meta, d: &mut Dir) -> Result<()> {
        let geo = self.vol.geo;
        let more = geo.cluster / 32;
        let last = table::last(&self.map.lock().runs);
        // The root of FAT12 and FAT16 does not grow.
        let Some(last) = last.filter(|_| d.slots() + more <= view::SLOTS_MAX as u32) else {
            return Err(Errno::ENOSPC);
        };
        m.links.try_reserve(1)?;
        let run = m.table.alloc(Some(last), 1, false)?;
        m.links.push((last, run.start));
        self.zero(m, run)?;
        table::append(&mut self.map.lock().runs, run)?;
        d.grow(more)
    }

    /// Runs `f`; if space is short, runs it again after a commit has returned what was freed.
    pub(crate) fn with_space<T>(&self, mut f: impl FnMut(&mut Meta) -> Result<T>) -> Result<T> {
        self.vol.check_writable()?;
        let mut m = self.vol.meta.lock();
        let r = match f(&mut m) {
            Err(Errno::ENOSPC) => {
                self.vol.reclaim(&mut m)?;
                f(&mut m)
            }
            r => r,
        };
        self.vol.trim(&mut m)?;
        self.vol.wake_later();
        r
    }

    /// Removes the entry at `place`: from the names, and from the disk at the next commit if it is there.
    pub(crate) fn drop_entry(&self, m: &mut Meta, d: &mut Dir, i: &FatInode, ghost: bool) -> Result<()> {
        m.removals.try_reserve(1)?;
        d.ghosts.try_reserve(1)?;
        let mut s = i.state.lock();
        let Some(place) = s.place.clone() else { return Err(Errno::ENOENT) };
        let rec = d.remove(place.slot);
        let (there, missing) = s.leave();
        if there {
            if let (Some(rec), true) = (rec, ghost) {
                d.ghosts.push(Ghost { name: rec.name, slot: place.slot, long: place.long, raw: s.raw, missing });
            }
            m.removals.push(place);
        } else {
            d.give(place.slot, place.long);
        }
        s.place = None;
        Ok(())
    }

    pub(crate) fn move_entry(&self, m: &mut Meta, r: &Rename<'_>) -> Result<()> {
        let (what, to) = (fat(r.what)?, fat(r.to)?);
        self.load_dir(m)?;
        to.load_dir(m)?;
        m.removals.try_reserve(2)?;
        m.dirty.try_reserve(1)?;
        let (what_arc, to_arc) = (what.arc()?, to.arc()?);
        let old = what.state.lock().place.clone().ok_or(Errno::ENOENT)?;
        let (was, mut raw) = {
            let s = what.state.lock();
            (s.disk, s.raw)
        };
        // One lock if there is one directory; under the volume's lock two cannot be taken in the opposite order.
        let mut from_dir = self.dir.lock();
        let mut to_dir = if r.same_dir { None } else { Some(to.dir.lock_nested(1)) };
        let (slot, long, name, head);
        if let Some(victim) = r.replaced {
            let victim = fat(victim)?;
            let d = to_dir.as_deref_mut().unwrap_or(&mut from_dir);
            let mut v = victim.state.lock();
            let place = v.place.take().ok_or(Errno::ENOENT)?;
            let rec = d.remove(place.slot).ok_or(Errno::ENOENT)?;
            victim.set_removed();
            let (over, missing) = v.leave();
            head = Head::of(&v.raw, missing, over);
            (slot, long, name) = (place.slot, place.long, rec.name);
            drop(v);
            victim.dir.lock_nested(2).dead = true;
            let mut s = what.state.lock();
            s.flush_first |= over;
        } else {
            let new = names::check(r.name)?;
            let d = to_dir.as_deref_mut().unwrap_or(&mut from_dir);
            let own = (r.same_dir && d.find(new)?.is_some()).then_some(old.slot);
            if own.is_none() && d.find(new)?.is_some() {
                return Err(Errno::EEXIST);
            }
            let (s, l, h) = to.spell(m, d, new, own)?;
            (slot, long, name) = (s, l, Box::from(new.as_bytes()));
            head = h;
        }
        // One more than on the disk; if the disk has no entry yet, the number is new already.
        let renames = was.map_or(raw.renames(), |disk| entry::next_rename(disk.renames()));
        raw[..11].copy_from_slice(&head.raw[..11]);
        raw[12] = head.raw[12];
        raw.set_renames(renames);
        self.drop_entry(m, &mut from_dir, what, false)?;
        let d = to_dir.as_deref_mut().unwrap_or(&mut from_dir);
        d.insert(Rec { name, slot, long, ino: what.ino, raw, inode: what.me.clone() })?;
        let above = to.link();
        {
            let mut s = what.state.lock();
            s.place = Some(Place { dir: to_arc, slot, long });
            s.raw = raw;
            s.long = head.long;
            s.over = head.over;
            if what_arc.is_dir() && !r.same_dir {
                s.parent = Some(above);
            }
        }
        drop(to_dir);
        drop(from_dir);
        what.list(m)
    }
}
