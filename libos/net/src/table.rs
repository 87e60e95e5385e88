//! Containers of the stack: a slab, a timer heap with one entry per object, counts by port, a keyed hash.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use libos_base::{Result, random};

/// Objects by small numbers. Freed numbers are reused.
pub struct Slab<T> {
    items: Vec<Option<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slab<T> {
    pub const fn new() -> Self {
        Self { items: Vec::new(), free: Vec::new(), len: 0 }
    }
    /// Makes room for an object, and returns the number that it will get; ENOMEM.
    pub fn reserve(&mut self) -> Result<u32> {
        if let Some(&i) = self.free.last() {
            return Ok(i);
        }
        self.items.try_reserve(1)?;
        self.free.try_reserve(self.items.len() + 1)?;
        Ok(self.items.len() as u32)
    }
    /// Adds an object and returns its number; ENOMEM.
    pub fn insert(&mut self, v: T) -> Result<u32> {
        let i = self.reserve()?;
        match self.free.pop() {
            Some(i) => self.items[i as usize] = Some(v),
            None => self.items.push(Some(v)),
        }
        self.len += 1;
        Ok(i)
    }
    /// Removes the object with this number.
    pub fn remove(&mut self, i: u32) -> Option<T> {
        let v = self.items.get_mut(i as usize)?.take()?;
        self.len -= 1;
        self.free.push(i);
        Some(v)
    }
    /// The object with this number.
    pub fn get(&self, i: u32) -> Option<&T> {
        self.items.get(i as usize)?.as_ref()
    }
    pub fn get_mut(&mut self, i: u32) -> Option<&mut T> {
        self.items.get_mut(i as usize)?.as_mut()
    }
    /// Number of objects.
    pub fn len(&self) -> usize {
        self.len
    }
    /// All numbers are below this.
    pub fn end(&self) -> u32 {
        self.items.len() as u32
    }
}

/// A heap of deadlines with at most one entry for each number, so that it never outgrows the objects.
pub struct Timers {
    heap: Vec<(u64, u32)>,
    /// Position in `heap` + 1, by number; 0: none.
    pos: Vec<u32>,
}

impl Timers {
    pub const fn new() -> Self {
        Self { heap: Vec::new(), pos: Vec::new() }
    }
    /// Makes sure that `id` can be set without allocating.
    pub fn reserve(&mut self, id: u32) -> Result<()> {
        let n = id as usize + 1;
        if self.pos.len() < n {
            self.pos.try_reserve(n - self.pos.len())?;
            self.pos.resize(n, 0);
        }
        self.heap.try_reserve(self.pos.len() - self.heap.len())?;
        Ok(())
    }
    /// The deadline of `id`.
    pub fn get(&self, id: u32) -> Option<u64> {
        let p = *self.pos.get(id as usize)?;
        (p != 0).then(|| self.heap[p as usize - 1].0)
    }
    /// The earliest deadline and its number.
    pub fn first(&self) -> Option<(u64, u32)> {
        self.heap.first().copied()
    }
    /// Sets or moves the deadline of `id`, which must have been reserved.
    pub fn set(&mut self, id: u32, at: u64) {
        let p = self.pos[id as usize] as usize;
        if p == 0 {
            self.heap.push((at, id));
            self.pos[id as usize] = self.heap.len() as u32;
            self.up(self.heap.len() - 1);
        } else {
            let old = self.heap[p - 1].0;
            self.heap[p - 1].0 = at;
            if at < old { self.up(p - 1) } else { self.down(p - 1) }
        }
    }
    /// Removes the deadline of `id`.
    pub fn clear(&mut self, id: u32) {
        let Some(p) = self.pos.get(id as usize).copied().filter(|&p| p != 0) else { return };
        let p = p as usize - 1;
        self.pos[id as usize] = 0;
        let last = self.heap.len() - 1;
        self.heap.swap(p, last);
        self.heap.pop();
        if p < last {
            self.pos[self.heap[p].1 as usize] = p as u32 + 1;
            self.up(p);
            self.down(p);
        }
    }
    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.pos[self.heap[a].1 as usize] = a as u32 + 1;
        self.pos[self.heap[b].1 as usize] = b as u32 + 1;
    }
    fn up(&mut self, mut i: usize) {
        while i > 0 && self.heap[i].0 < self.heap[(i - 1) / 2].0 {
            self.swap(i, (i - 1) / 2);
            i = (i - 1) / 2;
        }
    }
    fn down(&mut self, mut i: usize) {
        loop {
            let mut c = 2 * i + 1;
            if c >= self.heap.len() {
                return;
            }
            if c + 1 < self.heap.len() && self.heap[c + 1].0 < self.heap[c].0 {
                c += 1;
            }
            if self.heap[i].0 <= self.heap[c].0 {
                return;
            }
            self.swap(i, c);
            i = c;
        }
    }
}

/// Hash keys of this boot: a peer that can choose addresses and ports must not be able to choose collisions.
#[derive(Clone, Copy)]
pub struct Keyed([u64; 2]);

impl Keyed {
    pub fn new() -> Self {
        Self([random::u64(), random::u64() | 1])
    }
}

impl Default for Keyed {
    fn default() -> Self {
        Self::new()
    }
}

/// State of one hash: multiply and fold, like wyhash and foldhash.
pub struct Fold {
    state: u64,
    key: u64,
}

fn fold(a: u64, b: u64) -> u64 {
    let m = u128::from(a) * u128::from(b);
    m as u64 ^ (m >> 64) as u64
}

impl BuildHasher for Keyed {
    type Hasher = Fold;
    fn build_hasher(&self) -> Fold {
        Fold { state: self.0[0], key: self.0[1] }
    }
}

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        fold(self.state ^ 0x9e37_79b9_7f4a_7c15, self.key)
    }
    fn write(&mut self, bytes: &[u8]) {
        for c in bytes.chunks(8) {
            let mut b = [0; 8];
            b[..c.len()].copy_from_slice(c);
            self.write_u64(u64::from_le_bytes(b));
        }
    }
    fn write_u8(&mut self, v: u8) {
        self.write_u64(u64::from(v));
    }
    fn write_u16(&mut self, v: u16) {
        self.write_u64(u64::from(v));
    }
    fn write_u32(&mut self, v: u32) {
        self.write_u64(u64::from(v));
    }
    fn write_u64(&mut self, v: u64) {
        self.state = fold(self.state ^ v, self.key ^ 0xa076_1d64_78bd_642f);
    }
    fn write_usize(&mut self, v: usize) {
        self.write_u64(v as u64);
    }
}

/// SipHash-2-4, for results that a peer must not be able to compute.
pub fn sip(key: [u64; 2], data: &[u8]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    fn round(v: &mut [u64; 4]) {
        v[0] = v[0].wrapping_add(v[1]);
        v[2] = v[2].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[1]);
        v[0] = v[0].wrapping_add(v[3]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].rotate_left(32);
    }
    let mut word = |m: u64| {
        v[3] ^= m;
        round(&mut v);
        round(&mut v);
        v[0] ^= m;
    };
    let mut chunks = data.chunks_exact(8);
    for c in &mut chunks {
        word(u64::from_le_bytes(core::array::from_fn(|i| c[i])));
    }
    let mut last = [0; 8];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[7] = data.len() as u8;
    word(u64::from_le_bytes(last));
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

/// Counts something at each port. Takes 1 KiB per 256 ports in use.
#[derive(Default)]
pub struct PortCounts {
    chunks: Vec<Vec<u32>>,
}

impl PortCounts {
    /// Adds one; ENOMEM.
    pub fn add(&mut self, port: u16) -> Result<()> {
        let (chunk, at) = (usize::from(port >> 8), usize::from(port & 0xff));
        if self.chunks.len() <= chunk {
            self.chunks.try_reserve(chunk + 1 - self.chunks.len())?;
            self.chunks.resize(chunk + 1, Vec::new());
        }
        let counts = &mut self.chunks[chunk];
        if counts.is_empty() {
            counts.try_reserve_exact(256)?;
            counts.resize(256, 0);
        }
        counts[at] += 1;
        Ok(())
    }

    /// Removes one that was added.
    pub fn sub(&mut self, port: u16) {
        self.chunks[usize::from(port >> 8)][usize::from(port & 0xff)] -= 1;
    }

    /// Whether the count is not zero.
    pub fn any(&self, port: u16) -> bool {
        let counts = self.chunks.get(usize::from(port >> 8));
        counts.and_then(|counts| counts.get(usize::from(port & 0xff))).is_some_and(|&n| n > 0)
    }
}

/// The map used everywhere in the stack.
pub type Map<K, V> = hashbrown::HashMap<K, V, Keyed>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_out_in_order_whatever_was_moved_or_cleared() {
        let mut t = Timers::new();
        let mut want = std::collections::BTreeMap::new();
        let mut x = 12345u64;
        for _ in 0..20_000 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let id = (x >> 33) as u32 % 200;
            t.reserve(id).unwrap();
            if x >> 60 == 0 {
                t.clear(id);
                want.remove(&id);
            } else {
                t.set(id, x >> 20);
                want.insert(id, x >> 20);
            }
            assert_eq!(t.first().map(|f| f.0), want.values().min().copied());
        }
        while let Some((at, id)) = t.first() {
            assert_eq!(want.remove(&id), Some(at));
            t.clear(id);
        }
        assert!(want.is_empty());
    }

    #[test]
    fn ports_are_counted_one_by_one() {
        let mut c = PortCounts::default();
        for p in [0, 80, 80, 255, 256, u16::MAX] {
            assert!(!c.any(p) || p == 80);
            c.add(p).unwrap();
        }
        assert!([0, 80, 255, 256, u16::MAX].into_iter().all(|p| c.any(p)) && !c.any(1) && !c.any(40_000));
        c.sub(80);
        assert!(c.any(80));
        c.sub(80);
        assert!(!c.any(80));
    }

    #[test]
    fn siphash_reference_vectors() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let data: Vec<u8> = (0..63).collect();
        assert_eq!(sip(key, &data[..0]), 0x726f_db47_dd0e_0e31);
        assert_eq!(sip(key, &data[..15]), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn slab_reuses_numbers() {
        let mut s = Slab::new();
        let a = s.insert('a').unwrap();
        let b = s.insert('b').unwrap();
        assert_eq!(s.remove(a), Some('a'));
        assert_eq!(s.insert('c').unwrap(), a);
        assert_eq!((s.get(b), s.len()), (Some(&'b'), 2));
        assert_eq!(s.remove(99), None);
    }
}
