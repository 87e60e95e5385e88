//! The kernel heap: size classes in slabs with lists of free objects on every CPU; whole frames for larger objects.
//!
//! Slabs take frames from the buddy directly, and empty ones go back: kernel and program share one memory, so no
//! arena may sit between them and keep what it was once given. Large sizes are rounded to frames, not to powers of two.
//! Everything is physically contiguous and in the direct map, usable for DMA. Works with interrupts off and in
//! interrupts.
//!
//! Each class has a lock, under which frames are taken. The CPU lists have none: interrupts off, own CPU only.

use super::cpu;
use super::frames::{self, Level};
use super::slab::{self, COUNT, Class, Free};
use crate::arch::MAX_CPUS;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use libos_base::layout::{PAGE_SIZE, phys_of, virt_of};
use libos_base::sync::{IrqSpinLock, class};

/// The kernel's allocator.
pub struct Heap;

#[cfg(unibody_kernel)]
#[global_allocator]
static HEAP: Heap = Heap;

static CENTRAL: [IrqSpinLock<Class>; COUNT] = [const { IrqSpinLock::new(class::HEAP, Class::new()) }; COUNT];

/// Free objects of one class on one CPU.
#[derive(Clone, Copy)]
struct List {
    head: *mut Free,
    count: usize,
}
type Lists = [List; COUNT];
/// Made when a CPU first allocates.
static LISTS: [AtomicPtr<Lists>; MAX_CPUS] = [const { AtomicPtr::new(null_mut()) }; MAX_CPUS];

/// Most objects on a CPU's list: 2 KiB of them, within reason. A table, because every free looks it up.
static LIST_MAX: [u8; COUNT] = {
    let (mut t, mut c) = ([0; COUNT], 0);
    while c < COUNT {
        let n = 2048 / slab::object_size(c);
        t[c] = if n < 2 {
            2
        } else if n > 32 {
            32
        } else {
            n as u8
        };
        c += 1;
    }
    t
};

#[inline(always)]
fn list_max(class: usize) -> usize {
    LIST_MAX[class] as usize
}

fn frame() -> Option<*mut u8> {
    frames::alloc_for(Level::Kernel, 0).map(|p| virt_of(p) as *mut u8)
}

fn release(f: *mut u8) {
    // SAFETY: an empty slab, made from `frame`.
    unsafe { frames::free(phys_of(f as usize), 0) };
}

/// This CPU's lists. Interrupts are off.
#[inline(always)]
fn lists(cpu: usize) -> Option<&'static mut Lists> {
    let mut p = LISTS[cpu].load(Relaxed);
    if p.is_null() {
        p = make_lists(cpu)?;
    }
    // SAFETY: made once, never freed, and only its own CPU uses it, with interrupts off.
    Some(unsafe { &mut *p })
}

#[cold]
#[inline(never)]
fn make_lists(cpu: usize) -> Option<*mut Lists> {
    let class = slab::class_of(size_of::<Lists>(), align_of::<Lists>())?;
    let p = CENTRAL[class].lock().alloc(class, frame)?.cast::<Lists>();
    // SAFETY: a fresh object of at least this size.
    unsafe { p.write([List { head: null_mut(), count: 0 }; COUNT]) };
    LISTS[cpu].store(p, Relaxed);
    Some(p)
}

fn alloc_small(class: usize) -> *mut u8 {
    cpu::pinned(|cpu| {
        let Some(list) = lists(cpu).map(|l| &mut l[class]) else { return null_mut() };
        if list.head.is_null() {
            let mut central = CENTRAL[class].lock();
            for _ in 0..list_max(class) / 2 {
                let Some(o) = central.alloc(class, frame) else { break };
                // SAFETY: a free object, ours.
                unsafe { (*o).next = list.head };
                list.head = o;
                list.count += 1;
            }
        }
        let o = list.head;
        if !o.is_null() {
            // SAFETY: objects on the list are free memory that starts with the link.
            list.head = unsafe { (*o).next };
            list.count -= 1;
        }
        o.cast()
    })
}

fn free_small(class: usize, p: *mut u8) {
    cpu::pinned(|cpu| {
        let o = p.cast::<Free>();
        let Some(list) = lists(cpu).map(|l| &mut l[class]) else {
            // SAFETY: the caller of `dealloc` gave the object up.
            return unsafe { CENTRAL[class].lock().free(class, o, release) };
        };
        // SAFETY: as above.
        unsafe { (*o).next = list.head };
        list.head = o;
        list.count += 1;
        if list.count > list_max(class) {
            let mut central = CENTRAL[class].lock();
            while list.count > list_max(class) / 2 {
                let o = list.head;
                // SAFETY: objects on the list came from this class.
                unsafe {
                    list.head = (*o).next;
                    central.free(class, o, release);
                }
                list.count -= 1;
            }
        }
    });
}

/// Frames for a large layout.
fn pages(size: usize) -> usize {
    size.div_ceil(PAGE_SIZE)
}

/// Above this, and for whole aligned pages (the page cache), callers must be ready to fail.
const GROWABLE: usize = 64 * 1024;

fn alloc_large(l: Layout) -> *mut u8 {
    let align_order = pages(l.align()).ilog2() as usize;
    let growable = l.size() > GROWABLE || l.align() >= PAGE_SIZE;
    let level = if growable { Level::Normal } else { Level::Heap };
    super::frames_for(level, pages(l.size()), align_order).map_or(null_mut(), |p| virt_of(p) as *mut u8)
}

// SAFETY: objects are live, distinct, and at least as large and aligned as asked for: `slab.rs` and `buddy.rs`, tested.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        match slab::class_of(l.size(), l.align()) {
            Some(c) => alloc_small(c),
            None => alloc_large(l),
        }
    }

    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        match slab::class_of(l.size(), l.align()) {
            Some(c) => free_small(c, p),
            // SAFETY: allocated by `alloc_large` with the same layout.
            None => unsafe { frames::free_exact(phys_of(p as usize), pages(l.size())) },
        }
    }

    unsafe fn realloc(&self, p: *mut u8, l: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller guarantees that `size` rounded up to the alignment does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(size, l.align()) };
        let (old_class, new_class) = (slab::class_of(l.size(), l.align()), slab::class_of(size, l.align()));
        let same = match (old_class, new_class) {
            (None, None) => pages(l.size()) == pages(size),
            (a, b) => a == b,
        };
        if same {
            return p;
        }
        if old_class.is_none() && new_class.is_none() && size < l.size() {
            let keep = pages(size);
            // SAFETY: the tail is no longer part of the object.
            unsafe { frames::free_exact(phys_of(p as usize) + (keep * PAGE_SIZE) as u64, pages(l.size()) - keep) };
            return p;
        }
        // SAFETY: the new object is distinct, and both are at least as large as what is copied.
        unsafe {
            let q = self.alloc(new);
            if !q.is_null() {
                q.copy_from_nonoverlapping(p, l.size().min(size));
                self.dealloc(p, l);
            }
            q
        }
    }
}
