//! Names: the tree that path walks traverse.
//!
//! A [`Dentry`] is one name of one inode, with its parent and, for directories, the names below. For in-memory file
//! systems this tree is the directory; for others it is a cache. Parents hold their children and children their parent;
//! the cycle is cut when the name is removed.

use crate::inode::{DirEntry, Inode, NAME_MAX};
use crate::mount::Mount;
use crate::util::{room_for, try_arc};
use crate::walked;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering, Ordering::Relaxed};
use hashbrown::HashTable;
use libos_base::abi::mode::S_IFDIR;
use libos_base::sync::{Mutex, MutexGuard, SpinLock, class};
use libos_base::{Errno, Result, bytes};

/// A name, shared between an entry and its directory.
pub type Name = Arc<[u8]>;

/// A name in the tree. See the module.
pub struct Dentry {
    /// The object.
    pub inode: Arc<dyn Inode>,
    /// Its S_IF* bits.
    pub kind: u32,
    /// For directories: a name that is kept leads to the right object.
    stable: bool,
    /// See [`Inode::in_memory`].
    in_memory: bool,
    place: SpinLock<Place>,
    dir: Option<Mutex<Children>>,
    /// Its directory can look it up again.
    kept: bool,
    /// Number of mounts on top of this.
    pub(crate) covers: AtomicU32,
}

struct Place {
    parent: Option<Arc<Dentry>>,
    name: Name,
    removed: bool,
}

/// What `readdir` shows of an entry.
type Listed = (Name, Arc<Dentry>);

/// An entry by its name.
struct Entry {
    hash: u64,
    name: Name,
    dentry: Arc<Dentry>,
    cookie: u64,
}

impl Entry {
    #[inline]
    fn is(&self, hash: u64, name: &[u8]) -> bool {
        self.hash == hash && bytes::equal(&self.name, name)
    }
}

/// The names in one directory.
pub struct Children {
    names: HashTable<Entry>,
    /// Sorted by cookie, so that `readdir` continues correctly whatever was added or removed. `None`: removed.
    order: Vec<(u64, Option<Listed>)>,
    holes: usize,
    next: u64,
    /// From this many names on, unused ones are dropped.
    prune_at: usize,
    /// The directory was removed: nothing can be created in it.
    pub dead: bool,
}

/// Numbers of names, in one directory and in total, that are never too many.
const KEPT_MIN: usize = 256;
const ALL_MIN: usize = 1024;
/// The total number of names that can be looked up again, and how many are too many when memory is short.
static KEPT: AtomicUsize = AtomicUsize::new(0);
static SHRINK_AT: AtomicUsize = AtomicUsize::new(ALL_MIN);
/// First cookie: 1 and 2 are taken by `.` and `..`.
const FIRST: u64 = 3;

impl Children {
    fn new() -> Self {
        Self { names: HashTable::new(), order: Vec::new(), holes: 0, next: FIRST, prune_at: KEPT_MIN, dead: false }
    }
    /// The entry called `name`.
    #[inline(never)]
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Dentry>> {
        let hash = bytes::hash(name);
        self.names.find(hash, |e| e.is(hash, name)).map(|e| &e.dentry)
    }
    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
    pub(crate) fn reserve(&mut self) -> Result<()> {
        self.names.try_reserve(1, |e| e.hash).map_err(|_| Errno::ENOMEM)?;
        self.order.try_reserve(1)?;
        Ok(())
    }
    /// Adds an entry; the name must be free.
    pub fn insert(&mut self, name: Name, d: Arc<Dentry>) {
        let entry = Entry { hash: bytes::hash(&name), name: name.clone(), dentry: d.clone(), cookie: self.next };
        self.names.insert_unique(entry.hash, entry, |e| e.hash);
        self.order.push((self.next, Some((name, d))));
        self.next += 1;
    }
    /// Puts another object under an existing name, at the same position.
    pub fn replace(&mut self, name: &Name, d: Arc<Dentry>) {
        let hash = bytes::hash(name);
        if let Some(entry) = self.names.find_mut(hash, |e| e.is(hash, name)) {
            entry.dentry = d.clone();
            if let Ok(i) = self.order.binary_search_by_key(&entry.cookie, |o| o.0) {
                self.order[i].1 = Some((name.clone(), d));
            }
            walked::changed();
        }
    }
    /// Removes a name.
    pub fn remove(&mut self, name: &[u8]) {
        let hash = bytes::hash(name);
        let Ok(found) = self.names.find_entry(hash, |e| e.is(hash, name)) else { return };
        let entry = found.remove().0;
        walked::changed();
        if let Ok(i) = self.order.binary_search_by_key(&entry.cookie, |o| o.0) {
            self.order[i].1 = None;
            self.holes += 1;
        }
        if self.holes > 32 && self.holes > self.order.len() / 2 {
            self.order.retain(|o| o.1.is_some());
            self.holes = 0;
        }
    }
    /// Drops the names that nobody uses: they can be looked up again.
    fn prune(&mut self) {
        // Two references are ours. Open files, mounts and names below hold further ones.
        self.order.retain(|o| o.1.as_ref().is_some_and(|(_, d)| Arc::strong_count(d) > 2));
        self.names.retain(|e| Arc::strong_count(&e.dentry) > 1);
        self.holes = 0;
        self.prune_at = KEPT_MIN.max(2 * self.names.len());
    }
    /// Entries after offset `from`.
    fn list(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let start = self.order.partition_point(|o| o.0 < from.max(FIRST));
        for (cookie, e) in &self.order[start..] {
            let Some((name, d)) = e else { continue };
            let ino = d.inode.stat()?.ino;
            if !emit(DirEntry { name, ino, kind: d.inode.kind(), next: cookie + 1 }) {
                break;
            }
        }
        Ok(())
    }
}

/// A shared copy of a name; ENAMETOOLONG above NAME_MAX.
pub fn name(n: &[u8]) -> Result<Name> {
    if n.len() > NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    room_for(n.len() + 16)?;
    Ok(Arc::from(n))
}

impl Dentry {
    /// A name for `inode` under `parent`; not added to the parent's list yet.
    pub fn new(parent: Option<Arc<Dentry>>, name: Name, inode: Arc<dyn Inode>) -> Result<Arc<Dentry>> {
        let kind = inode.kind();
        let (stable, in_memory) = (!inode.volatile(), inode.in_memory());
        let dir = (kind == S_IFDIR).then(|| Mutex::new(class::DIRECTORY, Children::new()));
        let kept = parent.as_ref().is_some_and(|p| !p.inode.in_memory());
        let place = SpinLock::new(class::DENTRY_PLACE, Place { parent, name, removed: false });
        KEPT.fetch_add(usize::from(kept), Relaxed);
        try_arc(Dentry { inode, kind, stable, in_memory, place, dir, kept, covers: AtomicU32::new(0) })
    }
    /// The root of a file system.
    pub fn root(inode: Arc<dyn Inode>) -> Result<Arc<Dentry>> {
        Self::new(None, name(b"/")?, inode)
    }
    /// An object without a place in any tree (memfd, O_TMPFILE).
    pub fn anonymous(label: &[u8], inode: Arc<dyn Inode>) -> Result<Arc<Dentry>> {
        room_for(label.len() + 16)?;
        let d = Self::new(None, Arc::from(label), inode)?;
        d.place.lock().removed = true;
        Ok(d)
    }

    /// The names below; ENOTDIR if this is not a directory.
    pub fn children(&self) -> Result<MutexGuard<'_, Children>> {
        self.children_under(0)
    }
    /// The same while `above` directories are locked that come before this one.
    pub(crate) fn children_under(&self, above: u8) -> Result<MutexGuard<'_, Children>> {
        Ok(self.dir.as_ref().ok_or(Errno::ENOTDIR)?.lock_nested(above))
    }
    /// The directory above; `None` at the root of the file system.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }
    /// The last component.
    pub fn name(&self) -> Name {
        self.place.lock().name.clone()
    }
    /// Whether the name was removed (the object may live on in descriptors).
    pub fn removed(&self) -> bool {
        self.place.lock().removed
    }
    pub(crate) fn set_removed(&self) {
        self.place.lock().removed = true;
    }
    pub(crate) fn set_place(&self, parent: Arc<Dentry>, name: Name) {
        let old = {
            let mut p = self.place.lock();
            p.name = name;
            p.parent.replace(parent)
        };
        drop(old);
    }
    /// Whether `self` is `other` or above it.
    pub fn is_above(&self, other: &Arc<Dentry>) -> bool {
        let mut at = Some(other.clone());
        while let Some(d) = at {
            if core::ptr::eq(self, &*d) {
                return true;
            }
            at = d.parent();
        }
        false
    }

    /// See [`Inode::in_memory`].
    pub fn in_memory(&self) -> bool {
        self.in_memory
    }
    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.dir.is_some()
    }

    /// The entry `n` of this directory.
    pub fn lookup(self: &Arc<Self>, n: &[u8]) -> Result<Arc<Dentry>> {
        let mut c = self.children()?;
        self.lookup_in(&mut c, n)
    }
    /// Like `lookup`, with the directory locked.
    #[inline]
    pub fn lookup_in(self: &Arc<Self>, c: &mut Children, n: &[u8]) -> Result<Arc<Dentry>> {
        if let Some(d) = self.sure(c, n) { Ok(d) } else { self.look_further(c, n) }
    }
    /// The entry `n`, if it is kept and need not be looked up again.
    #[inline]
    fn sure(&self, c: &Children, n: &[u8]) -> Option<Arc<Dentry>> {
        let d = c.get(n)?;
        if self.stable || d.covers.load(Ordering::Acquire) > 0 { Some(d.clone()) } else { None }
    }
    /// The entry `n` if that is known without asking the file system. `None`: it has to be asked.
    #[inline]
    pub(crate) fn at_hand(&self, n: &[u8]) -> Result<Option<Arc<Dentry>>> {
        let c = self.children()?;
        match self.sure(&c, n) {
            None if self.in_memory && n.len() <= NAME_MAX => Err(Errno::ENOENT),
            found => Ok(found),
        }
    }
    #[inline(never)]
    fn look_further(self: &Arc<Self>, c: &mut Children, n: &[u8]) -> Result<Arc<Dentry>> {
        let kept = c.get(n).cloned();
        if n.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        if self.in_memory {
            return Err(Errno::ENOENT);
        }
        let found = self.inode.lookup(n);
        if let Some(d) = kept {
            match &found {
                Ok(i) if Arc::ptr_eq(i, &d.inode) => return Ok(d),
                Ok(_) | Err(Errno::ENOENT) => c.remove(n),
                Err(_) => {}
            }
        }
        let inode = found?;
        // One dentry per object, whatever the case it was asked for in.
        let real = self.inode.real_name(n);
        let n = name(real.as_deref().unwrap_or(n))?;
        if real.is_some()
            && let Some(d) = c.get(&n)
            && Arc::ptr_eq(&d.inode, &inode)
        {
            return Ok(d.clone());
        }
        let keep = inode.cacheable();
        let d = Dentry::new(Some(self.clone()), n.clone(), inode)?;
        if keep {
            self.reserve(c)?;
            c.insert(n, d.clone());
        }
        Ok(d)
    }
    /// Makes room for another name in `c`, so that the next `insert` cannot fail. Drops unused names when there are too
    /// many: each name has an object behind it.
    pub fn reserve(&self, c: &mut Children) -> Result<()> {
        if !self.inode.in_memory() {
            let n = c.names.len();
            if n >= c.prune_at && (self.inode.volatile() || crate::sync::is_much(n)) {
                c.prune();
            }
            let all = KEPT.load(Relaxed);
            if all >= SHRINK_AT.load(Relaxed) && crate::sync::is_much(all) {
                shrink();
                SHRINK_AT.store(ALL_MIN.max(2 * KEPT.load(Relaxed)), Relaxed);
            }
        }
        c.reserve()
    }
    /// Entries from offset `from` on, without `.` and `..`.
    pub fn readdir(&self, from: u64, emit: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let c = self.children()?;
        if self.inode.in_memory() { c.list(from, emit) } else { self.inode.readdir(from, emit) }
    }
}

impl Drop for Dentry {
    fn drop(&mut self) {
        KEPT.fetch_sub(usize::from(self.kept), Relaxed);
    }
}

/// Drops unused names everywhere except in locked directories: the caller may hold those locks.
#[cold]
fn shrink() {
    let mut dirs: Vec<Arc<Dentry>> = crate::mount::list().iter().map(|m| m.root.clone()).collect();
    let mut at = 0;
    while let Some(d) = dirs.get(at).cloned() {
        at += 1;
        let Some(c) = d.dir.as_ref().and_then(Mutex::try_lock) else { continue };
        for (_, below) in c.order.iter().filter_map(|o| o.1.as_ref()) {
            if below.dir.is_some() && below.kept && dirs.try_reserve(1).is_ok() {
                dirs.push(below.clone());
            }
        }
    }
    // Lower directories come later in the list, and go first.
    while let Some(d) = dirs.pop() {
        if !d.inode.in_memory()
            && let Some(mut c) = d.dir.as_ref().and_then(Mutex::try_lock)
        {
            c.prune();
        }
    }
}

/// A place in the namespace: a dentry as seen through a mount.
#[derive(Clone)]
pub struct Path {
    pub mount: Arc<Mount>,
    pub dentry: Arc<Dentry>,
}

impl Path {
    /// The object.
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.dentry.inode
    }
    /// The same place.
    pub fn same(&self, other: &Path) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }
    /// What is mounted here, or the place itself.
    #[inline]
    pub fn into_mounted(self) -> Path {
        if self.dentry.covers.load(Ordering::Acquire) > 0 { self.topmost() } else { self }
    }
    #[inline(never)]
    fn topmost(mut self) -> Path {
        while self.dentry.covers.load(Ordering::Acquire) > 0 {
            match crate::mount::on_top(&self) {
                Some(p) => self = p,
                None => break,
            }
        }
        self
    }
    /// The directory above, going through mount points; the root's parent is itself.
    pub fn parent(&self, root: &Path) -> Path {
        let mut at = self.clone();
        loop {
            if at.same(root) {
                return at;
            }
            if let Some(dentry) = at.dentry.parent() {
                return Path { mount: at.mount, dentry }.into_mounted();
            }
            match at.mount.place() {
                Some(below) => at = below,
                None => return at,
            }
        }
    }
    /// Absolute path as seen from `root`; `None` if the place is not below it.
    pub fn text(&self, root: Option<&Path>) -> Option<Vec<u8>> {
        let mut names: Vec<Name> = Vec::new();
        let mut at = self.clone();
        loop {
            if root.is_some_and(|r| at.same(r)) {
                break;
            }
            match (at.dentry.parent(), at.mount.place()) {
                (Some(p), _) => {
                    names.push(at.dentry.name());
                    at.dentry = p;
                }
                (None, Some(below)) => at = below,
                (None, None) if root.is_none() && !at.dentry.removed() => break,
                (None, None) if root.is_none() => return Some(at.dentry.name().to_vec()),
                (None, None) => return None,
            }
        }
        let mut out = Vec::with_capacity(names.iter().map(|n| n.len() + 1).sum());
        for n in names.iter().rev() {
            out.push(b'/');
            out.extend_from_slice(n);
        }
        if out.is_empty() {
            out.push(b'/');
        }
        Some(out)
    }
}
