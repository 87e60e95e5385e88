//! A mounted volume.

use crate::buffers::Buffers;
use crate::check;
use crate::entry::{Raw, attr};
use crate::geometry::{FIRST, Geometry, STATE_DIRTY, STATE_IN_USE, refuse_if, u32_at};
use crate::object::{FatInode, Place};
use crate::table::{self, Run, Table};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use libos_base::abi::Timespec;
use libos_base::block::{BlockDevice, SECTOR};
use libos_base::sync::{Mutex, SpinLock, class};
use libos_base::{Errno, Result, thread, time};
use libos_fs::cache::ErrorSeq;
use libos_fs::inode::{FileSystem, StatFs};

/// `f_type` (linux/magic.h).
const MAGIC: i64 = 0x4d44;
/// The signatures at the beginning of an FSInfo sector and before its numbers. A sector without them is not one, and is
/// left alone.
const INFO: (u32, u32) = (0x4161_5252, 0x6141_7272);
/// How long changes wait before they are written without being asked for.
const DELAY_NS: u64 = 5 * time::NS;

/// Up to this many changed objects or removed names may always wait.
pub const MANY: usize = 2048;

/// Clusters of a removed file that nobody has open any more.
pub struct Orphan {
    pub runs: Vec<Run>,
    /// Used instead of `runs` if the chain was never read.
    pub first: u32,
    /// Whether an entry on the disk led to them.
    pub known: bool,
}

/// Everything that changes together.
pub struct Meta {
    pub table: Table,
    /// Objects whose entries may have to be written.
    pub dirty: Vec<Arc<FatInode>>,
    /// Entries to be removed from the disk.
    pub removals: Vec<Place>,
    /// Clusters that will be free once nothing on the disk refers to them.
    pub frees: Vec<Run>,
    /// The same after the write; they become free once that is flushed.
    pub waiting: Vec<(u64, Vec<Run>)>,
    /// Directories that grew: the chain must lead from the first cluster to the second.
    pub links: Vec<(u32, u32)>,
    /// The write up to which removed names are gone from the disk, once it is flushed.
    pub names: u64,
    /// From this many entries in `dirty` on, they are written without being asked for: they need memory.
    pub many: usize,
    /// Removed objects, perhaps still open.
    pub unlinked: Vec<Weak<FatInode>>,
    /// Whether the disk says that the volume is in use.
    pub marked: bool,
}

impl Meta {
    /// Whether nothing is waiting to be written.
    fn is_idle(&self) -> bool {
        self.dirty.is_empty() && self.removals.is_empty() && self.frees.is_empty() && self.table.buf.is_clean()
    }
}

/// A mounted volume.
pub struct Volume {
    pub dev: Arc<dyn BlockDevice>,
    pub geo: Geometry,
    pub id: u64,
    pub meta: Mutex<Meta>,
    read_only: AtomicBool,
    /// Counts completed writes; and its value when the last successful flush began.
    written: AtomicU64,
    flushed: AtomicU64,
    orphans: SpinLock<Vec<Orphan>>,
    next_ino: AtomicU64,
    /// The last creation time given to an object, in hundredths of a second.
    stamps: AtomicU64,
    me: Weak<Volume>,
    timer: AtomicBool,
    /// Errors of writing file data.
    pub errors: ErrorSeq,
}

/// Why a volume cannot be mounted.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no FAT volume, or a damaged one.
    Unusable(&'static str),
    Error(Errno),
}

impl From<Errno> for Refused {
    fn from(e: Errno) -> Self {
        Refused::Error(e)
    }
}

impl From<&'static str> for Refused {
    fn from(why: &'static str) -> Self {
        Refused::Unusable(why)
    }
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Refused::Unusable(s) => f.write_str(s),
            Refused::Error(e) => write!(f, "{e}"),
        }
    }
}

impl Volume {
    /// Mounts the volume on `dev`; returns its root directory. Problems are reported, and those that writing could make
    /// worse make it read-only.
    pub fn open(dev: Arc<dyn BlockDevice>, read_only: bool) -> core::result::Result<Arc<FatInode>, Refused> {
        refuse_if(dev.sectors() == 0, "the disk is empty")?;
        let mut boot = [0; 512];
        libos_base::block::read(&*dev, 0, &mut boot)?;
        let mut geo = Geometry::parse(&boot, dev.sectors() * SECTOR)?;
        let mut buf = Buffers::new(dev.clone(), &geo);
        let state = boot[geo.state_at as usize];
        let mut free = None;
        let mut unclean = state & STATE_IN_USE != 0;
        if let Some(at) = geo.info_at {
            let mut b = [0; 492];
            buf.read(at, &mut b)?;
            if (u32_at(&b, 0), u32_at(&b, 484)) == INFO {
                free = Some(u32_at(&b, 488)).filter(|&n| n <= geo.clusters);
                unclean = free.is_none();
            } else {
                geo.info_at = None;
            }
        }
        let dirty = state & STATE_DIRTY != 0 || Self::dirty_bit(&geo, &mut buf)?;
        let mut ro = read_only || dev.read_only();
        let name = dev.name();
        if dirty && !ro {
            libos_base::warn!(
                "{name}: another system did not unmount this volume: mounted read-only; check it with fsck.vfat"
            );
            ro = true;
        }
        let table = Table::new(geo, buf, free);
        let meta = Meta {
            table,
            dirty: Vec::new(),
            removals: Vec::new(),
            frees: Vec::new(),
            waiting: Vec::new(),
            links: Vec::new(),
            names: 0,
            many: MANY,
            unlinked: Vec::new(),
            marked: unclean,
        };
        let vol = Arc::new_cyclic(|me| Volume {
            dev: dev.clone(),
            geo,
            id: libos_fs::ramfs::anonymous_dev(),
            meta: Mutex::new(class::FAT_META, meta),
            read_only: AtomicBool::new(ro),
            written: AtomicU64::new(1),
            flushed: AtomicU64::new(0),
            orphans: SpinLock::new(class::FAT_ORPHANS, Vec::new()),
            next_ino: AtomicU64::new(2),
            stamps: AtomicU64::new(0),
            me: me.clone(),
            timer: AtomicBool::new(false),
            errors: ErrorSeq::new(),
        });
        if unclean && ro && !dirty {
            libos_base::warn!("{name}: was not unmounted; mounted read-only, so it is not checked");
        } else if unclean && !ro {
            check::run(&vol)?;
        }
        let mut raw: Raw = [0; 32];
        raw[11] = attr::DIR;
        let root = FatInode::new(&vol, 1, raw, None, false)?;
        root.load_dir(&mut vol.meta.lock()).map_err(|e| match e {
            Errno::EIO => Refused::Unusable("the root directory cannot be read"),
            e => Refused::Error(e),
        })?;
        Ok(root)
    }

    /// The bit in the second entry of the table that says that the volume was not unmounted.
    fn dirty_bit(geo: &Geometry, buf: &mut Buffers) -> Result<bool> {
        use crate::geometry::Kind;
        let (at, byte, bit) = match geo.kind {
            Kind::Fat12 => return Ok(false),
            Kind::Fat16 => (geo.fat_at + 2, 1, 0x80),
            Kind::Fat32 => (geo.fat_at + 4, 3, 0x08),
        };
        let mut b = [0; 4];
        buf.read(at, &mut b)?;
        Ok(b[byte] & bit == 0)
    }

    /// Whether nothing can be changed.
    pub fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Acquire)
    }
    pub fn set_read_only(&self) {
        self.read_only.store(true, Ordering::Release);
    }
    /// EROFS if nothing can be changed.
    pub fn check_writable(&self) -> Result<()> {
        if self.is_read_only() { Err(Errno::EROFS) } else { Ok(()) }
    }
    /// Something on the disk contradicts itself: reports that and stops writing.
    pub fn damaged(&self, what: &str) {
        if !self.read_only.swap(true, Ordering::AcqRel) {
            libos_base::error!(
                "{}: damaged volume: {what}; read-only from now on; check it with fsck.vfat",
                self.dev.name()
            );
        }
    }
    pub fn next_ino(&self) -> u64 {
        self.next_ino.fetch_add(1, Ordering::Relaxed)
    }
    /// The creation time for an object's entry: no two are the same, so that an empty file can be told from others (see
    /// [`crate::check`]).
    pub fn stamp(&self, now: Timespec) -> Timespec {
        let at = now.sec.max(0) as u64 * 100 + now.nsec as u64 / 10_000_000;
        let next = |last: u64| Some(at.max(last + 1));
        let t = match self.stamps.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(last) | Err(last) => at.max(last + 1),
        };
        Timespec { sec: (t / 100) as i64, nsec: (t % 100 * 10_000_000) as i64 }
    }
    /// Takes over the clusters of a removed object that is gone.
    pub fn orphan(&self, o: Orphan) {
        let mut list = self.orphans.lock();
        // Without memory for this, the next check finds the clusters.
        if list.try_reserve(1).is_ok() {
            list.push(o);
        }
    }

    /// A write was completed.
    pub fn wrote(&self) {
        self.written.fetch_add(1, Ordering::AcqRel);
    }
    /// Number of completed writes.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }
    /// The number of writes that are all durable.
    pub fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }
    /// Makes completed writes durable, if there are any.
    pub fn barrier(&self) -> Result<()> {
        let written = self.written();
        if self.flushed() < written {
            libos_base::block::flush(&*self.dev)?;
            self.flushed.fetch_max(written, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Takes over the clusters of objects that are gone.
    pub fn absorb(&self, m: &mut Meta) -> Result<()> {
        let gone = core::mem::take(&mut *self.orphans.lock());
        if gone.is_empty() {
            return Ok(());
        }
        m.unlinked.retain(|w| w.strong_count() > 0);
        for o in gone {
            let runs = if o.first == 0 { o.runs } else { m.table.chain(o.first, self.geo.clusters)?.0 };
            if o.known {
                m.frees.try_reserve(runs.len())?;
                m.frees.extend(runs);
            } else {
                // Nothing on the disk ever led to them.
                self.free(m, &runs)?;
            }
        }
        Ok(())
    }
    /// Frees clusters now.
    pub fn free(&self, m: &mut Meta, runs: &[Run]) -> Result<()> {
        for r in runs {
            // They may belong to a file before the waiting changes are written.
            m.links.retain(|(c, _)| !(r.start..r.start + r.len).contains(c));
            let size = u64::from(self.geo.cluster);
            m.table.buf.forget(self.geo.at(r.start), u64::from(r.len) * size);
            if !m.table.release(*r)? {
                self.damaged("clusters of a removed file were free already");
            }
        }
        Ok(())
    }

    /// Writes back after a while, unless somebody asks before.
    pub fn wake_later(&self) {
        if self.timer.swap(true, Ordering::AcqRel) {
            return;
        }
        let me = self.me.clone();
        let started = thread::spawn("fat", move || {
            loop {
                thread::park(time::after(DELAY_NS), false);
                let Some(vol) = me.upgrade() else { return };
                // Errors stay with the files, and the next round finds what is left.
                let _ = vol.sync_all();
                vol.timer.store(false, Ordering::Release);
                let idle = vol.is_read_only() || vol.meta.lock().is_idle();
                if idle || vol.timer.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
        if started.is_err() {
            self.timer.store(false, Ordering::Release);
        }
    }

    /// Number of clusters that are free or will be.
    fn free_clusters(&self, m: &mut Meta) -> Result<u32> {
        self.absorb(m)?;
        let mut n = m.table.count_free()?;
        n += m.frees.iter().map(|r| r.len).sum::<u32>();
        n += m.waiting.iter().flat_map(|w| &w.1).map(|r| r.len).sum::<u32>();
        for i in m.dirty.iter().filter(|i| !i.is_dir()) {
            let map = i.map.lock();
            n += table::total(&map.runs).saturating_sub(self.geo.clusters_for(i.length()).max(map.floor));
        }
        Ok(n)
    }
}

impl FileSystem for Volume {
    fn name(&self) -> &'static str {
        "vfat"
    }
    fn dev(&self) -> u64 {
        self.id
    }
    fn statfs(&self) -> StatFs {
        let free = u64::from(self.free_clusters(&mut self.meta.lock()).unwrap_or(0));
        StatFs {
            kind: MAGIC,
            bsize: i64::from(self.geo.cluster),
            frsize: i64::from(self.geo.cluster),
            blocks: u64::from(self.geo.clusters),
            bfree: free,
            bavail: free,
            fsid: [self.id as i32, 0],
            namelen: libos_fs::inode::NAME_MAX as i64,
            ..StatFs::default()
        }
    }
    fn sync(&self) -> Result<()> {
        self.sync_all()
    }
    fn errors(&self) -> Option<&ErrorSeq> {
        Some(&self.errors)
    }
    fn unmount(&self) -> Result<()> {
        let synced = self.sync_all();
        if self.is_read_only() {
            return synced;
        }
        let mut m = self.meta.lock();
        let finished = synced.and_then(|()| self.finish(&mut m));
        self.set_read_only();
        finished
    }
}

impl Volume {
    /// Leaves the volume cleanly closed: nothing is lost, free clusters are counted.
    fn finish(&self, m: &mut Meta) -> Result<()> {
        // Files that were removed but are still open end with the machine.
        for i in core::mem::take(&mut m.unlinked).iter().filter_map(Weak::upgrade) {
            let _io = i.io.lock();
            let runs = core::mem::take(&mut i.map.lock().runs);
            m.frees.extend(runs);
        }
        self.absorb(m)?;
        // Everything freed since the last flush waits for one.
        self.barrier()?;
        self.apply_frees(m)?;
        let rest = core::mem::take(&mut m.frees);
        self.free(m, &rest)?;
        if m.table.buf.write_back()? {
            self.wrote();
        }
        self.barrier()?;
        if !m.marked || m.table.buf.failed {
            return Ok(());
        }
        let free = m.table.count_free()?;
        match self.geo.info_at {
            Some(at) => {
                let next = FIRST.to_le_bytes();
                m.table.buf.write_through(at + 488, &[free.to_le_bytes(), next].concat())?;
            }
            None => self.set_state(m, 0)?,
        }
        self.wrote();
        self.barrier()?;
        m.marked = false;
        Ok(())
    }
    fn set_state(&self, m: &mut Meta, bit: u8) -> Result<()> {
        let mut b = [0];
        m.table.buf.read(self.geo.state_at, &mut b)?;
        m.table.buf.write_through(self.geo.state_at, &[b[0] & !STATE_IN_USE | bit])
    }
    /// Marks the volume as in use on the disk before the first change: with an unknown number of free clusters or, if
    /// there is no place for that, a bit of the state byte that nobody else uses.
    pub fn mark(&self, m: &mut Meta) -> Result<()> {
        if m.marked {
            return Ok(());
        }
        // From here on the disk no longer vouches for its count of free clusters.
        match self.geo.info_at {
            Some(at) => m.table.buf.write_through(at + 488, &[0xff; 4])?,
            None => self.set_state(m, STATE_IN_USE)?,
        }
        self.wrote();
        self.barrier()?;
        m.marked = true;
        Ok(())
    }
}
