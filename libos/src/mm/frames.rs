//! Physical memory: one buddy allocator, with a small cache of single frames on every CPU.
//!
//! The level of a request decides how far down it may go. A reserve is left to small kernel objects and page tables,
//! whose allocation often cannot fail gracefully; and memory that was promised to the program (see `commit.rs`) is left
//! to its page faults. So large and growable things get ENOMEM long before the kernel runs out.
//!
//! The buddy has a lock. The caches have none: interrupts off, own CPU only.

use super::buddy::Buddy;
use super::cpu;
use super::{Region, commit};
use crate::arch::MAX_CPUS;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use libos_base::layout::{DIRECT_MAP_SIZE, PAGE_SIZE, direct_map, virt_of};
use libos_base::sync::{IrqSpinLock, class};

/// What the memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Small kernel objects and page tables: may use everything.
    Kernel,
    /// Larger kernel objects, whose allocation may still have no way to fail: half the reserve stays.
    Heap,
    /// A page fault: all but the reserve.
    Promised,
    /// Page cache, very large objects, thread stacks, in strict mode faults on memory that was not promised: must leave
    /// the reserve and what is kept for promises.
    Normal,
}

static BUDDY: IrqSpinLock<Buddy> = IrqSpinLock::new(class::FRAMES, Buddy::new());
static TOTAL: AtomicUsize = AtomicUsize::new(0);
static RESERVE: AtomicUsize = AtomicUsize::new(0);
/// The buddy's free frames, readable without its lock.
static FREE: AtomicUsize = AtomicUsize::new(0);

/// Single frames, linked through their first word. `count` is also read by [`free_frames`] of other CPUs.
#[repr(align(64))]
struct Cache {
    head: UnsafeCell<u64>,
    count: AtomicU32,
}
// SAFETY: `head` is only touched by its own CPU with interrupts off (`cpu::pinned`).
unsafe impl Sync for Cache {}
static CACHES: [Cache; MAX_CPUS] = [const { Cache { head: UnsafeCell::new(0), count: AtomicU32::new(0) } }; MAX_CPUS];
/// Most frames a cache holds, and how many it exchanges with the buddy at once.
static CACHE_MAX: AtomicU32 = AtomicU32::new(0);

/// Takes over all usable memory. Boot CPU, once, before anything else here.
///
/// # Safety
/// The regions are unused RAM inside the direct map.
pub unsafe fn init(usable: &[Region]) {
    let end = usable.iter().map(|r| r.start + r.len).max().unwrap_or(0).min(DIRECT_MAP_SIZE as u64);
    let frames = (end / PAGE_SIZE as u64) as usize;
    let state_pages = frames.div_ceil(PAGE_SIZE);
    let state_len = (state_pages * PAGE_SIZE) as u64;
    // The lowest place above 1 MiB (or, in a very small machine, any): large blocks stay whole.
    let fits = |r: &&Region| r.start > 0 && r.len >= state_len;
    let home = usable.iter().find(|r| fits(r) && r.start >= 1 << 20).or_else(|| usable.iter().find(fits));
    let home = home.expect("no memory for the frame table").start;
    let mut b = BUDDY.lock();
    // SAFETY: `home` is unused RAM of that length, which is left out below; the rest is the caller's promise.
    unsafe { b.init(direct_map(), virt_of(home) as *mut u8, frames) };
    for r in usable {
        let mut start = r.start.max(PAGE_SIZE as u64);
        let stop = (r.start + r.len).min(end);
        if r.start == home {
            start += state_len;
        }
        if start < stop {
            b.release(start, ((stop - start) / PAGE_SIZE as u64) as usize);
        }
    }
    let total = b.free_frames();
    FREE.store(total, Relaxed);
    TOTAL.store(total + state_pages, Relaxed);
    RESERVE.store((total / 64).clamp(16, 1024), Relaxed);
    CACHE_MAX.store(if total < 4096 { 8 } else { 32 }, Relaxed);
}

/// Frames this kernel manages.
pub fn total_frames() -> usize {
    TOTAL.load(Relaxed)
}

/// Free frames, those in CPU caches included.
pub fn free_frames() -> usize {
    FREE.load(Relaxed) + CACHES.iter().map(|c| c.count.load(Relaxed) as usize).sum::<usize>()
}

/// Whether at least `n` frames are free. Looks into the CPUs' caches only when it matters.
pub fn has_free(n: usize) -> bool {
    FREE.load(Relaxed) >= n || free_frames() >= n
}

/// Frames kept back for small kernel objects.
pub fn reserve() -> usize {
    RESERVE.load(Relaxed)
}

/// Opens the reserve to everyone: the program has stopped, and all that is left to do is to write its files.
pub fn open_reserve() {
    RESERVE.store(0, Relaxed);
}

fn floor(level: Level) -> usize {
    match level {
        Level::Kernel => 0,
        Level::Heap => reserve() / 2,
        Level::Promised => reserve(),
        Level::Normal => reserve() + commit::held(),
    }
}

/// A block of `2^order` frames, not zeroed.
pub fn alloc_for(level: Level, order: usize) -> Option<u64> {
    if order == 0 {
        return alloc_one(level);
    }
    let mut b = BUDDY.lock();
    if b.free_frames() < floor(level) + (1 << order) {
        return None;
    }
    let r = b.alloc(order);
    FREE.store(b.free_frames(), Relaxed);
    r
}

fn alloc_one(level: Level) -> Option<u64> {
    cpu::pinned(|cpu| {
        let c = &CACHES[cpu];
        // SAFETY: this CPU's, interrupts off.
        let head = unsafe { &mut *c.head.get() };
        if *head == 0 {
            refill(c, head, floor(level));
        }
        let frame = *head;
        if frame == 0 {
            return None;
        }
        // SAFETY: cached frames are free memory whose first word is the link.
        *head = unsafe { *(virt_of(frame) as *const u64) };
        c.count.store(c.count.load(Relaxed) - 1, Relaxed);
        Some(frame)
    })
}

fn refill(c: &Cache, head: &mut u64, floor: usize) {
    let mut b = BUDDY.lock();
    let room = b.free_frames().saturating_sub(floor);
    for _ in 0..room.min(CACHE_MAX.load(Relaxed) as usize / 2).max(room.min(1)) {
        let Some(frame) = b.alloc(0) else { break };
        // SAFETY: the frame is ours now.
        unsafe { *(virt_of(frame) as *mut u64) = *head };
        *head = frame;
        c.count.store(c.count.load(Relaxed) + 1, Relaxed);
    }
    FREE.store(b.free_frames(), Relaxed);
}

/// A zeroed frame.
pub fn alloc_zeroed(level: Level) -> Option<u64> {
    let f = alloc_one(level)?;
    // SAFETY: the frame is ours and in the direct map.
    unsafe { (virt_of(f) as *mut u8).write_bytes(0, PAGE_SIZE) };
    Some(f)
}

/// Gives back a block from [`alloc_for`].
///
/// # Safety
/// The block came from there with the same order, and nothing refers to it any more.
pub unsafe fn free(frame: u64, order: usize) {
    if order > 0 {
        let mut b = BUDDY.lock();
        b.free(frame, order);
        FREE.store(b.free_frames(), Relaxed);
        return;
    }
    cpu::pinned(|cpu| {
        let c = &CACHES[cpu];
        // SAFETY: this CPU's, interrupts off; the frame is free memory now.
        let head = unsafe { &mut *c.head.get() };
        let max = CACHE_MAX.load(Relaxed);
        if c.count.load(Relaxed) >= max {
            let mut b = BUDDY.lock();
            for _ in 0..max / 2 {
                let f = *head;
                // SAFETY: as in `alloc_one`.
                *head = unsafe { *(virt_of(f) as *const u64) };
                b.free(f, 0);
            }
            FREE.store(b.free_frames(), Relaxed);
            c.count.store(c.count.load(Relaxed) - max / 2, Relaxed);
        }
        // SAFETY: the caller gave the frame up.
        unsafe { *(virt_of(frame) as *mut u64) = *head };
        *head = frame;
        c.count.store(c.count.load(Relaxed) + 1, Relaxed);
    });
}

/// Exactly `pages` consecutive frames, aligned to `2^align_order` frames, not zeroed.
pub fn alloc_exact(level: Level, pages: usize, align_order: usize) -> Option<u64> {
    if pages == 1 && align_order == 0 {
        return alloc_one(level);
    }
    let mut b = BUDDY.lock();
    if b.free_frames() < floor(level).saturating_add(pages) {
        return None;
    }
    let r = b.alloc_exact(pages, align_order);
    FREE.store(b.free_frames(), Relaxed);
    r
}

/// Gives back a block from [`alloc_exact`], or a tail of it.
///
/// # Safety
/// As for [`free`].
pub unsafe fn free_exact(start: u64, pages: usize) {
    if pages == 1 {
        // SAFETY: the caller's.
        return unsafe { free(start, 0) };
    }
    let mut b = BUDDY.lock();
    b.release(start, pages);
    FREE.store(b.free_frames(), Relaxed);
}
