//! epoll(7).
//!
//! Each registered descriptor has an [`Item`], which is the watcher on its file. An event puts the item on the ready
//! list (under a spin lock; its room is reserved when the item is added, so that an event never allocates).
//! `wait` takes items off the list, asks their files, and puts level-triggered ones back: its cost is that of the
//! ready items, not of all.
//!
//! Items hold their file weakly, as Linux: the last close ends the registration. What is left of a closed file is
//! dropped when it is met, at the latest when its descriptor number is registered again.

use crate::eventfd::{anon_stat, set_anon_flags};
use crate::util::try_arc;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hashbrown::HashTable;
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::{FileLike, downcast_arc};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, Watcher};
use libos_base::sync::{DEEPER, Mutex, SpinLock, WaitQueue, class};
use libos_base::{Errno, Result};

/// `epoll_ctl` operations.
pub mod op {
    pub const ADD: i32 = 1;
    pub const DEL: i32 = 2;
    pub const MOD: i32 = 3;
}
const EXCLUSIVE: u32 = 1 << 28;
const WAKEUP: u32 = 1 << 29;
const ONESHOT: u32 = 1 << 30;
const ET: u32 = 1 << 31;
const FLAGS: u32 = EXCLUSIVE | WAKEUP | ONESHOT | ET;
/// What EPOLLEXCLUSIVE may be combined with (epoll_ctl(2)).
const EXCLUSIVE_OK: u32 = 0x1 | 0x4 | 0x8 | 0x10 | 0x40 | 0x100 | ET | WAKEUP | EXCLUSIVE;
/// How deep epolls may watch epolls, counted from the outermost. What they tell each other is recursion on a kernel stack.
const DEPTH_MAX: usize = 5;

/// struct epoll_event, packed as on x86-64: events, then data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub events: u32,
    pub data: u64,
}

/// Its size in program memory.
pub const EVENT_SIZE: usize = 12;

impl Event {
    /// As program memory has it.
    pub fn to_bytes(self) -> [u8; EVENT_SIZE] {
        let mut b = [0; EVENT_SIZE];
        b[..4].copy_from_slice(&self.events.to_ne_bytes());
        b[4..].copy_from_slice(&self.data.to_ne_bytes());
        b
    }
    /// From program memory.
    pub fn from_bytes(b: [u8; EVENT_SIZE]) -> Self {
        let [a0, a1, a2, a3, d @ ..] = b;
        Self { events: u32::from_ne_bytes([a0, a1, a2, a3]), data: u64::from_ne_bytes(d) }
    }
}

struct Item {
    me: Weak<Item>,
    shared: Weak<Shared>,
    fd: i32,
    file: Weak<dyn FileLike>,
    /// Interest and flags; no events: disarmed by EPOLLONESHOT.
    events: AtomicU32,
    data: AtomicU64,
    /// On the ready list.
    queued: AtomicBool,
    removed: AtomicBool,
}

struct Shared {
    ready: SpinLock<VecDeque<Arc<Item>>>,
    ready_len: AtomicUsize,
    waiters: WaitQueue,
    /// Of the epoll itself, for poll and for epolls that watch it.
    pollee: Pollee,
}

/// An epoll instance.
pub struct Epoll {
    shared: Arc<Shared>,
    items: Mutex<HashTable<Arc<Item>>>,
    /// One `wait` looks at the ready list at a time.
    scan: Mutex<()>,
    flags: AtomicU32,
}

/// Errors are always reported, but not by an item that EPOLLONESHOT disarmed: that has flags only.
const ALWAYS: u32 = 0x8 | 0x10;

fn interest(events: u32) -> Events {
    Events::from_bits_retain(events & !FLAGS)
}

fn hash(fd: i32) -> u64 {
    // The low bits choose the bucket, the top seven tell entries apart.
    (fd as u32 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Item {
    fn is(&self, fd: i32, file: &Arc<dyn FileLike>) -> bool {
        self.fd == fd && core::ptr::addr_eq(self.file.as_ptr(), Arc::as_ptr(file))
    }
    /// Puts it on the ready list, unless it is there already.
    fn enqueue(&self) {
        if !self.queued.swap(true, Ordering::SeqCst)
            && let (Some(me), Some(s)) = (self.me.upgrade(), self.shared.upgrade())
        {
            s.push(me);
            s.waiters.wake(1);
            s.notify();
        }
    }
}

impl Watcher for Item {
    fn on_event(&self, events: Events) {
        if !interest(self.events.load(Ordering::SeqCst)).intersects(events) {
            return;
        }
        if !self.queued.load(Ordering::SeqCst) {
            self.enqueue();
        } else if let Some(s) = self.shared.upgrade() {
            // Whoever watches this epoll edge-triggered is told of every event, also while one waits to be collected
            // (ep_poll_callback() of Linux).
            s.notify();
        }
    }
    fn height(&self) -> usize {
        1 + self.shared.upgrade().map_or(0, |s| s.pollee.height())
    }
}

impl Shared {
    fn push(&self, item: Arc<Item>) {
        let mut r = self.ready.lock();
        r.push_back(item);
        self.ready_len.store(r.len(), Ordering::SeqCst);
    }
    fn pop(&self) -> Option<Arc<Item>> {
        let mut r = self.ready.lock();
        let i = r.pop_front();
        self.ready_len.store(r.len(), Ordering::SeqCst);
        i
    }
    /// Tells those who watch the epoll itself.
    fn notify(&self) {
        self.pollee.notify(Events::IN | Events::RDNORM);
    }
    fn any(&self) -> bool {
        self.ready_len.load(Ordering::SeqCst) > 0
    }
}

impl Epoll {
    /// `epoll_create1`.
    pub fn new(flags: u32) -> Result<Arc<Epoll>> {
        if flags & !OpenFlags::CLOEXEC.bits() != 0 {
            return Err(Errno::EINVAL);
        }
        let shared = try_arc(Shared {
            ready: SpinLock::new(class::EPOLL_READY, VecDeque::new()),
            ready_len: AtomicUsize::new(0),
            waiters: WaitQueue::new(),
            pollee: Pollee::new(),
        })?;
        try_arc(Epoll {
            shared,
            items: Mutex::new(class::EPOLL_ITEMS, HashTable::new()),
            scan: Mutex::new(class::EPOLL_SCAN, ()),
            flags: AtomicU32::new(OpenFlags::RDWR.bits()),
        })
    }

    /// `epoll_ctl`; `file` is what `fd` refers to.
    pub fn ctl(&self, op: i32, fd: i32, file: &Arc<dyn FileLike>, event: Event) -> Result<()> {
        match op {
            op::ADD => self.add(fd, file, event),
            op::MOD => self.modify(fd, file, event),
            op::DEL => self.delete(fd, file),
            _ => Err(Errno::EINVAL),
        }
    }

    fn add(&self, fd: i32, file: &Arc<dyn FileLike>, event: Event) -> Result<()> {
        check_pollable(file)?;
        if event.events & EXCLUSIVE != 0 && event.events & !EXCLUSIVE_OK != 0 {
            return Err(Errno::EINVAL);
        }
        // Held while a cycle could be made by two threads, each adding one half.
        static NESTING: Mutex<()> = Mutex::new(class::EPOLL_NESTING, ());
        let _nesting = match file.downcast::<Epoll>() {
            Some(inner) => {
                let g = NESTING.lock();
                if core::ptr::eq(inner, self) || event.events & EXCLUSIVE != 0 {
                    return Err(Errno::EINVAL);
                }
                inner.check_nesting(self, 1 + self.shared.pollee.height())?;
                Some(g)
            }
            None => None,
        };
        let mut items = self.items.lock();
        // Files that were closed under this number.
        while let Ok(e) = items.find_entry(hash(fd), |i| i.fd == fd && i.file.strong_count() == 0) {
            e.remove().0.removed.store(true, Ordering::SeqCst);
        }
        if items.find(hash(fd), |i| i.is(fd, file)).is_some() {
            return Err(Errno::EEXIST);
        }
        items.try_reserve(1, |i| hash(i.fd)).map_err(|_| Errno::ENOMEM)?;
        self.reserve_ready(items.len() + 1)?;
        crate::util::room_for(size_of::<Item>() + 16)?;
        let item = Arc::new_cyclic(|me| Item {
            me: me.clone(),
            shared: Arc::downgrade(&self.shared),
            fd,
            file: Arc::downgrade(file),
            events: AtomicU32::new(event.events | ALWAYS),
            data: AtomicU64::new(event.data),
            queued: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        });
        items.insert_unique(hash(fd), item.clone(), |i| hash(i.fd));
        want_edges(file, event.events);
        let watcher: Arc<dyn Watcher> = item.clone();
        if file.poll(Some(&watcher)).intersects(interest(event.events | ALWAYS)) {
            item.enqueue();
        }
        Ok(())
    }

    /// Every item can be on the ready list at once, beside removed ones that are still there.
    fn reserve_ready(&self, items: usize) -> Result<()> {
        loop {
            let (cap, len) = {
                let r = self.shared.ready.lock();
                (r.capacity(), r.len())
            };
            let want = items + len + 1;
            if cap >= want {
                return Ok(());
            }
            let mut bigger = VecDeque::new();
            bigger.try_reserve_exact((want * 2).max(16))?;
            let mut r = self.shared.ready.lock();
            if r.len() < bigger.capacity() {
                bigger.extend(r.drain(..));
                core::mem::swap(&mut *r, &mut bigger);
            }
        }
    }

    fn modify(&self, fd: i32, file: &Arc<dyn FileLike>, event: Event) -> Result<()> {
        check_pollable(file)?;
        let items = self.items.lock();
        let item = items.find(hash(fd), |i| i.is(fd, file)).ok_or(Errno::ENOENT)?;
        if (event.events | item.events.load(Ordering::Relaxed)) & EXCLUSIVE != 0 {
            return Err(Errno::EINVAL);
        }
        item.data.store(event.data, Ordering::SeqCst);
        item.events.store(event.events | ALWAYS, Ordering::SeqCst);
        want_edges(file, event.events);
        if file.poll(None).intersects(interest(event.events | ALWAYS)) {
            item.enqueue();
        }
        Ok(())
    }

    fn delete(&self, fd: i32, file: &Arc<dyn FileLike>) -> Result<()> {
        check_pollable(file)?;
        let mut items = self.items.lock();
        let e = items.find_entry(hash(fd), |i| i.is(fd, file)).map_err(|_| Errno::ENOENT)?;
        let item = e.remove().0;
        item.removed.store(true, Ordering::SeqCst);
        drop(items);
        if item.queued.load(Ordering::SeqCst) {
            let mut r = self.shared.ready.lock();
            r.retain(|i| !Arc::ptr_eq(i, &item));
            self.shared.ready_len.store(r.len(), Ordering::SeqCst);
        }
        let watcher: Arc<dyn Watcher> = item;
        file.unwatch(&watcher);
        Ok(())
    }

    /// ELOOP when `self` watches `outer`, directly or through others, or the chain would be too long.
    fn check_nesting(&self, outer: &Epoll, depth: usize) -> Result<()> {
        if depth >= DEPTH_MAX {
            return Err(Errno::ELOOP);
        }
        for item in self.items.lock_nested(DEEPER).iter() {
            let Some(f) = item.file.upgrade() else { continue };
            if let Some(inner) = f.downcast::<Epoll>() {
                if core::ptr::eq(inner, outer) {
                    return Err(Errno::ELOOP);
                }
                inner.check_nesting(outer, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Takes up to `out.len()` events; looks at no more than `budget` items, which counts down, so that an item
    /// that is put back is not reported twice by one `wait`.
    fn collect(&self, out: &mut [Event], budget: &mut usize) -> usize {
        let _one = self.scan.lock();
        let mut n = 0;
        while n < out.len() && *budget > 0 {
            let Some(item) = self.shared.pop() else { break };
            *budget -= 1;
            // Cleared before the file is asked: an event from now on queues the item again.
            item.queued.store(false, Ordering::SeqCst);
            if item.removed.load(Ordering::SeqCst) {
                continue;
            }
            let Some(file) = item.file.upgrade() else {
                self.forget(&item);
                continue;
            };
            let events = item.events.load(Ordering::SeqCst);
            let now = file.poll(None) & interest(events);
            if now.is_empty() {
                continue;
            }
            out[n] = Event { events: now.bits(), data: item.data.load(Ordering::SeqCst) };
            n += 1;
            if events & ONESHOT != 0 {
                // Unless it was armed again meanwhile.
                let _ = item.events.compare_exchange(events, events & FLAGS, Ordering::SeqCst, Ordering::SeqCst);
            } else if events & ET == 0 && !item.queued.swap(true, Ordering::SeqCst) {
                self.shared.push(item);
            }
        }
        n
    }

    fn forget(&self, gone: &Arc<Item>) {
        // `try_lock`: an `add` may hold the items and wait for a lock that the caller's file holds. What stays is
        // found when the number is used again.
        if let Some(mut items) = self.items.try_lock()
            && let Ok(e) = items.find_entry(hash(gone.fd), |i| Arc::ptr_eq(i, gone))
        {
            e.remove();
        }
    }

    /// `epoll_wait`: hands events to `emit` in batches; how many. Stops at `max`. EINTR: a signal came first.
    pub fn wait(
        &self,
        max: usize,
        deadline_ns: u64,
        mut emit: impl FnMut(usize, &[Event]) -> Result<()>,
    ) -> Result<usize> {
        let mut batch = [Event::default(); 32];
        loop {
            let mut total = 0;
            let mut budget = self.shared.ready_len.load(Ordering::SeqCst);
            while total < max {
                let room = (max - total).min(batch.len());
                let n = self.collect(&mut batch[..room], &mut budget);
                if n == 0 {
                    break;
                }
                emit(total, &batch[..n]).or_else(|e| if total > 0 { Ok(()) } else { Err(e) })?;
                total += n;
            }
            if total > 0 {
                if self.shared.any() {
                    // More than one thread can have work.
                    self.shared.waiters.wake(1);
                }
                return Ok(total);
            }
            if deadline_ns == 0 {
                return Ok(0);
            }
            match self.shared.waiters.wait(deadline_ns, true, || self.shared.any().then_some(())) {
                Ok(()) => {}
                Err(Errno::ETIMEDOUT) => return Ok(0),
                Err(_) => return Err(Errno::EINTR),
            }
        }
    }
}

/// EPERM for what is ready always: regular files, directories, most of `/dev` and `/proc` (epoll_ctl(2)).
fn check_pollable(file: &Arc<dyn FileLike>) -> Result<()> {
    if file.has_readiness() { Ok(()) } else { Err(Errno::EPERM) }
}

/// Programs that write and wait for the next edge, write and wait: there must be one.
fn want_edges(file: &Arc<dyn FileLike>, events: u32) {
    if events & ET != 0 && interest(events).intersects(Events::OUT | Events::WRNORM) {
        file.tell_edges();
    }
}

/// The epoll behind a descriptor. EINVAL: it is something else.
pub fn from_file(file: Arc<dyn FileLike>) -> Result<Arc<Epoll>> {
    downcast_arc::<Epoll>(file).ok_or(Errno::EINVAL)
}

impl FileLike for Epoll {
    fn read(&self, _: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn write(&self, _: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let Some(w) = watcher {
            self.shared.pollee.add(w);
        }
        // The list may hold items that are ready no more: look, and put back.
        let _one = self.scan.lock_nested(DEEPER);
        let mut left = self.shared.ready_len.load(Ordering::SeqCst);
        while left > 0 {
            left -= 1;
            let Some(item) = self.shared.pop() else { break };
            item.queued.store(false, Ordering::SeqCst);
            let Some(file) = item.file.upgrade().filter(|_| !item.removed.load(Ordering::SeqCst)) else { continue };
            if file.poll(None).intersects(interest(item.events.load(Ordering::SeqCst))) {
                if !item.queued.swap(true, Ordering::SeqCst) {
                    self.shared.push(item);
                }
                return Events::IN | Events::RDNORM;
            }
        }
        Events::empty()
    }
    fn unwatch(&self, w: &Arc<dyn Watcher>) {
        self.shared.pollee.remove(w);
    }
    fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    fn set_flags(&self, flags: OpenFlags) -> Result<()> {
        set_anon_flags(&self.flags, flags)
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn stat(&self) -> Result<Stat> {
        Ok(anon_stat())
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[eventpoll]")
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        libos_base::file::ended(self);
    }
}
