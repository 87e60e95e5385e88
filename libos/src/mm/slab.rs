//! Slabs: objects of one size class in single frames. Pure logic.
//!
//! Single frames, because when memory is nearly gone no larger ones are left, and small objects must still be
//! available. Sizes are what a frame divides into, rather than powers of two. Objects are packed against the end of the
//! frame, so that an object of size 64 is aligned to 64; the header sits in what is left at the start. Objects are
//! first handed out from the end, so a fresh slab is not touched before it is used.

use core::ptr::null_mut;
use libos_base::layout::PAGE_SIZE;

/// Object size of every class.
const CLASSES: [u16; COUNT] =
    [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 368, 400, 448, 496, 576, 672, 800, 1008, 1344, 2032];
/// Number of classes.
pub const COUNT: usize = 23;
/// Largest object; larger ones are whole frames.
pub const LARGEST: usize = CLASSES[COUNT - 1] as usize;

/// The class of every size, in steps of 16.
static CLASS_OF: [u8; LARGEST / 16 + 1] = {
    let mut t = [0; LARGEST / 16 + 1];
    let (mut i, mut c) = (0, 0);
    while i < t.len() {
        if i * 16 > CLASSES[c] as usize {
            c += 1;
        }
        t[i] = c as u8;
        i += 1;
    }
    t
};

/// The class for an object, or `None` when it needs whole frames.
#[inline]
pub fn class_of(size: usize, align: usize) -> Option<usize> {
    if size > LARGEST {
        return None;
    }
    let class = CLASS_OF[size.div_ceil(16)] as usize;
    if align <= 16 {
        return Some(class);
    }
    (class..COUNT).find(|&c| object_size(c).is_multiple_of(align))
}

/// Bytes an object of the class takes.
#[inline]
pub const fn object_size(class: usize) -> usize {
    CLASSES[class] as usize
}

/// A free object.
#[repr(C)]
pub struct Free {
    /// The next one.
    pub next: *mut Free,
}

#[repr(C)]
struct Slab {
    next: *mut Slab,
    prev: *mut Slab,
    free: *mut Free,
    used: u16,
    /// Objects handed out at least once.
    fresh: u16,
    class: u16,
    listed: bool,
}

fn capacity(class: usize) -> u16 {
    ((PAGE_SIZE - size_of::<Slab>()) / object_size(class)) as u16
}

/// The slabs of one class that have free objects. Full ones are found through their objects.
pub struct Class {
    partial: *mut Slab,
    /// One empty slab is kept, so that one object coming and going does not move frames.
    empty: *mut Slab,
}

// SAFETY: the slabs behind the pointers belong to the class.
unsafe impl Send for Class {}

impl Class {
    /// No slabs.
    pub const fn new() -> Self {
        Self { partial: null_mut(), empty: null_mut() }
    }

    /// An object of class `c`; `frame` supplies a frame.
    pub fn alloc(&mut self, c: usize, frame: impl FnOnce() -> Option<*mut u8>) -> Option<*mut Free> {
        if self.partial.is_null() {
            let s = if self.empty.is_null() { Self::make(c, frame()?) } else { self.empty };
            self.empty = null_mut();
            self.list(s);
        }
        let s = self.partial;
        // SAFETY: listed slabs are live, have room, and belong to this class.
        unsafe {
            let object = if (*s).free.is_null() {
                (*s).fresh += 1;
                s.cast::<u8>().add(PAGE_SIZE - (*s).fresh as usize * object_size(c)).cast::<Free>()
            } else {
                let o = (*s).free;
                (*s).free = (*o).next;
                o
            };
            (*s).used += 1;
            if (*s).used == capacity(c) {
                self.unlist(s);
            }
            Some(object)
        }
    }

    /// Takes an object back. A frame that is no longer needed goes to `release`.
    ///
    /// # Safety
    /// The object came from [`Class::alloc`] with the same `c`, and nothing refers to it.
    pub unsafe fn free(&mut self, c: usize, object: *mut Free, release: impl FnOnce(*mut u8)) {
        let s = (object as usize & !(PAGE_SIZE - 1)) as *mut Slab;
        // SAFETY: the object lies in a slab of this class, whose header is at the frame's start.
        unsafe {
            assert!((*s).class as usize == c && (*s).used > 0, "kernel heap: freed object {object:p} is not one");
            (*object).next = (*s).free;
            (*s).free = object;
            (*s).used -= 1;
            if (*s).used == 0 {
                if (*s).listed {
                    self.unlist(s);
                }
                let old = core::mem::replace(&mut self.empty, s);
                if !old.is_null() {
                    release(old.cast());
                }
            } else if !(*s).listed {
                self.list(s);
            }
        }
    }

    fn make(c: usize, frame: *mut u8) -> *mut Slab {
        let s = frame.cast::<Slab>();
        let (next, prev, free) = (null_mut(), null_mut(), null_mut());
        // SAFETY: a frame is unused memory, larger than the header and page-aligned.
        unsafe { s.write(Slab { next, prev, free, used: 0, fresh: 0, class: c as u16, listed: false }) };
        s
    }

    fn list(&mut self, s: *mut Slab) {
        // SAFETY: `s` is a live, unlisted slab of this class; so is the list's head live.
        unsafe {
            (*s).next = self.partial;
            (*s).prev = null_mut();
            (*s).listed = true;
            if !self.partial.is_null() {
                (*self.partial).prev = s;
            }
        }
        self.partial = s;
    }

    fn unlist(&mut self, s: *mut Slab) {
        // SAFETY: `s` is listed, so its neighbours are live.
        unsafe {
            if (*s).prev.is_null() {
                self.partial = (*s).next;
            } else {
                (*(*s).prev).next = (*s).next;
            }
            if !(*s).next.is_null() {
                (*(*s).next).prev = (*s).prev;
            }
            (*s).listed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::{Layout, alloc, dealloc};
    use std::collections::BTreeSet;

    const FRAME: Layout = match Layout::from_size_align(PAGE_SIZE, PAGE_SIZE) {
        Ok(l) => l,
        Err(_) => panic!(),
    };

    #[test]
    fn classes_fit_and_align() {
        for size in 0..=LARGEST {
            let c = class_of(size, 8).unwrap();
            assert!(object_size(c) >= size);
            assert!(c == 0 || object_size(c - 1) < size);
        }
        for align in [32, 64, 128, 256] {
            assert_eq!(object_size(class_of(40, align).unwrap()) % align, 0);
        }
        assert_eq!(class_of(100, 512), None);
        assert_eq!(class_of(LARGEST + 1, 1), None);
        for c in 0..COUNT {
            let room = PAGE_SIZE - size_of::<Slab>() - capacity(c) as usize * object_size(c);
            assert!(room < 16 * (capacity(c) as usize + 4), "class {} wastes {room}", object_size(c));
        }
    }

    #[test]
    fn objects_are_distinct_aligned_and_frames_return() {
        for c in 0..COUNT {
            let mut class = Class::new();
            let frames = std::cell::Cell::new(0);
            // SAFETY: every frame is freed with the layout it was made with.
            let make = || unsafe {
                frames.set(frames.get() + 1);
                Some(alloc(FRAME))
            };
            let n = capacity(c) as usize * 3;
            let objects: Vec<_> = (0..n).map(|_| class.alloc(c, make).unwrap()).collect();
            assert_eq!(frames.get(), 3);
            let set: BTreeSet<usize> = objects.iter().map(|o| *o as usize).collect();
            assert_eq!(set.len(), n);
            let step = 1usize << object_size(c).trailing_zeros();
            assert!(set.iter().all(|a| a % step == 0));
            assert!(set.iter().zip(set.iter().skip(1)).all(|(a, b)| b - a >= object_size(c)));
            for (i, o) in objects.iter().enumerate() {
                // SAFETY: allocated above, freed once.
                unsafe {
                    (*o).cast::<u8>().write_bytes(i as u8, object_size(c));
                    class.free(c, *o, |f| {
                        frames.set(frames.get() - 1);
                        dealloc(f, FRAME);
                    });
                }
            }
            assert_eq!(frames.get(), 1, "one empty frame is kept");
            // SAFETY: the last frame.
            unsafe { dealloc(class.empty.cast(), FRAME) };
            assert!(class.partial.is_null());
        }
    }

    #[test]
    fn no_memory_is_none() {
        assert!(Class::new().alloc(3, || None).is_none());
    }
}
