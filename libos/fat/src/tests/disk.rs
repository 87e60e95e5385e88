//! A disk in memory: it records what was durable when, and fails on demand.

use super::Random;
use libos_base::block::{BlockDevice, Completion, Op, Request, SECTOR, Segment, flush, read, write};
use libos_base::{Errno, Result};
use std::sync::{Arc, Mutex, MutexGuard};

/// What discarded sectors read as, so that a test notices code that relies on them.
const DISCARDED: u8 = 0xdd;

/// Something that happened to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes written, starting at this sector.
    Write(u64, Vec<u8>),
    /// A flush.
    Flush,
}

#[derive(Default)]
struct State {
    /// What reads see.
    current: Vec<u8>,
    /// What a power cut is sure to leave.
    durable: Vec<u8>,
    /// Written since the last flush.
    pending: Vec<Event>,
    /// Everything that happened while logging was on.
    log: Option<Vec<Event>>,
    /// Requests seen: reads, writes, flushes, discards.
    seen: [u64; 4],
    /// For each kind, the range of request numbers that fail.
    fail: [(u64, u64); 4],
}

/// The in-memory disk.
pub struct MemDisk {
    state: Mutex<State>,
    sectors: u64,
    read_only: bool,
    name: String,
}

impl MemDisk {
    /// A disk of `bytes` zeros (whole sectors), with a volatile cache and discard.
    pub fn new(bytes: u64) -> Arc<Self> {
        Self::from_image(vec![0; bytes as usize])
    }

    /// A disk with that content.
    pub fn from_image(image: Vec<u8>) -> Arc<Self> {
        Arc::new(Self::over(image))
    }

    /// A disk that refuses writes.
    pub fn read_only(image: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { read_only: true, ..Self::over(image) })
    }

    fn over(image: Vec<u8>) -> Self {
        let sectors = image.len() as u64 / SECTOR;
        let state = State { durable: image.clone(), current: image, ..State::default() };
        Self { state: Mutex::new(state), sectors, read_only: false, name: String::from("mem") }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The whole content, as reads see it.
    pub fn image(&self) -> Vec<u8> {
        self.state().current.clone()
    }

    /// Changes bytes behind the back of the disk's user.
    pub fn poke(&self, pos: usize, bytes: &[u8]) {
        let mut s = self.state();
        s.current[pos..pos + bytes.len()].copy_from_slice(bytes);
        s.durable[pos..pos + bytes.len()].copy_from_slice(bytes);
    }

    /// What a power cut would leave now: everything flushed, and a random choice of the sectors written since.
    pub fn after_power_cut(&self, seed: u64) -> Vec<u8> {
        let s = self.state();
        let mut image = s.durable.clone();
        apply_some(&mut image, &s.pending, seed);
        image
    }

    /// The least a power cut would leave now: only what was flushed.
    pub fn durable(&self) -> Vec<u8> {
        self.state().durable.clone()
    }

    /// Starts logging writes and flushes, with an empty log.
    pub fn start_log(&self) {
        self.state().log = Some(Vec::new());
    }

    /// The log so far; logging continues.
    pub fn log(&self) -> Vec<Event> {
        self.state().log.clone().unwrap_or_default()
    }

    /// Number of requests of this kind so far, including failed ones.
    pub fn count(&self, op: Op) -> u64 {
        self.state().seen[op as usize]
    }

    /// Makes `times` requests of this kind fail with EIO, after `skip` more that succeed. 0 `times`: none fail any
    /// more.
    pub fn fail(&self, op: Op, skip: u64, times: u64) {
        let mut s = self.state();
        let first = s.seen[op as usize] + skip;
        s.fail[op as usize] = (first, first.saturating_add(times));
    }

    fn run(&self, s: &mut State, r: &Request, covered: usize) -> Result<()> {
        assert!(r.valid(self.sectors), "{:?} of {} sectors at {}", r.op, r.sectors, r.sector);
        let kind = r.op as usize;
        let n = s.seen[kind];
        s.seen[kind] += 1;
        if self.read_only && r.op != Op::Read && r.op != Op::Flush {
            return Err(Errno::EROFS);
        }
        if (s.fail[kind].0..s.fail[kind].1).contains(&n) {
            return Err(Errno::EIO);
        }
        let mut at = (r.sector * SECTOR) as usize;
        match r.op {
            Op::Read => {
                for g in &r.segments {
                    g.page.write(g.offset, &s.current[at..at + g.len]);
                    at += g.len;
                }
            }
            Op::Write => {
                let mut bytes = vec![0; (r.sectors * SECTOR) as usize];
                let mut to = 0;
                for g in &r.segments {
                    g.page.read(g.offset, &mut bytes[to..to + g.len]);
                    to += g.len;
                }
                self.write(s, r.sector, bytes);
            }
            Op::Discard => {
                self.write(s, r.sector, vec![DISCARDED; (r.sectors * SECTOR) as usize]);
            }
            Op::Flush => {
                let rest = s.pending.split_off(covered.min(s.pending.len()));
                let flushed = std::mem::replace(&mut s.pending, rest);
                for e in &flushed {
                    apply(&mut s.durable, e);
                }
                if let Some(log) = &mut s.log {
                    log.push(Event::Flush);
                }
            }
        }
        Ok(())
    }

    fn write(&self, s: &mut State, sector: u64, bytes: Vec<u8>) {
        let e = Event::Write(sector, bytes);
        apply(&mut s.current, &e);
        if let Some(log) = &mut s.log {
            log.push(e.clone());
        }
        s.pending.push(e);
    }
}

fn apply(image: &mut [u8], e: &Event) {
    if let Event::Write(sector, bytes) = e {
        let at = (sector * SECTOR) as usize;
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// Applies a random choice of the written sectors: a disk may keep any of them, in any order, but never part of a
/// sector.
fn apply_some(image: &mut [u8], events: &[Event], seed: u64) {
    let mut random = Random(seed);
    // Some cuts lose nearly all, some nearly nothing.
    let keep = random.next() % 101;
    for e in events {
        let Event::Write(sector, bytes) = e else { continue };
        for (i, one) in bytes.chunks(SECTOR as usize).enumerate() {
            if random.next() % 100 < keep {
                let at = (sector * SECTOR) as usize + i * SECTOR as usize;
                image[at..at + one.len()].copy_from_slice(one);
            }
        }
    }
}

/// What a power cut leaves of `base` after the logged `events`: everything up to the last flush, and a random choice of
/// the rest (`None`: nothing of it).
pub fn replay(base: &[u8], events: &[Event], seed: Option<u64>) -> Vec<u8> {
    let mut image = base.to_vec();
    let flushed = events.iter().rposition(|e| *e == Event::Flush).map_or(0, |i| i + 1);
    events[..flushed].iter().for_each(|e| apply(&mut image, e));
    if let Some(seed) = seed {
        apply_some(&mut image, &events[flushed..], seed);
    }
    image
}

impl BlockDevice for MemDisk {
    fn name(&self) -> &str {
        &self.name
    }
    fn sectors(&self) -> u64 {
        self.sectors
    }
    fn read_only(&self) -> bool {
        self.read_only
    }
    fn has_flush(&self) -> bool {
        true
    }
    fn has_discard(&self) -> bool {
        true
    }
    fn block_size(&self) -> u32 {
        SECTOR as u32
    }
    fn serial(&self) -> &str {
        "mem0"
    }
    fn submit(&self, requests: Vec<Request>, done: &Arc<Completion>) {
        done.add(requests.len());
        let mut s = self.state();
        // A flush covers what completed before it was submitted, so nothing of its own batch.
        let covered = s.pending.len();
        for r in &requests {
            let result = self.run(&mut s, r, covered);
            done.done(result);
        }
    }
}

#[test]
fn reads_what_was_written_and_keeps_what_was_flushed() {
    let d = MemDisk::new(1 << 20);
    let data: Vec<u8> = (0..200 * 1024u32).map(|i| (i / 512 % 200) as u8 + 1).collect();
    write(&*d, 4096, &data).unwrap();
    let mut back = vec![0; data.len()];
    read(&*d, 4096, &mut back).unwrap();
    assert!(back == data);
    assert!(d.durable().iter().all(|&b| b == 0));
    let torn = d.after_power_cut(7);
    assert!(torn != d.image() && torn != d.durable());
    for (i, one) in torn[4096..4096 + data.len()].chunks(512).enumerate() {
        assert!(one == &data[i * 512..][..512] || one.iter().all(|&b| b == 0), "whole sectors");
    }
    flush(&*d).unwrap();
    assert!(d.durable() == d.image());
    assert_eq!(write(&*d, 100, &data), Err(Errno::EINVAL));
    assert_eq!(write(&*d, 0, &data[..100]), Err(Errno::EINVAL));
}

#[test]
fn a_flush_covers_nothing_of_its_own_batch() {
    let d = MemDisk::new(8192);
    d.start_log();
    let page = libos_base::page::Page::new().unwrap();
    page.write(0, &[5; 512]);
    let segments = vec![Segment { page, offset: 0, len: 512 }];
    let done = Completion::new().unwrap();
    d.submit(vec![Request { op: Op::Write, sector: 3, sectors: 1, segments }, Request::flush()], &done);
    done.wait().unwrap();
    assert!(d.durable().iter().all(|&b| b == 0));
    flush(&*d).unwrap();
    assert_eq!(d.durable()[1536], 5);
    assert_eq!(d.log(), [Event::Write(3, vec![5; 512]), Event::Flush, Event::Flush]);
    assert!(replay(&[0; 8192], &d.log(), None) == d.image());
}

#[test]
fn fails_when_told() {
    let d = MemDisk::new(8192);
    d.fail(Op::Write, 1, 2);
    let results: Vec<_> = (0..4).map(|_| write(&*d, 0, &[1; 512])).collect();
    assert_eq!(results, [Ok(()), Err(Errno::EIO), Err(Errno::EIO), Ok(())]);
    assert_eq!(d.count(Op::Write), 4);
    d.fail(Op::Flush, 0, u64::MAX);
    assert_eq!((flush(&*d), flush(&*d)), (Err(Errno::EIO), Err(Errno::EIO)));
    let ro = MemDisk::read_only(vec![0; 4096]);
    assert_eq!(write(&*ro, 0, &[1; 512]), Err(Errno::EROFS));
}
