//! The check of a volume that was not cleanly unmounted: everything is walked once.
//!
//! What our own commits can leave behind is repaired: clusters without an owner are freed, chains longer than their
//! file are cut, of two names of one file that was being renamed the older is removed, remains of long names are
//! removed, and the second table is made equal to the first. Anything worse did not come from us: the volume is mounted
//! read-only.
//!
//! The disk may say anything. Every cluster belongs to one owner, so the walk ends; directories wait in a list, not on
//! the stack; the memory used is a bit per cluster and a few bytes per object, and without it the volume is read-only.

use crate::dir::{Dir, is_object};
use crate::entry::{DELETED, Entry, Raw, attr, next_rename};
use crate::geometry::FIRST;
use crate::object::FatInode;
use crate::table::{BAD, END, FREE, Run};
use crate::view;
use crate::volume::{Meta, Refused, Volume};
use alloc::sync::Arc;
use alloc::vec::Vec;
use hashbrown::HashMap;
use libos_base::Errno;
use libos_base::layout::PAGE_SIZE;
use libos_base::memory::{filled, push, with_room};

/// Why the check ends early.
enum Stop {
    Damaged(&'static str),
    Error(Errno),
}

impl From<Errno> for Stop {
    fn from(e: Errno) -> Self {
        match e {
            Errno::EIO => Stop::Damaged("sectors cannot be read or chains are broken"),
            e => Stop::Error(e),
        }
    }
}

type Done<T = ()> = Result<T, Stop>;

/// A directory that was found: its first cluster (0: the root of FAT12 and FAT16) and its parent's.
struct Folder {
    first: u32,
    parent: u32,
}

/// An entry, and what distinguishes it from others of the same file.
#[derive(Clone, Copy)]
struct Owner {
    /// The index of the folder that the entry is in.
    folder: u32,
    slot: u32,
    long: u32,
    renames: u8,
    made: u64,
}

impl Owner {
    fn is(&self, other: &Owner) -> bool {
        (self.folder, self.slot) == (other.folder, other.slot)
    }
}

/// Two entries of an object that was being renamed.
struct Twins {
    old: Owner,
    new: Owner,
    /// Its first cluster, if it has any.
    first: u32,
    dir: bool,
}

/// More than a commit can leave: not our doing, or not worth the time.
const TWINS_MAX: usize = 20_000;
const DOUBLES_MAX: usize = 100;

struct Check<'a> {
    vol: &'a Arc<Volume>,
    m: &'a mut Meta,
    claimed: Vec<u64>,
    folders: Vec<Folder>,
    owners: HashMap<u32, Owner>,
    /// Files without clusters.
    empty: Vec<Owner>,
    /// Files that were renamed, by creation time and number of renames.
    renamed: HashMap<(u64, u8), Owner>,
    twins: Vec<Twins>,
    /// Entries of one name.
    doubles: Vec<(Owner, Owner)>,
    lost: u32,
    renames: u32,
    other: u32,
}

/// Checks and repairs. Returns what was done.
pub fn run(vol: &Arc<Volume>) -> Result<(), Refused> {
    let mut m = vol.meta.lock();
    let mut c = Check {
        vol,
        m: &mut m,
        claimed: Vec::new(),
        folders: Vec::new(),
        owners: HashMap::new(),
        empty: Vec::new(),
        renamed: HashMap::new(),
        twins: Vec::new(),
        doubles: Vec::new(),
        lost: 0,
        renames: 0,
        other: 0,
    };
    let name = vol.dev.name();
    match c.all() {
        Ok(()) => {
            let (lost, renames, other) = (c.lost, c.renames, c.other);
            if lost + renames + other > 0 {
                libos_base::warn!(
                    "{name}: was not unmounted: {lost} lost clusters freed, {renames} renames finished, {other} other \
                     remains removed"
                );
            }
        }
        Err(Stop::Damaged(what)) => vol.damaged(what),
        Err(Stop::Error(e)) => {
            libos_base::warn!("{name}: was not unmounted and cannot be checked ({e}): mounted read-only");
            vol.set_read_only();
        }
    }
    Ok(())
}

impl Check<'_> {
    fn all(&mut self) -> Done {
        let geo = self.vol.geo;
        let words = (geo.clusters as usize).div_ceil(64);
        self.claimed = filled(words, 0)?;
        push(&mut self.folders, Folder { first: geo.root_cluster, parent: 0 })?;
        let mut at = 0;
        while at < self.folders.len() {
            self.find(at)?;
            at += 1;
        }
        self.resolve()?;
        self.write()?;
        for at in 0..self.folders.len() {
            self.settle(at)?;
        }
        self.write()?;
        let mut free = 0;
        for c in FIRST..FIRST + geo.clusters {
            match self.m.table.get(c)? {
                FREE | BAD => {}
                _ if self.is_claimed(c) => {}
                _ => {
                    self.m.table.set(c, FREE)?;
                    self.lost += 1;
                }
            }
            free += u32::from(self.m.table.is_free(c)?);
            if self.m.table.buf.full() {
                self.write()?;
            }
        }
        self.m.table.free = Some(free);
        self.write()?;
        self.equal_tables()
    }
    fn write(&mut self) -> Done {
        if self.m.table.buf.write_back()? {
            self.vol.wrote();
        }
        Ok(self.vol.barrier()?)
    }

    fn is_claimed(&self, c: u32) -> bool {
        let i = c - FIRST;
        self.claimed[i as usize / 64] & 1 << (i % 64) != 0
    }
    /// Gives a cluster its owner.
    fn claim(&mut self, c: u32) -> Done {
        if !self.vol.geo.valid(c) {
            return Err(Stop::Damaged("a chain leads out of the volume"));
        }
        if self.is_claimed(c) {
            return Err(Stop::Damaged("two files share clusters"));
        }
        let i = c - FIRST;
        self.claimed[i as usize / 64] |= 1 << (i % 64);
        Ok(())
    }

    /// A directory for reading slots only, without its names in memory.
    fn folder(&mut self, at: usize) -> Done<Arc<FatInode>> {
        let geo = &self.vol.geo;
        let mut raw: Raw = [0; 32];
        raw[11] = attr::DIR;
        let i = FatInode::new(self.vol, 0, raw, None, false)?;
        let first = self.folders[at].first;
        let mut map = i.map.lock();
        if first != 0 {
            let max = (view::SLOTS_MAX as u32 * 32).div_ceil(geo.cluster) + 1;
            let (runs, ends) = self.m.table.chain(first, max)?;
            if !ends {
                return Err(Stop::Damaged("a directory does not end"));
            }
            map.runs = runs;
        }
        map.loaded = true;
        drop(map);
        Ok(i)
    }
    fn erase(&mut self, dir: &FatInode, slot: u32, long: u32) -> Done {
        for s in slot - long..=slot {
            self.m.table.buf.write(dir.slot_at(s)?, &[DELETED])?;
        }
        Ok(())
    }

    /// Records all objects of a directory, and finds objects with two names.
    fn find(&mut self, at: usize) -> Done {
        let dir = self.folder(at)?;
        let runs: Vec<Run> = dir.map.lock().runs.clone();
        for r in &runs {
            for c in r.start..r.start + r.len {
                self.claim(c)?;
            }
        }
        let slots = dir.read_slots(self.m)?;
        let end = slots.iter().position(|s| s[0] == 0).unwrap_or(slots.len());
        let mut found = Vec::new();
        view::entries(&slots[..end], |f| push(&mut found, (f.slot, f.long.min(f.slot))))?;
        let mut here: Vec<Owner> = with_room(found.len())?;
        for (slot, long) in found {
            let raw = &slots[slot as usize];
            let first = self.vol.geo.first_of(raw);
            let is_dir = raw.attr() & attr::DIR != 0;
            let new = Owner { folder: at as u32, slot, long, renames: raw.renames(), made: raw.created_stamp() };
            here.push(new);
            if new.renames != 0 && !is_dir {
                self.renamed.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                self.renamed.insert((new.made, new.renames), new);
            }
            if first == 0 || !is_dir && raw.size() == 0 {
                if is_dir {
                    return Err(Stop::Damaged("a directory has no clusters"));
                }
                push(&mut self.empty, new)?;
                continue;
            }
            self.owners.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            self.twins.try_reserve(1).map_err(Errno::from)?;
            let Some(old) = self.owners.insert(first, new) else {
                if is_dir {
                    let parent = self.link(at);
                    push(&mut self.folders, Folder { first, parent })?;
                }
                continue;
            };
            let after = |a: &Owner, b: &Owner| a.renames == next_rename(b.renames);
            if self.twins.iter().any(|t| t.first == first) || self.twins.len() >= TWINS_MAX {
                return Err(Stop::Damaged("many entries lead to the same clusters"));
            }
            self.twins.push(match (after(&new, &old), after(&old, &new)) {
                (true, _) => Twins { old, new, first, dir: is_dir },
                (_, true) => Twins { old: new, new: old, first, dir: is_dir },
                _ => return Err(Stop::Damaged("two entries lead to the same clusters")),
            });
        }
        for (a, b) in Dir::default().load(&slots, || 0)? {
            if self.doubles.len() >= DOUBLES_MAX {
                return Err(Stop::Damaged("a directory has many entries of one name"));
            }
            let find = |slot| here.iter().find(|o| o.slot == slot).copied();
            if let (Some(a), Some(b)) = (find(a), find(b)) {
                push(&mut self.doubles, (a, b))?;
            }
        }
        Ok(())
    }

    /// Of two entries of one object, removes the older; of two entries of one name, removes one.
    ///
    /// A name can exist twice if its file was renamed and another file took its place, all in one phase of a commit. If
    /// the first file's new entry exists, its old one is removed anyway. If not, the phase was not completed and nobody
    /// was promised anything of it: the file that took the place goes back to its own old name or, if it was new, is
    /// removed.
    fn resolve(&mut self) -> Done {
        for e in core::mem::take(&mut self.empty) {
            if let Some(new) = self.renamed.get(&(e.made, next_rename(e.renames))) {
                push(&mut self.twins, Twins { old: e, new: *new, first: 0, dir: false })?;
            }
        }
        let mut gone: Vec<Owner> = with_room(self.twins.len() + self.doubles.len())?;
        gone.extend(self.twins.iter().map(|t| t.old));
        // Each step resolves one pair and can open another; forged entries could go round forever.
        for _ in 0..4 * DOUBLES_MAX {
            let is_gone = |gone: &[Owner], o: &Owner| gone.iter().any(|g| g.is(o));
            let open = self.doubles.iter().find(|(a, b)| !is_gone(&gone, a) && !is_gone(&gone, b));
            let Some((a, b)) = open else { break };
            gone.try_reserve(1).map_err(Errno::from)?;
            match self.twins.iter().find(|t| t.new.is(a) || t.new.is(b)) {
                Some(t) => {
                    gone.retain(|g| !g.is(&t.old));
                    gone.push(t.new);
                }
                None => gone.push(if a.made > b.made { *a } else { *b }),
            }
        }
        for t in core::mem::take(&mut self.twins) {
            let kept = if gone.iter().any(|g| g.is(&t.old)) { t.new } else { t.old };
            let parent = self.link(kept.folder as usize);
            if !t.dir {
                continue;
            }
            if let Some(f) = self.folders.iter_mut().find(|f| f.first == t.first) {
                f.parent = parent;
            }
        }
        for g in gone {
            let place = self.folder(g.folder as usize)?;
            self.erase(&place, g.slot, g.long)?;
            self.renames += 1;
        }
        Ok(())
    }
    /// The cluster number in the `..` of directories below a folder.
    fn link(&self, at: usize) -> u32 {
        if at == 0 { 0 } else { self.folders[at].first }
    }

    /// Assigns the files of a directory their clusters, and removes remains of entries.
    fn settle(&mut self, at: usize) -> Done {
        let dir = self.folder(at)?;
        let slots = dir.read_slots(self.m)?;
        let end = slots.iter().position(|s| s[0] == 0).unwrap_or(slots.len());
        for (i, slot) in slots.iter().enumerate().skip(end) {
            if *slot != [0; 32] {
                self.m.table.buf.write(dir.slot_at(i as u32)?, &[0; 32])?;
                self.other += 1;
            }
        }
        // Slots of long names that belong to no entry.
        let mut used = filled(end, false)?;
        view::entries(&slots[..end], |f| {
            used[(f.slot - f.long.min(f.slot)) as usize..=f.slot as usize].fill(true);
            Ok(())
        })?;
        for i in 0..end {
            let raw = slots[i];
            if raw[0] != DELETED && raw.attr() & attr::LONG == attr::LONG && !used[i] {
                self.m.table.buf.write(dir.slot_at(i as u32)?, &[DELETED])?;
                self.other += 1;
            }
        }
        for (i, mut raw) in slots[..end].iter().copied().enumerate() {
            if !is_object(&raw) {
                continue;
            }
            let place = dir.slot_at(i as u32)?;
            let first = self.vol.geo.first_of(&raw);
            if at > 0 && i < 2 && raw[0] == b'.' {
                let want = if i == 0 { self.folders[at].first } else { self.folders[at].parent };
                if first != want {
                    if i == 0 {
                        return Err(Stop::Damaged("a directory is not where it says"));
                    }
                    raw.set_first(want, self.vol.geo.wide());
                    self.m.table.buf.write(place, &raw)?;
                    self.other += 1;
                }
                continue;
            }
            if raw.attr() & attr::DIR != 0 {
                continue;
            }
            let n = self.vol.geo.clusters_for(u64::from(raw.size()));
            if n == 0 {
                if first != 0 {
                    raw.set_first(0, true);
                    self.m.table.buf.write(place, &raw)?;
                    self.other += 1;
                }
                continue;
            }
            self.own(first, n)?;
        }
        Ok(())
    }
    /// Claims the `n` clusters of a file, and ends the chain there.
    fn own(&mut self, first: u32, n: u32) -> Done {
        let mut c = first;
        for k in 1..=n {
            self.claim(c)?;
            let next = self.m.table.get(c)?;
            if k == n {
                if next != END {
                    self.m.table.set(c, END)?;
                    self.other += 1;
                }
            } else if next == END || next == FREE {
                return Err(Stop::Damaged("a file is longer than its clusters"));
            }
            c = next;
        }
        Ok(())
    }

    /// Makes all copies of the table equal to the first.
    fn equal_tables(&mut self) -> Done {
        let geo = self.vol.geo;
        let mut ours = with_room(PAGE_SIZE)?;
        let mut differ = 0;
        for at in (0..geo.fat_len).step_by(PAGE_SIZE) {
            ours.resize((geo.fat_len - at).min(PAGE_SIZE as u64) as usize, 0);
            self.m.table.buf.read(geo.fat_at + at, &mut ours)?;
            for copy in 1..geo.fats {
                let to = geo.fat_at + copy * geo.fat_len + at;
                differ += u32::from(self.m.table.buf.make_equal(to, &ours)?);
            }
        }
        if differ > 0 {
            self.other += 1;
            self.write()?;
        }
        Ok(())
    }
}
