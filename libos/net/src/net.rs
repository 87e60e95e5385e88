//! The stack behind its lock, and the thread that serves it.

use crate::batch::Batch;
use crate::config::{Hooks, NetConfig};
use crate::device::NetDevice;
use crate::rtnetlink::Monitor;
use crate::sleeper::Watch;
use crate::socket::Wait;
use crate::stack::{Stack, instant};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use libos_base::poll::{Events, Pollee, block_on};
use libos_base::sync::{Mutex, MutexGuard, Once, class};
use libos_base::thread::{self, Park};
use libos_base::time::{self, NS};
use libos_base::{Errno, Result};

/// How long the end of a program waits for a peer that acknowledges nothing.
const PATIENCE: u64 = NS / 2;

struct Inner {
    stack: Stack,
    dev: Option<Box<dyn NetDevice>>,
}

/// The network: shared by every socket, the network thread and the card's interrupt handler.
///
/// One blocking lock. No page fault happens under it, and watchers are woken after it is released.
pub struct Net {
    inner: Mutex<Inner>,
    worker: Once<Arc<dyn Park>>,
    pub(crate) has_card: bool,
    pub(crate) watch: Watch,
    pub(crate) batch: Batch,
    /// When the network thread will look on its own. Written under the lock.
    sleeps_until: AtomicU64,
    /// The card has reported a change other than in its queues: the link.
    link_news: AtomicBool,
    hooks: Arc<dyn Hooks>,
    configured: Pollee,
    pub(crate) monitor: Monitor,
    clock: fn() -> u64,
}

impl Net {
    /// Loopback, and the card if there is one.
    pub fn new(config: &NetConfig, dev: Option<Box<dyn NetDevice>>, hooks: Arc<dyn Hooks>) -> Arc<Self> {
        Self::with_clock(config, dev, hooks, time::monotonic_ns)
    }

    /// For tests that control time.
    pub fn with_clock(
        config: &NetConfig,
        dev: Option<Box<dyn NetDevice>>,
        hooks: Arc<dyn Hooks>,
        clock: fn() -> u64,
    ) -> Arc<Self> {
        let mut stack = Stack::new(config.memory, clock());
        let has_card = dev.is_some();
        if let Some(d) = &dev {
            stack.interfaces.attach(&**d, instant(stack.now));
            stack.configure(config);
        }
        Arc::new(Self {
            inner: Mutex::new(class::NET_STACK, Inner { stack, dev }),
            worker: Once::new(),
            has_card,
            watch: Watch::new(),
            batch: Batch::new(),
            sleeps_until: AtomicU64::new(0),
            link_news: AtomicBool::new(false),
            hooks,
            configured: Pollee::new(),
            monitor: Monitor::new(),
            clock,
        })
    }

    pub fn hooks(&self) -> &dyn Hooks {
        &*self.hooks
    }

    /// Runs `f` on the stack; then sends what became sendable, wakes those that became ready, and makes sure that
    /// timers fire.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut Stack) -> R) -> R {
        let mut inner = self.lock();
        let r = f(&mut inner.stack);
        self.unlock(inner);
        r
    }

    /// Runs `f` on the stack, in which it changes nothing. What is put off stays so.
    #[inline]
    pub fn ask<R>(&self, f: impl FnOnce(&Stack) -> R) -> R {
        f(&self.inner.lock().stack)
    }

    /// Runs `f` on the stack and the card, which `f` may replace by one that passes everything on.
    pub(crate) fn with_card<R>(&self, f: impl FnOnce(&mut Stack, &mut Option<Box<dyn NetDevice>>) -> R) -> R {
        let mut inner = self.lock();
        let Inner { stack, dev } = &mut *inner;
        let r = f(stack, dev);
        self.unlock(inner);
        r
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock();
        inner.stack.begin((self.clock)());
        inner
    }

    fn unlock(&self, mut inner: MutexGuard<'_, Inner>) {
        let Inner { stack, dev } = &mut *inner;
        let mut next = stack.egress.take_sooner();
        if stack.has_work() && !self.puts_off(stack) {
            next = stack.pump(dev.as_deref_mut(), false);
            if let Some(d) = dev {
                d.flush();
            }
        } else if next == u64::MAX && stack.wakes.is_empty() {
            return;
        }
        let early = next < self.sleeps_until.load(Ordering::Relaxed);
        let news = stack.control.news;
        let wakes = stack.wakes.take();
        drop(inner);
        if let Some(wakes) = wakes {
            wakes.tell();
        }
        if news || early && !self.looks_later() {
            self.wake_worker();
        }
    }

    /// Takes in what the card has and does everything that is due. Returns when to come again. `worker`: the caller is
    /// the network thread and will come on its own, but need not while others look. Nobody else may write
    /// `sleeps_until`, which says what that thread does: otherwise a timer could seem to be waited for and never fire.
    fn round(&self, worker: bool) -> u64 {
        let mut inner = self.lock();
        let Inner { stack, dev } = &mut *inner;
        if self.link_news.load(Ordering::Relaxed) && self.link_news.swap(false, Ordering::Acquire) {
            let up = dev.as_ref().is_some_and(|d| d.link_up());
            stack.control.news |= up != core::mem::replace(&mut stack.interfaces.cable, up);
        }
        if let Some(d) = dev.as_deref_mut().filter(|_| self.watch.interrupted.swap(false, Ordering::Acquire)) {
            d.disarm();
        }
        let mut next = stack.pump(dev.as_deref_mut(), true);
        if let Some(d) = dev {
            d.flush();
        }
        let changed = core::mem::take(&mut stack.control.news);
        let news = changed || stack.control.resolv.is_some();
        let early = !worker && next < self.sleeps_until.load(Ordering::Relaxed);
        if worker {
            let relieved = self.watch.relieves() && next > stack.now && self.looks_later();
            if relieved {
                next = u64::MAX;
            }
            self.watch.relieved.store(relieved, Ordering::Relaxed);
            self.sleeps_until.store(next, Ordering::Relaxed);
        }
        let wakes = stack.wakes.take();
        drop(inner);
        if let Some(wakes) = wakes {
            wakes.tell();
        }
        if changed {
            self.monitor.changed(self);
        }
        if news {
            self.configured.notify(Events::IN);
        }
        if news && !worker || early && !self.looks_later() {
            self.wake_worker();
        }
        next
    }

    /// Takes in what the card has and does everything that is due. Returns when to come again. Anybody may call it.
    pub fn poll(&self) -> u64 {
        self.watch.looked();
        self.round(false)
    }

    /// Blocks until `attempt` succeeds, and looks at the card before it sleeps.
    pub fn wait<T>(&self, wait: Wait, pollee: &Pollee, mut attempt: impl FnMut() -> Option<Result<T>>) -> Result<T> {
        if let Some(r) = attempt() {
            return r;
        }
        if wait.nonblock {
            return Err(Errno::EAGAIN);
        }
        if self.has_card {
            self.poll();
            if let Some(r) = attempt() {
                return r;
            }
        }
        wait.watch_by(|| self.park(wait.deadline), pollee, attempt)
    }

    /// A timer became earlier, or there is nobody else to look at the card: has the network thread do so.
    pub fn wake_worker(&self) {
        if let Some(w) = self.worker.get() {
            w.unpark();
        }
    }

    /// For the card's configuration interrupt: the link may have changed.
    pub fn link_changed(&self) {
        self.link_news.store(true, Ordering::Release);
    }

    /// The network thread.
    pub fn run(&self) -> ! {
        self.worker.set(thread::current);
        loop {
            self.step();
        }
    }

    /// One round of [`run`](Self::run).
    pub fn step(&self) {
        let next = self.round(true);
        self.tell();
        if !self.watch.relieved.load(Ordering::Relaxed) {
            // An interrupt up to here may have been put off, as this thread was not asleep.
            if next <= (self.clock)() || self.arm() || self.watch.interrupted.load(Ordering::Acquire) {
                return;
            }
        }
        thread::park(next, false);
    }

    /// Makes the calling thread the network thread, for tests that call [`step`](Self::step).
    pub fn serve_here(&self) {
        self.worker.set(thread::current);
    }

    /// The program has ended. Closes its sockets as Linux does, and keeps sending data that peers have not received yet
    /// for as long as they take it: until `deadline`, or until [`PATIENCE`] passes without any of it arriving. Peers
    /// still missing data then get a reset, since nobody will be here to send it later.
    pub fn end(&self, deadline: u64) {
        self.with(Stack::close_all);
        let (mut least, mut since) = (usize::MAX, 0);
        loop {
            let next = self.poll();
            let (left, now) = self.with(|st| (st.undelivered(), st.now));
            if left == 0 {
                return;
            }
            if left < least {
                (least, since) = (left, now);
            }
            if now >= deadline.min(since + PATIENCE) {
                return self.with(Stack::abort_all);
            }
            thread::park(next.min(now + NS / 1000), false);
        }
    }

    /// Enables interrupts; true if something came in before that, or is to be sent.
    pub(crate) fn arm(&self) -> bool {
        let mut inner = self.inner.lock();
        let Inner { stack, dev } = &mut *inner;
        // An interrupt of before must not take back what is asked for now.
        self.watch.interrupted.store(false, Ordering::Relaxed);
        dev.as_mut().is_some_and(|d| d.arm(stack.egress.full) || stack.egress.put_off)
    }

    /// Sends what was put off.
    pub fn settle(&self) {
        self.with(|st| st.egress.put_off = false);
    }

    /// Reports addresses and name servers to the kernel, outside the lock.
    fn tell(&self) {
        let (news, resolv) = {
            let mut inner = self.inner.lock();
            let c = &mut inner.stack.control;
            (core::mem::take(&mut c.news), c.resolv.clone())
        };
        if news || resolv.is_some() {
            self.hooks.configured(resolv.as_deref());
            // Only after the kernel was told: a thread waiting for the configuration then reads the file.
            self.inner.lock().stack.control.resolv.take_if(|now| Some(&*now) == resolv.as_ref());
            self.configured.notify(Events::IN);
        }
    }

    /// Waits until IPv4 is configured, or until `deadline_ns`. Returns whether it is.
    pub fn wait_configured(&self, deadline_ns: u64) -> bool {
        block_on(&self.configured, false, deadline_ns, Errno::ETIMEDOUT, || {
            let inner = self.inner.lock();
            (inner.stack.control.ready && inner.stack.control.resolv.is_none()).then_some(Ok(()))
        })
        .is_ok()
    }
}
