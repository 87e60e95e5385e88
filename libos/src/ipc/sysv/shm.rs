//! Shared memory segments (shmget(2), shmat(2), shmctl(2)).
//!
//! A segment's content is a file in memory without a name. Each `shmat` maps it through an [`Attachment`], which the
//! mapping keeps; so a segment knows how many there are, and ends with the last one once it was removed.

use super::ids::{Ids, Statistics, Which};
use super::permission::{EXEC, Permission, READ, WRITE};
use super::proc::{self, setting};
use super::seconds;
use crate::mm::program::{self, Place};
use crate::mm::vma::Flags;
use crate::mm::{Prot, stats};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use libos_base::abi::{IpcPerm, OpenFlags, ShmIdDs};
use libos_base::cred::cap;
use libos_base::file::{Description, FileLike};
use libos_base::layout::PAGE_SIZE;
use libos_base::limits::MEMLOCK;
use libos_base::page::Page;
use libos_base::rmap::Mappings;
use libos_base::sync::{SpinLock, class};
use libos_base::thread::PID;
use libos_base::{Errno, Result};
use libos_fs::inode::Inode;
use libos_fs::procfs::{More, Node, SYS_KERNEL};
use libos_fs::root;
use libos_fs::util::try_arc;

#[cfg(unibody_kernel)]
crate::component!("shm", wanted by [shmget], starts start);

/// The defaults of SHMMAX and SHMALL (linux/shm.h): less than what an addition would make overflow.
const MOST: u64 = u64::MAX - (1 << 24);
/// Bytes of a segment; pages of all; segments.
pub static MAX: AtomicU64 = AtomicU64::new(MOST);
pub static ALL: AtomicU64 = AtomicU64::new(MOST);
pub static NUMBER: AtomicUsize = AtomicUsize::new(4096);

static LIMITS: More = More::new(&[
    setting!("shmall", ALL, (0..=u64::MAX)),
    setting!("shmmax", MAX, (0..=u64::MAX)),
    setting!("shmmni", NUMBER, (0..=32768)),
]);
static LIST: More = More::new(&[("shm", Node::File(list))]);

extern "C" fn start() {
    proc::show(&LIST);
    LIMITS.add_to(&SYS_KERNEL);
}

/// In the mode: removed, and locked.
const DEST: u32 = 0o1000;
const LOCKED: u32 = 0o2000;
/// Flags of `shmat`, and of `shmget`.
const RDONLY: u32 = 0o10000;
const RND: u32 = 0o20000;
const REMAP: u32 = 0o40000;
const EXECUTE: u32 = 0o100000;
const HUGETLB: u32 = 0o4000;

struct State {
    permission: Permission,
    attached: u64,
    atime: i64,
    dtime: i64,
    ctime: i64,
    last: i32,
    /// It is on its way out of the table.
    gone: bool,
}

/// A segment.
pub struct Segment {
    size: usize,
    /// The key that it was made for.
    key: i32,
    content: Arc<dyn Inode>,
    state: SpinLock<State>,
    _pages: Pages,
}

/// Pages counted against SHMALL, until dropped.
struct Pages(u64);
static PAGES: AtomicU64 = AtomicU64::new(0);

impl Pages {
    fn take(n: u64) -> Result<Self> {
        let more = |sum: u64| sum.checked_add(n).filter(|&sum| sum <= ALL.load(Relaxed));
        PAGES.fetch_update(Relaxed, Relaxed, more).map_err(|_| Errno::ENOSPC)?;
        Ok(Self(n))
    }
}
impl Drop for Pages {
    fn drop(&mut self) {
        PAGES.fetch_sub(self.0, Relaxed);
    }
}

static SEGMENTS: Ids<Segment> = Ids::new();

/// `shmget`.
pub fn get(key: i32, size: usize, flags: u32) -> Result<i32> {
    let check = |s: &Segment| {
        if s.size < size {
            return Err(Errno::EINVAL);
        }
        s.permission().allows(flags)
    };
    SEGMENTS.get(key, flags, NUMBER.load(Relaxed), check, || Segment::new(key, size, flags))
}

impl Segment {
    fn new(key: i32, size: usize, flags: u32) -> Result<Self> {
        if size == 0 || size as u64 > MAX.load(Relaxed) {
            return Err(Errno::EINVAL);
        }
        let pages = size.checked_next_multiple_of(PAGE_SIZE).ok_or(Errno::ENOSPC)? / PAGE_SIZE;
        let pages = Pages::take(pages as u64)?;
        // There are no huge pages; and more than all memory is refused, as it is by mmap.
        if flags & HUGETLB != 0 || pages.0 > stats().total as u64 {
            return Err(Errno::ENOMEM);
        }
        let content = root::anonymous()?.root.inode.tmpfile(0o777, false)?;
        content.resize(size as u64)?;
        let permission = Permission::new(key, flags);
        let state = State { permission, attached: 0, atime: 0, dtime: 0, ctime: seconds(), last: 0, gone: false };
        Ok(Self { size, key, content, state: SpinLock::new(class::IPC_OBJECT, state), _pages: pages })
    }
    fn permission(&self) -> Permission {
        self.state.lock().permission
    }
    /// As the program sees it.
    fn shown(&self, id: i32) -> ShmIdDs {
        let s = self.state.lock();
        ShmIdDs {
            perm: s.permission.shown(id),
            segsz: self.size as u64,
            atime: s.atime,
            dtime: s.dtime,
            ctime: s.ctime,
            cpid: PID as i32,
            lpid: s.last,
            nattch: s.attached,
            ..ShmIdDs::default()
        }
    }
    /// Pages that are in memory.
    fn resident(&self) -> u64 {
        self.content.stat().map_or(0, |s| s.blocks as u64 * 512 / PAGE_SIZE as u64)
    }
}

/// `shmat`: the address.
pub fn attach(id: i32, addr: usize, flags: u32) -> Result<usize> {
    let place = match addr % PAGE_SIZE {
        _ if addr == 0 && flags & REMAP != 0 => return Err(Errno::EINVAL),
        _ if addr == 0 => Place::Any(0),
        off if off != 0 && flags & RND == 0 => return Err(Errno::EINVAL),
        off if addr == off && flags & REMAP != 0 => return Err(Errno::EINVAL),
        off if flags & REMAP != 0 => Place::Fixed(addr - off),
        off => Place::FixedFree(addr - off),
    };
    let (mut prot, mut wanted) = (Prot::READ, READ);
    if flags & RDONLY == 0 {
        prot |= Prot::WRITE;
        wanted |= WRITE;
    }
    if flags & EXECUTE != 0 {
        prot |= Prot::EXEC;
        wanted |= EXEC;
    }
    let segment = SEGMENTS.find(id)?;
    segment.permission().allows(wanted)?;
    program::check_prot(prot)?;
    let mut how = Flags::SHARED;
    how.set(Flags::READ_ONLY_FILE, flags & RDONLY != 0);
    let open = if flags & RDONLY == 0 { OpenFlags::RDWR } else { OpenFlags::empty() };
    let size = segment.size;
    if let Place::FixedFree(at) | Place::Fixed(at) = place {
        at.checked_add(size).ok_or(Errno::EINVAL)?;
        program::check_place(at, size)?;
    }
    let attachment = Attachment::new(id, segment, open)?;
    program::map(place, size, prot, how, Some((attachment, 0)), false)
        .map_err(|e| if e == Errno::EEXIST { Errno::EINVAL } else { e })
}

/// `shmdt`: unmaps what is left of the attachment at `addr`.
pub fn detach(addr: usize) -> Result<()> {
    if !addr.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    program::unmap_file(addr, |file| file.downcast::<Attachment>().map(|a| a.segment.size))
}

/// A segment that is mapped at one place.
struct Attachment {
    id: i32,
    segment: Arc<Segment>,
    description: Description,
}

impl Attachment {
    fn new(id: i32, segment: Arc<Segment>, flags: OpenFlags) -> Result<Arc<Self>> {
        {
            let mut s = segment.state.lock();
            if s.gone {
                return Err(Errno::EIDRM);
            }
            s.attached += 1;
            s.atime = seconds();
            s.last = PID as i32;
        }
        try_arc(Self { id, segment, description: Description::new(flags) })
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let ends = {
            let mut s = self.segment.state.lock();
            s.attached -= 1;
            s.dtime = seconds();
            s.last = PID as i32;
            s.gone = s.attached == 0 && s.permission.mode & DEST != 0;
            s.gone
        };
        if ends {
            drop(SEGMENTS.remove(self.id));
        }
    }
}

impl FileLike for Attachment {
    fn description(&self) -> &Description {
        &self.description
    }
    fn map_page(&self, index: u64, for_write: bool) -> Result<Option<Arc<Page>>> {
        self.segment.content.page(index, for_write)
    }
    fn still_page(&self, index: u64, page: &Arc<Page>, write: bool) -> bool {
        self.segment.content.still(index, page, write)
    }
    fn mappings(&self) -> Option<&Mappings> {
        self.segment.content.mappings()
    }
    fn sync(&self, _data_only: bool) -> Result<()> {
        Ok(())
    }
    fn describe(&self) -> String {
        format!("/SYSV{:08x} (deleted)", self.segment.key)
    }
}

/// IPC_STAT, SHM_STAT, SHM_STAT_ANY: the number and the description.
pub fn stat(which: Which) -> Result<(i32, ShmIdDs)> {
    let (id, segment) = SEGMENTS.described(which, |segment| segment.permission().allows(READ))?;
    Ok((id, segment.shown(id)))
}

/// IPC_SET.
pub fn set(id: i32, to: &IpcPerm) -> Result<()> {
    let segment = SEGMENTS.find(id)?;
    let mut s = segment.state.lock();
    s.permission.owned()?;
    s.permission.set(to)?;
    s.ctime = seconds();
    Ok(())
}

/// IPC_RMID: at once, or with the last attachment.
pub fn remove(id: i32) -> Result<()> {
    let segment = SEGMENTS.find(id)?;
    let gone = {
        let mut s = segment.state.lock();
        s.permission.owned()?;
        s.permission.mode |= DEST;
        s.permission.key = super::permission::PRIVATE;
        s.gone = s.attached == 0;
        s.gone
    };
    if gone {
        drop(SEGMENTS.remove(id));
    } else {
        SEGMENTS.forget_key(id);
    }
    Ok(())
}

/// SHM_LOCK, SHM_UNLOCK: pages stay in memory anyhow.
pub fn lock(id: i32, on: bool) -> Result<()> {
    let segment = SEGMENTS.find(id)?;
    let mut s = segment.state.lock();
    s.permission.owned_or(cap::IPC_LOCK)?;
    if on && !libos_base::cred::capable(cap::IPC_LOCK) {
        match MEMLOCK.soft() {
            0 => return Err(Errno::EPERM),
            limit if (segment.size as u64) > limit => return Err(Errno::ENOMEM),
            _ => {}
        }
    }
    s.permission.mode = if on { s.permission.mode | LOCKED } else { s.permission.mode & !LOCKED };
    Ok(())
}

/// For IPC_INFO and SHM_INFO: how many there are; pages, and pages in memory.
pub fn statistics() -> (Statistics, u64, u64) {
    let resident = SEGMENTS.all().iter().map(|(_, s)| s.resident()).sum();
    (SEGMENTS.statistics(), PAGES.load(Relaxed), resident)
}

fn list() -> alloc::vec::Vec<u8> {
    let row = |(id, segment): &(i32, Arc<Segment>)| {
        let d = segment.shown(*id);
        let p = d.perm;
        let bytes = segment.resident() * PAGE_SIZE as u64;
        [
            p.key.into(),
            (*id).into(),
            proc::octal(p.mode),
            d.segsz as i64,
            d.cpid.into(),
            d.lpid.into(),
            d.nattch as i64,
            p.uid.into(),
            p.gid.into(),
            p.cuid.into(),
            p.cgid.into(),
            d.atime,
            d.dtime,
            d.ctime,
            bytes as i64,
            0,
        ]
    };
    proc::table(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap",
        &[10, 10, 5, 21, 5, 5, 6, 5, 5, 5, 5, 10, 10, 10, 21, 21],
        SEGMENTS.all().iter().map(row),
    )
}
