//! An object of a volume, a file or directory: what is known of it, and its clusters and names in memory.
//!
//! Content moves between the page cache and the device by runs of clusters; only allocating clusters takes the volume's
//! lock. `valid` is how much of the file's content the device holds: beyond it the clusters have old content, which
//! reads as zeros here and is overwritten with zeros when something beyond it is written, or before the entry says that
//! the file extends there. So sparse files and fast upward truncation cost nothing until they are synced.

use crate::dir::Dir;
use crate::entry::{self, Entry, Raw, attr};
use crate::table::{self, Run};
use crate::view;
use crate::volume::{Meta, Orphan, Volume};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use libos_base::abi::mode::*;
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::{self, filled, push, with_room};
use libos_base::sync::{Mutex, Once, class};
use libos_base::{Errno, Result};
use libos_fs::cache::{Backing, FileCache};
use libos_fs::inode::Inode;

pub(crate) const PAGE: u64 = PAGE_SIZE as u64;

/// Where an entry is: its directory, the slot of its short entry, and the number of slots before it with the long name.
#[derive(Clone)]
pub struct Place {
    pub dir: Arc<FatInode>,
    pub slot: u32,
    pub long: u32,
}

impl Place {
    /// Whether it is this slot of this directory.
    pub fn is(&self, dir: &FatInode, slot: u32) -> bool {
        core::ptr::eq(&*self.dir, dir) && self.slot == slot
    }
}

/// What is known of an object besides its clusters.
#[derive(Default)]
pub struct State {
    /// Its name in memory. `None`: the root, or removed.
    pub place: Option<Place>,
    /// The short entry at that place on the disk; `None`: there is none yet.
    pub disk: Option<Raw>,
    /// Writing the entry at that place failed: `disk` is the most that can be there.
    pub unsure: bool,
    /// The short entry to be written; the commit fills in clusters, size and times.
    pub raw: Raw,
    /// Slots of the long name that the disk does not have yet.
    pub long: Vec<Raw>,
    pub mtime: i64,
    pub atime: i64,
    /// The disk once had an entry for it, so its clusters must be freed in order.
    pub known: bool,
    /// Whether it is on the volume's list of what may have to be written.
    pub listed: bool,
    /// Operations in progress that will change it.
    pub busy: u32,
    /// It replaces another file, so its content must be on the disk first.
    pub flush_first: bool,
    /// The disk has the entry of a removed file at `place`: writing this one replaces it.
    pub over: bool,
    /// For a directory that moved, the parent for its `..`.
    pub parent: Option<u32>,
    /// Number of open descriptions.
    pub users: u32,
}

impl State {
    /// The entry to be written, with the times; the commit adds clusters and size.
    pub fn entry(&self) -> Raw {
        let mut raw = self.raw;
        raw.set_mtime(self.mtime);
        raw.set_atime(self.atime);
        raw
    }
    /// Whether this is where it is.
    pub fn is_at(&self, place: &Place) -> bool {
        self.place.as_ref().is_some_and(|p| p.is(&place.dir, place.slot))
    }
    /// Called when it leaves its place. Returns whether the disk may have an entry there, and the slots of the long
    /// name that it may be missing.
    pub fn leave(&mut self) -> (bool, Vec<Raw>) {
        self.unsure = false;
        let there = self.disk.take().is_some();
        (core::mem::take(&mut self.over) || there, core::mem::take(&mut self.long))
    }
}

/// The clusters of an object.
#[derive(Default)]
pub struct Map {
    pub loaded: bool,
    pub runs: Vec<Run>,
    pub valid: u64,
    /// Clusters that a write in progress relies on.
    pub floor: u32,
}

/// A file or directory.
pub struct FatInode {
    pub vol: Arc<Volume>,
    pub me: Weak<FatInode>,
    pub ino: u64,
    pub kind: u32,
    pub state: Mutex<State>,
    pub map: Mutex<Map>,
    /// Held while content is written to the device, and while clusters are cut off.
    pub io: Mutex<()>,
    /// No name refers to it any more.
    pub removed: AtomicBool,
    pub(crate) writer: Mutex<()>,
    pub(crate) cache: Once<Arc<FileCache>>,
    pub dir: Mutex<Dir>,
}

impl FatInode {
    /// An object with this entry. `disk`: whether the entry is on the disk.
    pub fn new(vol: &Arc<Volume>, ino: u64, raw: Raw, place: Option<Place>, disk: bool) -> Result<Arc<FatInode>> {
        memory::check()?;
        let dir = raw.attr() & attr::DIR != 0;
        let state = State {
            place,
            disk: disk.then_some(raw),
            raw,
            mtime: raw.mtime(),
            atime: raw.atime(),
            known: disk,
            ..State::default()
        };
        let map = Map { valid: u64::from(raw.size()), ..Map::default() };
        let i = Arc::new_cyclic(|me| FatInode {
            vol: vol.clone(),
            me: me.clone(),
            ino,
            kind: if dir { S_IFDIR } else { S_IFREG },
            state: Mutex::new(class::FAT_STATE, state),
            map: Mutex::new(class::FAT_MAP, map),
            io: Mutex::new(class::FAT_IO, ()),
            removed: AtomicBool::new(false),
            writer: Mutex::new(class::FAT_WRITER, ()),
            cache: Once::new(),
            dir: Mutex::new(class::FAT_NAMES, Dir::default()),
        });
        if !dir {
            let backing: Weak<dyn Backing> = i.me.clone();
            let cache = FileCache::new(backing, u64::from(raw.size()))?;
            i.cache.set(|| cache);
        }
        Ok(i)
    }
    pub(crate) fn arc(&self) -> Result<Arc<FatInode>> {
        self.me.upgrade().ok_or(Errno::EIO)
    }
    pub fn is_dir(&self) -> bool {
        self.kind == S_IFDIR
    }
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }
    pub(crate) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
        if let Some(c) = self.cache.get() {
            c.set_orphan();
        }
    }
    /// Gives up the clusters of a file with neither a name nor an open description: the object itself may live on for a
    /// while if the background is working on it. A directory keeps its clusters as long as it lives: names in it may
    /// still have to be removed from the disk.
    pub(crate) fn evict(&self) {
        if self.is_dir() {
            return;
        }
        // After any write in progress.
        let _io = self.io.lock();
        let mut map = self.map.lock();
        let known = {
            let s = self.state.lock();
            if !self.is_removed() || s.users > 0 {
                return;
            }
            s.known
        };
        let runs = core::mem::take(&mut map.runs);
        drop(map);
        if !runs.is_empty() {
            self.vol.orphan(Orphan { runs, first: 0, known });
        }
    }
    pub(crate) fn file(&self) -> Result<&Arc<FileCache>> {
        self.cache.get().ok_or(Errno::EISDIR)
    }
    /// Length of a file.
    pub(crate) fn length(&self) -> u64 {
        self.cache.get().map_or(0, |c| c.size())
    }
    /// Writes dirty pages of a file to the device.
    pub fn flush(&self) -> Result<()> {
        self.cache.get().map_or(Ok(()), |c| c.flush(0..u64::MAX))
    }
    /// Whether the device is missing zeros that the file has.
    pub fn is_behind(&self) -> bool {
        !self.is_dir() && self.map.lock().valid < self.length()
    }
    /// Whether dirty pages are waiting.
    pub fn is_dirty(&self) -> bool {
        self.cache.get().is_some_and(|c| c.is_dirty())
    }

    /// The first cluster; 0: none.
    pub fn first(&self) -> u32 {
        let map = self.map.lock();
        if map.loaded { map.runs.first().map_or(0, |r| r.start) } else { self.state.lock().raw.first() }
    }

    /// Reads the chain, unless that has been done.
    pub(crate) fn load_map(&self) -> Result<()> {
        if self.map.lock().loaded {
            return Ok(());
        }
        self.load_map_in(&mut self.vol.meta.lock())
    }
    pub fn load_map_in(&self, m: &mut Meta) -> Result<()> {
        if self.map.lock().loaded {
            return Ok(());
        }
        let geo = &self.vol.geo;
        let (root, raw) = {
            let s = self.state.lock();
            (s.place.is_none() && !self.is_removed(), s.raw)
        };
        let mut runs = Vec::new();
        if self.is_dir() {
            let first = if root { geo.root_cluster } else { geo.first_of(&raw) };
            if !root || geo.root_len == 0 {
                let max = (view::SLOTS_MAX as u32 * 32).div_ceil(geo.cluster) + 1;
                let (r, ends) = m.table.chain(first, max).map_err(|e| self.broken(e))?;
                if !ends {
                    return Err(self.broken(Errno::EIO));
                }
                runs = r;
            }
        } else if raw.size() > 0 {
            let n = geo.clusters_for(u64::from(raw.size()));
            let (r, _) = m.table.chain(geo.first_of(&raw), n).map_err(|e| self.broken(e))?;
            if table::total(&r) < n {
                return Err(self.broken(Errno::EIO));
            }
            runs = r;
        }
        let mut map = self.map.lock();
        map.runs = runs;
        map.loaded = true;
        Ok(())
    }
    pub(crate) fn broken(&self, e: Errno) -> Errno {
        if e == Errno::EIO {
            self.vol.damaged("a chain of clusters is broken");
        }
        e
    }

    /// Where a slot of a directory is on the device.
    pub fn slot_at(&self, slot: u32) -> Result<u64> {
        let geo = &self.vol.geo;
        let at = u64::from(slot) * 32;
        let map = self.map.lock();
        if map.runs.is_empty() {
            // Only the root of FAT12 and FAT16 has no clusters.
            return if self.is_removed() { Err(Errno::EIO) } else { Ok(geo.root_at + at) };
        }
        let size = u64::from(geo.cluster);
        let run = table::find(&map.runs, (at / size) as u32).ok_or(Errno::EIO)?;
        Ok(geo.at(run.start) + at - u64::from(run.index) * size)
    }

    /// Reads the names of a directory, unless that has been done.
    pub(crate) fn load_names(&self) -> Result<()> {
        if self.dir.lock().loaded {
            return Ok(());
        }
        self.load_dir(&mut self.vol.meta.lock())
    }
    pub fn load_dir(&self, m: &mut Meta) -> Result<()> {
        if self.dir.lock().loaded {
            return Ok(());
        }
        self.load_map_in(m)?;
        let slots = self.read_slots(m)?;
        let doubles = self.dir.lock().load(&slots, || self.vol.next_ino())?;
        if !doubles.is_empty() {
            self.vol.damaged("a directory has two entries of one name");
        }
        Ok(())
    }
    /// All slots of a directory.
    pub fn read_slots(&self, m: &mut Meta) -> Result<Vec<Raw>> {
        let geo = self.vol.geo;
        let runs = self.map.lock().runs.clone();
        let mut pieces = with_room(runs.len() + 1)?;
        if runs.is_empty() {
            pieces.push((geo.root_at, geo.root_len));
        }
        pieces.extend(runs.iter().map(|r| (geo.at(r.start), u64::from(r.len) * u64::from(geo.cluster))));
        let bytes: u64 = pieces.iter().map(|p| p.1).sum();
        let mut slots = filled((bytes as usize / 32).min(view::SLOTS_MAX), [0; 32])?;
        let mut left = slots.as_flattened_mut();
        for (at, len) in pieces {
            let n = left.len().min(len as usize);
            let (now, rest) = left.split_at_mut(n);
            m.table.buf.read(at, now)?;
            left = rest;
        }
        Ok(slots)
    }

    /// Records that the volume may have to write this object's entry.
    pub fn list(&self, m: &mut Meta) -> Result<()> {
        let mut s = self.state.lock();
        if !s.listed {
            push(&mut m.dirty, self.arc()?)?;
            s.listed = true;
        }
        Ok(())
    }
    /// Begins a change of content or attributes.
    pub(crate) fn begin(&self) -> Result<Busy<'_>> {
        self.vol.check_writable()?;
        {
            let mut s = self.state.lock();
            s.busy += 1;
            if s.listed {
                return Ok(Busy(self));
            }
        }
        let busy = Busy(self);
        self.list(&mut self.vol.meta.lock())?;
        self.vol.wake_later();
        Ok(busy)
    }
    pub(crate) fn touch(&self) {
        let t = entry::whole(libos_fs::time::now());
        self.state.lock().mtime = t;
    }
}

/// While this exists, the object stays on the list of what may have to be written.
pub(crate) struct Busy<'a>(&'a FatInode);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state.lock().busy -= 1;
    }
}

pub(crate) fn fat(i: &Arc<dyn Inode>) -> Result<&FatInode> {
    i.downcast::<FatInode>().ok_or(Errno::EXDEV)
}

impl Drop for FatInode {
    fn drop(&mut self) {
        let known = self.state.lock().known;
        if self.is_removed() {
            let runs = core::mem::take(&mut self.map.lock().runs);
            let first = if runs.is_empty() && !self.map.lock().loaded { self.state.lock().raw.first() } else { 0 };
            self.vol.orphan(Orphan { runs, first, known });
        }
    }
}
