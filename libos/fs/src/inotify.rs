//! inotify(7): watches on objects, and queues of what happened to them.

use crate::files::Files;
use crate::inode::Inode;
use crate::notify::{self, Event};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use hashbrown::HashMap;
use libos_base::abi::{DirFd, InotifyFlags, InotifyMask, OpenFlags};
use libos_base::file::{Description, FileLike};
use libos_base::io::Sink;
use libos_base::poll::{Events, Pollee, block_on};
use libos_base::sync::{Mutex, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, memory};

/// Most events that one queue holds (fs.inotify.max_queued_events).
pub(crate) const MAX_EVENTS: usize = 16384;
/// Most watches in the whole program (fs.inotify.max_user_watches, which Linux derives from the memory size).
pub(crate) const MAX_WATCHES: usize = 65536;
/// struct inotify_event without its name; the name is padded to a multiple of this.
const HEADER: usize = 16;

struct Watch {
    owner: Weak<Inotify>,
    wd: i32,
    mask: InotifyMask,
    /// Held so that its address stays unique.
    _object: Arc<dyn Inode>,
}

#[derive(Default)]
struct Watches {
    by_object: HashMap<usize, Vec<Watch>>,
    count: usize,
}

static WATCHES: Mutex<Option<Watches>> = Mutex::new(class::INOTIFY_WATCHES, None);

fn key(object: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(object).cast::<()>() as usize
}

struct Queued {
    wd: i32,
    mask: InotifyMask,
    cookie: u32,
    name: Vec<u8>,
}

impl Queued {
    /// Bytes of the padded name.
    fn name_len(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEADER) }
    }
}

/// An inotify instance.
pub struct Inotify {
    me: Weak<Inotify>,
    queue: Mutex<VecDeque<Queued>>,
    next_wd: Mutex<i32>,
    readable: Pollee,
    description: Description,
}

impl Inotify {
    /// `inotify_init1`.
    pub fn new(flags: InotifyFlags) -> Result<Arc<Inotify>> {
        if !InotifyFlags::all().contains(flags) {
            return Err(Errno::EINVAL);
        }
        notify::HOOK.provide(&(happened as fn(&notify::Event<'_>)));
        crate::util::room_for(size_of::<Self>() + 16)?;
        Ok(Arc::new_cyclic(|me| Self {
            me: me.clone(),
            queue: Mutex::new(class::INOTIFY_QUEUE, VecDeque::new()),
            next_wd: Mutex::new(class::INOTIFY_NUMBER, 1),
            readable: Pollee::new(),
            description: Description::new(OpenFlags::from_bits_truncate(flags.bits())),
        }))
    }

    /// `inotify_add_watch`; returns the watch's number.
    pub fn add(&self, files: &Files, path: &[u8], mask: InotifyMask) -> Result<i32> {
        let both = InotifyMask::MASK_ADD | InotifyMask::MASK_CREATE;
        if !mask.intersects(InotifyMask::all()) || mask.contains(both) {
            return Err(Errno::EINVAL);
        }
        let at = files.lookup(DirFd::CWD, path, !mask.contains(InotifyMask::DONT_FOLLOW))?;
        if mask.contains(InotifyMask::ONLYDIR) && !at.inode().is_dir() {
            return Err(Errno::ENOTDIR);
        }
        crate::permission::check(at.inode(), crate::permission::READ)?;
        let kept = mask & (InotifyMask::ALL_EVENTS | InotifyMask::EXCL_UNLINK | InotifyMask::ONESHOT);
        let mut all = WATCHES.lock();
        let all = all.get_or_insert_default();
        if all.count >= MAX_WATCHES {
            return Err(Errno::ENOSPC);
        }
        all.by_object.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let of_object = all.by_object.entry(key(at.inode())).or_default();
        if let Some(w) = of_object.iter_mut().find(|w| Weak::ptr_eq(&w.owner, &self.me)) {
            if mask.contains(InotifyMask::MASK_CREATE) {
                return Err(Errno::EEXIST);
            }
            w.mask = if mask.contains(InotifyMask::MASK_ADD) { w.mask | kept } else { kept };
            return Ok(w.wd);
        }
        of_object.try_reserve(1)?;
        let mut next = self.next_wd.lock();
        let wd = *next;
        *next = wd.checked_add(1).ok_or(Errno::ENOSPC)?;
        of_object.push(Watch { owner: self.me.clone(), wd, mask: kept, _object: at.inode().clone() });
        all.count += 1;
        Ok(wd)
    }

    /// `inotify_rm_watch`.
    pub fn remove(&self, wd: i32) -> Result<()> {
        let gone = {
            let mut all = WATCHES.lock();
            let all = all.as_mut().ok_or(Errno::EINVAL)?;
            all.take(|w| w.wd == wd && Weak::ptr_eq(&w.owner, &self.me))
        };
        if gone.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.push(wd, InotifyMask::IGNORED, 0, b"");
        Ok(())
    }

    /// Adds an event, unless it equals the last one.
    fn push(&self, wd: i32, mask: InotifyMask, cookie: u32, name: &[u8]) {
        let mut queue = self.queue.lock();
        let same = |q: &Queued| q.wd == wd && q.mask == mask && q.name == name && mask != InotifyMask::IGNORED;
        if queue.back().is_some_and(same) {
            return;
        }
        let overflow = Queued { wd: -1, mask: InotifyMask::Q_OVERFLOW, cookie: 0, name: Vec::new() };
        if queue.try_reserve(1).is_err() {
            // Without memory the reader must still learn that events are missing.
            if let Some(last) = queue.back_mut() {
                *last = overflow;
            }
            return;
        }
        let event = match memory::copy(name) {
            Ok(name) if queue.len() < MAX_EVENTS => Queued { wd, mask, cookie, name },
            _ => overflow,
        };
        if event.mask != InotifyMask::Q_OVERFLOW || queue.back().is_none_or(|last| last.mask != InotifyMask::Q_OVERFLOW)
        {
            queue.push_back(event);
        }
        drop(queue);
        self.readable.notify(Events::IN | Events::RDNORM);
    }

    /// Moves whole events out. `None`: there are none.
    fn take(&self, dst: &mut Sink<'_>) -> Option<Result<usize>> {
        let mut total = 0;
        loop {
            let event = {
                let mut queue = self.queue.lock();
                match queue.front() {
                    None => break,
                    Some(e) if HEADER + e.name_len() > dst.left() => {
                        if total == 0 {
                            return Some(Err(Errno::EINVAL));
                        }
                        break;
                    }
                    Some(_) => queue.pop_front(),
                }
            };
            let Some(e) = event else { break };
            let mut bytes = Vec::new();
            let len = e.name_len();
            if bytes.try_reserve_exact(HEADER + len).is_err() {
                return Some(if total > 0 { Ok(total) } else { Err(Errno::ENOMEM) });
            }
            for word in [e.wd as u32, e.mask.bits(), e.cookie, len as u32] {
                bytes.extend_from_slice(&word.to_ne_bytes());
            }
            bytes.extend_from_slice(&e.name);
            bytes.resize(HEADER + len, 0);
            // Whatever was put before, as on Linux (inotify_read()).
            if let Err(e) = dst.put_whole(&bytes) {
                return Some(Err(e));
            }
            total += bytes.len();
        }
        (total > 0).then_some(Ok(total))
    }
}

impl Watches {
    /// Removes and returns the matching watches.
    fn take(&mut self, mut meant: impl FnMut(&Watch) -> bool) -> Vec<Watch> {
        let mut taken = Vec::new();
        for list in self.by_object.values_mut() {
            let mut i = 0;
            while i < list.len() {
                if meant(&list[i]) && taken.try_reserve(1).is_ok() {
                    taken.push(list.swap_remove(i));
                } else {
                    i += 1;
                }
            }
        }
        self.by_object.retain(|_, list| !list.is_empty());
        self.count -= taken.len();
        taken
    }

    /// Notifies the watches on one object that want `e.mask`, and removes those that end with this event.
    fn tell(&mut self, e: &Event<'_>, object: &Arc<dyn Inode>, name: &[u8], later: &mut Later) {
        let Some(list) = self.by_object.get_mut(&key(object)) else { return };
        let last = name.is_empty() && e.mask == InotifyMask::DELETE_SELF;
        // Never for DELETE_SELF and MOVE_SELF (Linux keeps it that way for old programs).
        let dir = e.object.is_dir() && !e.mask.intersects(InotifyMask::DELETE_SELF | InotifyMask::MOVE_SELF);
        let mut i = 0;
        while i < list.len() {
            let w = &list[i];
            let wanted = w.mask.intersects(e.mask)
                && !(e.unlinked && !name.is_empty() && w.mask.contains(InotifyMask::EXCL_UNLINK));
            let over = last || wanted && w.mask.contains(InotifyMask::ONESHOT);
            if later.owners.try_reserve(1).is_ok()
                && let Some(owner) = w.owner.upgrade()
            {
                if wanted {
                    owner.push(w.wd, if dir { e.mask | InotifyMask::ISDIR } else { e.mask }, e.cookie, name);
                }
                if over {
                    owner.push(w.wd, InotifyMask::IGNORED, 0, b"");
                }
                later.owners.push(owner);
            }
            if over && later.watches.try_reserve(1).is_ok() {
                later.watches.push(list.swap_remove(i));
                self.count -= 1;
            } else {
                i += 1;
            }
        }
        if list.is_empty() {
            self.by_object.remove(&key(object));
        }
    }
}

/// References to be dropped without the lock: they may be the last ones.
#[derive(Default)]
struct Later {
    watches: Vec<Watch>,
    owners: Vec<Arc<Inotify>>,
}

/// The hook.
fn happened(e: &Event<'_>) {
    let mut later = Later::default();
    let mut all = WATCHES.lock();
    if let Some(all) = all.as_mut() {
        if let Some((dir, name)) = e.dir {
            all.tell(e, dir, name, &mut later);
        }
        if e.to_object {
            all.tell(e, e.object, b"", &mut later);
        }
    }
    drop(all);
}

impl FileLike for Inotify {
    fn description(&self) -> &Description {
        &self.description
    }
    fn special_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT | OpenFlags::ASYNC
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        block_on(&self.readable, self.description.nonblock(), FOREVER, Errno::EAGAIN, || self.take(dst))
    }
    fn events(&self) -> Events {
        if self.queue.lock().is_empty() { Events::empty() } else { Events::IN | Events::RDNORM }
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(&self.readable)
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn unread(&self) -> Option<usize> {
        Some(self.queue.lock().iter().map(|e| HEADER + e.name_len()).sum())
    }
    fn describe(&self) -> String {
        String::from("anon_inode:inotify")
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let taken = WATCHES.lock().as_mut().map(|all| all.take(|w| w.owner.strong_count() == 0));
        drop(taken);
    }
}
