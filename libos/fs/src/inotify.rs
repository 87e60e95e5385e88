//! inotify(7): watches on objects, and queues of what happened to them.

use crate::inode::Inode;
use crate::notify::{self, Event, event};
use crate::process::{AT_FDCWD, Process};
use crate::util::{Text, try_vec};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use hashbrown::HashMap;
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, Watcher, block_on};
use libos_base::sync::{Mutex, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, user};

const UNMOUNT: u32 = 0x2000;
const Q_OVERFLOW: u32 = 0x4000;
const IGNORED: u32 = 0x8000;
const ONLYDIR: u32 = 0x0100_0000;
const DONT_FOLLOW: u32 = 0x0200_0000;
const EXCL_UNLINK: u32 = 0x0400_0000;
const MASK_CREATE: u32 = 0x1000_0000;
const MASK_ADD: u32 = 0x2000_0000;
const ISDIR: u32 = 0x4000_0000;
const ONESHOT: u32 = 0x8000_0000;
const KNOWN: u32 = event::ALL
    | UNMOUNT
    | Q_OVERFLOW
    | IGNORED
    | ONLYDIR
    | DONT_FOLLOW
    | EXCL_UNLINK
    | MASK_CREATE
    | MASK_ADD
    | ISDIR
    | ONESHOT;

/// Events that one queue holds (fs.inotify.max_queued_events).
pub(crate) const MAX_EVENTS: usize = 16384;
/// Watches of the whole program (fs.inotify.max_user_watches, which Linux makes a matter of memory).
pub(crate) const MAX_WATCHES: usize = 65536;
/// struct inotify_event without its name; the name is filled up to a multiple of this.
const HEADER: usize = 16;

struct Watch {
    owner: Weak<Inotify>,
    wd: i32,
    mask: u32,
    /// Kept, so that its address stays its own.
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
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Queued {
    /// Bytes of the name, filled up.
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
    flags: AtomicU32,
}

impl Inotify {
    /// `inotify_init1`.
    pub fn new(flags: u32) -> Result<Arc<Inotify>> {
        let known = OpenFlags::NONBLOCK | OpenFlags::CLOEXEC;
        if flags & !known.bits() != 0 {
            return Err(Errno::EINVAL);
        }
        notify::HOOK.provide(&(happened as fn(&notify::Event<'_>)));
        crate::util::room_for(size_of::<Self>() + 16)?;
        Ok(Arc::new_cyclic(|me| Self {
            me: me.clone(),
            queue: Mutex::new(class::INOTIFY_QUEUE, VecDeque::new()),
            next_wd: Mutex::new(class::INOTIFY_NUMBER, 1),
            readable: Pollee::new(),
            flags: AtomicU32::new(flags & OpenFlags::NONBLOCK.bits()),
        }))
    }

    /// `inotify_add_watch`: the watch's number.
    pub fn add(&self, process: &Process, path: &[u8], mask: u32) -> Result<i32> {
        if mask & KNOWN == 0 || mask & MASK_ADD != 0 && mask & MASK_CREATE != 0 {
            return Err(Errno::EINVAL);
        }
        let at = process.lookup(AT_FDCWD, path, mask & DONT_FOLLOW == 0)?;
        if mask & ONLYDIR != 0 && !at.inode().is_dir() {
            return Err(Errno::ENOTDIR);
        }
        crate::permission::check(at.inode(), crate::permission::READ)?;
        let kept = mask & (event::ALL | EXCL_UNLINK | ONESHOT);
        let mut all = WATCHES.lock();
        let all = all.get_or_insert_default();
        if all.count >= MAX_WATCHES {
            return Err(Errno::ENOSPC);
        }
        all.by_object.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let of_object = all.by_object.entry(key(at.inode())).or_default();
        if let Some(w) = of_object.iter_mut().find(|w| Weak::ptr_eq(&w.owner, &self.me)) {
            if mask & MASK_CREATE != 0 {
                return Err(Errno::EEXIST);
            }
            w.mask = if mask & MASK_ADD != 0 { w.mask | kept } else { kept };
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
        self.push(wd, IGNORED, 0, b"");
        Ok(())
    }

    /// Adds an event, unless the last one is the same.
    fn push(&self, wd: i32, mask: u32, cookie: u32, name: &[u8]) {
        let mut queue = self.queue.lock();
        let same = |q: &Queued| q.wd == wd && q.mask == mask && q.name == name && mask & IGNORED == 0;
        if queue.back().is_some_and(same) {
            return;
        }
        let overflow = Queued { wd: -1, mask: Q_OVERFLOW, cookie: 0, name: Vec::new() };
        if queue.try_reserve(1).is_err() {
            // Without memory the reader must learn that events are missing.
            if let Some(last) = queue.back_mut() {
                *last = overflow;
            }
            return;
        }
        let event = match try_vec(name) {
            Ok(name) if queue.len() < MAX_EVENTS => Queued { wd, mask, cookie, name },
            _ => overflow,
        };
        if event.mask != Q_OVERFLOW || queue.back().is_none_or(|last| last.mask != Q_OVERFLOW) {
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
            for word in [e.wd as u32, e.mask, e.cookie, len as u32] {
                bytes.extend_from_slice(&word.to_ne_bytes());
            }
            bytes.extend_from_slice(&e.name);
            bytes.resize(HEADER + len, 0);
            match dst.put(&bytes) {
                Ok(n) => total += n,
                Err(e) if total == 0 => return Some(Err(e)),
                Err(_) => break,
            }
        }
        (total > 0).then_some(Ok(total))
    }
}

impl Watches {
    /// Takes off the watches that are meant.
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

    /// Those on one object that want `mask`, and what they are told: (queue, number, mask to tell, is over).
    fn tell(&mut self, e: &Event<'_>, object: &Arc<dyn Inode>, name: &[u8], later: &mut Later) {
        let Some(list) = self.by_object.get_mut(&key(object)) else { return };
        let last = name.is_empty() && e.mask == event::DELETE_SELF;
        // Never of DELETE_SELF and MOVE_SELF (Linux keeps it so for old programs).
        let dir = e.object.is_dir() && e.mask & (event::DELETE_SELF | event::MOVE_SELF) == 0;
        let mut i = 0;
        while i < list.len() {
            let w = &list[i];
            let wanted = w.mask & e.mask != 0 && !(e.unlinked && !name.is_empty() && w.mask & EXCL_UNLINK != 0);
            let over = last || wanted && w.mask & ONESHOT != 0;
            if later.owners.try_reserve(1).is_ok()
                && let Some(owner) = w.owner.upgrade()
            {
                if wanted {
                    owner.push(w.wd, e.mask | if dir { ISDIR } else { 0 }, e.cookie, name);
                }
                if over {
                    owner.push(w.wd, IGNORED, 0, b"");
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
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        let nonblock = self.flags().contains(OpenFlags::NONBLOCK);
        block_on(&self.readable, nonblock, FOREVER, Errno::EAGAIN, || self.take(dst))
    }
    fn write(&self, _: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EBADF)
    }
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let Some(w) = watcher {
            self.readable.add(w);
        }
        if self.queue.lock().is_empty() { Events::empty() } else { Events::IN | Events::RDNORM }
    }
    fn unwatch(&self, watcher: &Arc<dyn Watcher>) {
        self.readable.remove(watcher);
    }
    fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    fn set_flags(&self, flags: OpenFlags) -> Result<()> {
        self.flags.store(flags.bits() & OpenFlags::NONBLOCK.bits(), Ordering::Relaxed);
        Ok(())
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat> {
        Ok(crate::eventfd::anon_stat())
    }
    fn ioctl(&self, cmd: u32, arg: usize) -> Result<usize> {
        if cmd != libos_base::abi::ioctl::FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let bytes: usize = self.queue.lock().iter().map(|e| HEADER + e.name_len()).sum();
        user::write(arg, &(bytes as i32)).map(|()| 0)
    }
    fn describe(&self) -> String {
        Text::new().s("anon_inode:inotify").string()
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        libos_base::file::ended(self);
        let taken = WATCHES.lock().as_mut().map(|all| all.take(|w| w.owner.strong_count() == 0));
        drop(taken);
    }
}
