//! epoll(7).
//!
//! Each registered descriptor has an [`Item`], which is the watcher on its file. An event puts the item on the ready
//! list (under a spin lock; its slot is reserved when the item is added, so that an event never allocates). `wait`
//! takes items off the list, asks their files, and puts level-triggered ones back: its cost is proportional to the
//! ready items, not to all.
//!
//! Items hold their file weakly, as on Linux: the last close ends the registration. The item of a closed file is
//! dropped when it is met, at the latest when its descriptor number is registered again.

use crate::util::{Text, try_arc};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use hashbrown::HashTable;
use libos_base::abi::{EpollEvent, EpollFlags, EpollOperation, OpenFlags};
use libos_base::file::{Description, FileLike};
use libos_base::poll::{self, Events, Pollee, Watcher};
use libos_base::sync::{DEEPER, Mutex, SpinLock, WaitQueue, class};
use libos_base::{Errno, Result};

/// Flags that change how events are reported.
const FLAGS: Events = Events::EXCLUSIVE.union(Events::WAKEUP).union(Events::ONESHOT).union(Events::ET);
/// Always reported, but not for an item that EPOLLONESHOT disarmed, which has only flags left.
const ALWAYS: Events = Events::ERR.union(Events::HUP);
/// What EPOLLEXCLUSIVE may be combined with (epoll_ctl(2)).
const EXCLUSIVE_OK: Events = ALWAYS
    .union(Events::IN)
    .union(Events::RDNORM)
    .union(Events::OUT)
    .union(Events::WRNORM)
    .union(Events::ET)
    .union(Events::WAKEUP)
    .union(Events::EXCLUSIVE);
/// How deep epolls may watch epolls, counted from the outermost. Notifications recurse on a kernel stack.
const DEPTH_MAX: usize = 5;

struct Item {
    me: Weak<Item>,
    shared: Weak<Shared>,
    fd: i32,
    file: Weak<dyn FileLike>,
    /// Interest and flags; without events it was disarmed by EPOLLONESHOT.
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

/// Takes an event, and how many came before it. EFAULT: there is no place for it.
pub type Emit<'a> = &'a mut dyn FnMut(usize, &EpollEvent) -> Result<()>;

/// An epoll instance.
pub struct Epoll {
    shared: Arc<Shared>,
    items: Mutex<HashTable<Arc<Item>>>,
    /// Only one `wait` at a time looks at the ready list.
    scan: Mutex<()>,
    description: Description,
}

fn interest(events: Events) -> Events {
    events.difference(FLAGS)
}

fn hash(fd: i32) -> u64 {
    // The low bits choose the bucket; the top seven tell entries apart.
    (fd as u32 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Item {
    fn events(&self) -> Events {
        Events::from_bits_retain(self.events.load(Ordering::SeqCst))
    }
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
        if !interest(self.events()).intersects(events) {
            return;
        }
        if !self.queued.load(Ordering::SeqCst) {
            self.enqueue();
        } else if let Some(s) = self.shared.upgrade() {
            // An edge-triggered watcher of this epoll is notified of every event, even while one is waiting to be
            // collected (Linux's ep_poll_callback()).
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
    #[cold]
    fn push_first(&self, item: Arc<Item>) {
        let mut r = self.ready.lock();
        r.push_front(item);
        self.ready_len.store(r.len(), Ordering::SeqCst);
    }
    fn pop(&self) -> Option<Arc<Item>> {
        let mut r = self.ready.lock();
        let i = r.pop_front();
        self.ready_len.store(r.len(), Ordering::SeqCst);
        i
    }
    /// Notifies the watchers of the epoll itself.
    fn notify(&self) {
        self.pollee.notify(Events::IN | Events::RDNORM);
    }
    fn any(&self) -> bool {
        self.ready_len.load(Ordering::SeqCst) > 0
    }
}

impl Epoll {
    /// `epoll_create1`.
    pub fn new(flags: EpollFlags) -> Result<Arc<Epoll>> {
        if !EpollFlags::all().contains(flags) {
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
            description: Description::new(OpenFlags::RDWR),
        })
    }

    /// `epoll_ctl`; `file` is what `fd` refers to.
    pub fn ctl(&self, op: EpollOperation, fd: i32, file: &Arc<dyn FileLike>, event: EpollEvent) -> Result<()> {
        let events = Events::from_bits_retain(event.events);
        match op {
            EpollOperation::ADD => self.add(fd, file, events, event.data),
            EpollOperation::MOD => self.modify(fd, file, events, event.data),
            EpollOperation::DEL => self.delete(fd, file),
            _ => Err(Errno::EINVAL),
        }
    }

    fn add(&self, fd: i32, file: &Arc<dyn FileLike>, events: Events, data: u64) -> Result<()> {
        check_pollable(file)?;
        let exclusive = events.contains(Events::EXCLUSIVE);
        if exclusive && !EXCLUSIVE_OK.contains(events) {
            return Err(Errno::EINVAL);
        }
        // Prevents two threads from making a cycle by adding one half each.
        static NESTING: Mutex<()> = Mutex::new(class::EPOLL_NESTING, ());
        let _nesting = match file.downcast::<Epoll>() {
            Some(inner) => {
                let g = NESTING.lock();
                if core::ptr::eq(inner, self) || exclusive {
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
            events: AtomicU32::new((events | ALWAYS).bits()),
            data: AtomicU64::new(data),
            queued: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        });
        items.insert_unique(hash(fd), item.clone(), |i| hash(i.fd));
        want_edges(file, events);
        let watcher: Arc<dyn Watcher> = item.clone();
        if file.poll(Some(&watcher)).intersects(interest(events | ALWAYS)) {
            item.enqueue();
        }
        Ok(())
    }

    /// Adds its lines of `/proc/self/fdinfo`: what it watches, of which nothing else is known there than in `stat`.
    pub(crate) fn describe_items(&self, t: Text) -> Text {
        let hex = |t: Text, n: u64, width: u32| {
            let digits = (16 - n.leading_zeros() / 4).max(1);
            t.s(" ".repeat(width.saturating_sub(digits) as usize)).hex(n, digits)
        };
        self.items.lock().iter().fold(t, |t, item| {
            let Some(stat) = item.file.upgrade().and_then(|f| f.stat().ok()) else { return t };
            let fd = Text::new().n(item.fd as u64).0;
            let t = t.s("tfd: ").s(" ".repeat(8usize.saturating_sub(fd.len()))).s(fd).s(" events: ");
            let t = hex(t, item.events().bits().into(), 8).s(" data: ");
            let t = hex(t, item.data.load(Ordering::SeqCst), 16).s("  pos:0 ino:");
            hex(hex(t, stat.ino, 0).s(" sdev:"), stat.dev, 0).s("\n")
        })
    }

    /// Every item can be on the ready list at once, in addition to removed ones that are still on it.
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

    fn modify(&self, fd: i32, file: &Arc<dyn FileLike>, events: Events, data: u64) -> Result<()> {
        check_pollable(file)?;
        let items = self.items.lock();
        let item = items.find(hash(fd), |i| i.is(fd, file)).ok_or(Errno::ENOENT)?;
        if (events | item.events()).contains(Events::EXCLUSIVE) {
            return Err(Errno::EINVAL);
        }
        item.data.store(data, Ordering::SeqCst);
        item.events.store((events | ALWAYS).bits(), Ordering::SeqCst);
        want_edges(file, events);
        if file.poll(None).intersects(interest(events | ALWAYS)) {
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

    /// ELOOP if `self` watches `outer`, directly or through others, or if the chain would be too long.
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

    /// Passes up to `max` events to `emit`; looks at no more than `budget` items, so that one `wait` does not report an
    /// item twice that was put back.
    fn collect(&self, max: usize, budget: usize, emit: Emit<'_>) -> Result<usize> {
        let _one = self.scan.lock();
        let mut n = 0;
        for _ in 0..budget {
            if n == max {
                break;
            }
            let Some(item) = self.shared.pop() else { break };
            // Cleared before the file is asked: any event from now on queues the item again.
            item.queued.store(false, Ordering::SeqCst);
            if item.removed.load(Ordering::SeqCst) {
                continue;
            }
            let Some(file) = item.file.upgrade() else {
                self.forget(&item);
                continue;
            };
            let events = item.events();
            let now = file.poll(None) & interest(events);
            if now.is_empty() {
                continue;
            }
            let event = EpollEvent { events: now.bits(), data: item.data.load(Ordering::SeqCst) };
            if let Err(e) = emit(n, &event) {
                // It stays for the next call.
                if !item.queued.swap(true, Ordering::SeqCst) {
                    self.shared.push_first(item);
                }
                return if n > 0 { Ok(n) } else { Err(e) };
            }
            n += 1;
            if events.contains(Events::ONESHOT) {
                // Unless it was rearmed meanwhile.
                let disarmed = (events & FLAGS).bits();
                let _ = item.events.compare_exchange(events.bits(), disarmed, Ordering::SeqCst, Ordering::SeqCst);
            } else if !events.contains(Events::ET) && !item.queued.swap(true, Ordering::SeqCst) {
                self.shared.push(item);
            }
        }
        Ok(n)
    }

    fn forget(&self, gone: &Arc<Item>) {
        // `try_lock`: an `add` may hold the items and wait for a lock that the caller's file holds. A leftover item is
        // found when the number is used again.
        if let Some(mut items) = self.items.try_lock()
            && let Ok(e) = items.find_entry(hash(gone.fd), |i| Arc::ptr_eq(i, gone))
        {
            e.remove();
        }
    }

    /// `epoll_wait`: passes events to `emit`; returns how many. Stops at `max`. EINTR: a signal came first.
    pub fn wait(&self, max: usize, deadline_ns: u64, emit: Emit<'_>) -> Result<usize> {
        poll::settle();
        loop {
            let ready = self.shared.ready_len.load(Ordering::SeqCst);
            let total = if ready > 0 { self.collect(max, ready, emit)? } else { 0 };
            if total > 0 {
                poll::serve(total);
                if self.shared.any() {
                    // More than one thread may have work.
                    self.shared.waiters.wake(1);
                }
                return Ok(total);
            }
            if deadline_ns == 0 {
                return Ok(0);
            }
            poll::look();
            if self.shared.any() {
                continue;
            }
            match self.shared.waiters.wait_by(|| poll::park(deadline_ns), || self.shared.any().then_some(())) {
                Ok(()) => {}
                Err(Errno::ETIMEDOUT) => return Ok(0),
                Err(_) => return Err(Errno::EINTR),
            }
        }
    }
}

/// EPERM for files that are always ready: regular files, directories, most of `/dev` and `/proc` (epoll_ctl(2)).
fn check_pollable(file: &Arc<dyn FileLike>) -> Result<()> {
    if file.has_readiness() { Ok(()) } else { Err(Errno::EPERM) }
}

/// Programs alternate between writing and waiting for the next edge, so there must be one.
fn want_edges(file: &Arc<dyn FileLike>, events: Events) {
    if events.contains(Events::ET) && events.intersects(Events::OUT | Events::WRNORM) {
        file.tell_edges();
    }
}

/// The epoll behind a descriptor. EINVAL: it is something else.
pub fn of_file(file: &dyn FileLike) -> Result<&Epoll> {
    file.downcast::<Epoll>().ok_or(Errno::EINVAL)
}

impl FileLike for Epoll {
    fn description(&self) -> &Description {
        &self.description
    }
    fn events(&self) -> Events {
        // The list may hold items that are no longer ready: look, and put back.
        let _one = self.scan.lock_nested(DEEPER);
        let mut left = self.shared.ready_len.load(Ordering::SeqCst);
        while left > 0 {
            left -= 1;
            let Some(item) = self.shared.pop() else { break };
            item.queued.store(false, Ordering::SeqCst);
            let Some(file) = item.file.upgrade().filter(|_| !item.removed.load(Ordering::SeqCst)) else { continue };
            if file.poll(None).intersects(interest(item.events())) {
                if !item.queued.swap(true, Ordering::SeqCst) {
                    self.shared.push(item);
                }
                return Events::IN | Events::RDNORM;
            }
        }
        Events::empty()
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(&self.shared.pollee)
    }
    fn idle_epoll(&self) -> bool {
        !self.shared.any()
    }
    fn takes_splice(&self) -> bool {
        false
    }
    fn describe(&self) -> String {
        String::from("anon_inode:[eventpoll]")
    }
}
