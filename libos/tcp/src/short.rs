//! A queue whose first element needs no memory of its own: what a request and its answer take is one chunk each, and a
//! connection for each of them should not cost two allocations.

use alloc::collections::{TryReserveError, VecDeque};

/// Room for more elements than this is given back.
const KEPT: usize = 8;

/// See the module.
pub struct Short<T> {
    /// `None`: it is empty.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> Default for Short<T> {
    fn default() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }
}

impl<T> Short<T> {
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }
    /// Makes room for one more.
    pub fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.first.is_none() { Ok(()) } else { self.rest.try_reserve(1) }
    }
    /// Appends an element, for which there is room.
    pub fn push_back(&mut self, new: T) {
        match self.first {
            None => self.first = Some(new),
            Some(_) => self.rest.push_back(new),
        }
    }
    pub fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.rest.back_mut().or(self.first.as_mut())
    }
    pub fn get(&self, i: usize) -> Option<&T> {
        if i == 0 { self.first.as_ref() } else { self.rest.get(i - 1) }
    }
    pub fn get_mut(&mut self, i: usize) -> Option<&mut T> {
        if i == 0 { self.first.as_mut() } else { self.rest.get_mut(i - 1) }
    }
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }
    pub fn pop_front(&mut self) -> Option<T> {
        core::mem::replace(&mut self.first, self.rest.pop_front())
    }
    /// Passes every element to `gone`.
    pub fn drain(&mut self, mut gone: impl FnMut(T)) {
        self.first.take().into_iter().for_each(&mut gone);
        while let Some(next) = self.rest.pop_back() {
            gone(next);
        }
        if self.rest.capacity() > KEPT {
            self.rest = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Short;

    #[test]
    fn it_is_a_queue() {
        let (mut q, mut model) = (Short::default(), std::collections::VecDeque::new());
        for n in 0..1000u32 {
            if n * 7 % 11 < 6 {
                q.reserve().unwrap();
                q.push_back(n);
                model.push_back(n);
            } else {
                assert_eq!(q.pop_front(), model.pop_front());
            }
            assert_eq!((q.len(), q.is_empty(), q.front()), (model.len(), model.is_empty(), model.front()));
            assert_eq!(q.get(1), model.get(1));
            assert_eq!(q.get_mut(0), model.get_mut(0));
            assert_eq!(q.back_mut(), model.back_mut());
            assert!(q.iter().eq(&model));
        }
        let mut n = 0;
        q.drain(|_| n += 1);
        assert!(n == model.len() && q.is_empty() && q.pop_front().is_none());
    }
}
