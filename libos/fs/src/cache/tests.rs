//! The cache on top of an in-memory storage that records its requests and fails on demand.

use super::tree::PAGE;
use super::{Backing, FileCache, global};
use crate::inode::{Cached, Pattern};
use libos_base::io::{Sink, Source};
use libos_base::page::Page;
use libos_base::{Errno, Result};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// What unwritten storage holds.
const JUNK: u8 = 0xee;

pub struct Store {
    bytes: Mutex<Vec<u8>>,
    cache: Arc<FileCache>,
    reads: Mutex<Vec<(u64, usize)>>,
    writes: Mutex<Vec<(u64, usize)>>,
    bad_read: AtomicBool,
    bad_write: AtomicBool,
    no_memory: AtomicBool,
    /// Milliseconds that a read or write takes.
    slow: AtomicU32,
}

impl Store {
    fn new(content: &[u8]) -> Arc<Store> {
        let mut bytes = content.to_vec();
        bytes.resize(content.len().next_multiple_of(PAGE as usize), JUNK);
        Arc::new_cyclic(|me: &std::sync::Weak<Store>| Store {
            bytes: Mutex::new(bytes),
            cache: FileCache::new(me.clone(), content.len() as u64).unwrap(),
            reads: Mutex::default(),
            writes: Mutex::default(),
            bad_read: AtomicBool::new(false),
            bad_write: AtomicBool::new(false),
            no_memory: AtomicBool::new(false),
            slow: AtomicU32::new(0),
        })
    }
    fn pause(&self) {
        std::thread::sleep(std::time::Duration::from_millis(u64::from(self.slow.load(SeqCst))));
    }
    fn read(&self, pos: u64, n: usize) -> Result<Vec<u8>> {
        let mut v = vec![0; n];
        let k = self.cache.read(pos, &mut Sink::kernel(&mut v))?;
        v.truncate(k);
        Ok(v)
    }
    fn write(&self, pos: u64, b: &[u8]) -> Result<usize> {
        self.cache.write(pos, &mut Source::kernel(b))
    }
    fn stored(&self) -> Vec<u8> {
        let mut v = self.bytes.lock().unwrap().clone();
        v.truncate(self.cache.size() as usize);
        v
    }
    fn flush(&self) -> Result<()> {
        self.cache.flush(0..u64::MAX)
    }
    fn take_reads(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
    fn take_writes(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.writes.lock().unwrap())
    }
}

impl Backing for Store {
    fn read_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()> {
        self.reads.lock().unwrap().push((index, pages.len()));
        self.pause();
        if self.bad_read.load(SeqCst) {
            return Err(Errno::EIO);
        }
        let size = self.cache.size();
        let bytes = self.bytes.lock().unwrap();
        for (i, p) in pages.iter().enumerate() {
            let from = (index + i as u64) * PAGE;
            let to = (from + PAGE).min(size).min(bytes.len() as u64);
            if from < to {
                p.write(0, &bytes[from as usize..to as usize]);
            }
        }
        Ok(())
    }
    fn write_pages(&self, index: u64, pages: &[Arc<Page>]) -> Result<()> {
        self.writes.lock().unwrap().push((index, pages.len()));
        self.pause();
        if self.bad_write.load(SeqCst) {
            return Err(Errno::EIO);
        }
        if self.no_memory.load(SeqCst) {
            return Err(Errno::ENOMEM);
        }
        let size = self.cache.size();
        let mut bytes = self.bytes.lock().unwrap();
        for (i, p) in pages.iter().enumerate() {
            let from = (index + i as u64) * PAGE;
            let to = (from + PAGE).min(size.next_multiple_of(512));
            if from < to {
                if bytes.len() < to as usize {
                    bytes.resize(to as usize, JUNK);
                }
                p.read(0, &mut bytes[from as usize..to as usize]);
            }
        }
        Ok(())
    }
}

/// Tests count pages, and some drop pages everywhere: they run one at a time.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

fn pattern(n: usize, seed: usize) -> Vec<u8> {
    (0..n).map(|i| ((i * 7 + i / 251 + seed) % 251) as u8).collect()
}

#[test]
fn what_is_written_is_read_and_reaches_the_storage() {
    let _alone = alone();
    let s = Store::new(&pattern(10_000, 1));
    assert_eq!(s.read(0, 20_000).unwrap(), pattern(10_000, 1));
    assert_eq!(s.write(9_990, &pattern(20, 5)).unwrap(), 20);
    assert_eq!(s.cache.size(), 10_010);
    let mut want = pattern(10_000, 1);
    want.truncate(9_990);
    want.extend(pattern(20, 5));
    assert_eq!(s.read(0, 20_000).unwrap(), want);
    assert!(s.cache.is_dirty() && s.take_writes().is_empty());
    s.flush().unwrap();
    assert_eq!(s.take_writes(), [(2, 1)]);
    assert_eq!(s.stored(), want);
    s.flush().unwrap();
    assert!(s.take_writes().is_empty(), "clean pages are not written again");
}

#[test]
fn a_whole_page_is_written_without_reading_it() {
    let _alone = alone();
    let s = Store::new(&pattern(5 * 4096, 1));
    s.write(4096, &pattern(8192, 2)).unwrap();
    assert!(s.take_reads().is_empty());
    s.write(4 * 4096, &pattern(4096, 3)).unwrap();
    // To the end of the file and beyond: nothing of the last page remains.
    s.write(5 * 4096, b"more").unwrap();
    s.write(5 * 4096, b"MORE!").unwrap();
    assert!(s.take_reads().is_empty());
    s.write(100, b"part").unwrap();
    assert_eq!(s.take_reads(), [(0, 1)]);
    s.flush().unwrap();
    assert_eq!(s.take_writes(), [(0, 3), (4, 2)]);
}

#[test]
fn gaps_read_as_zeros_here_and_on_the_storage() {
    let _alone = alone();
    let s = Store::new(b"hello");
    s.write(3 * 4096 + 10, b"end").unwrap();
    let mut want = b"hello".to_vec();
    want.resize(3 * 4096 + 10, 0);
    want.extend(b"end");
    assert_eq!(s.read(0, 1 << 20).unwrap(), want);
    s.flush().unwrap();
    assert_eq!(s.stored(), want);
    // Truncated in the middle of a page and extended again: zeros, not the old content.
    s.cache.set_size(3).unwrap();
    assert_eq!(s.read(0, 100).unwrap(), b"hel");
    s.cache.set_size(9000).unwrap();
    let mut want = b"hel".to_vec();
    want.resize(9000, 0);
    assert_eq!(s.read(0, 1 << 20).unwrap(), want);
    s.flush().unwrap();
    assert_eq!(s.stored(), want);
}

#[test]
fn a_cold_tail_is_cleared_when_the_file_grows() {
    let _alone = alone();
    // The storage has junk beyond the end, and nothing is in memory.
    for grow_by_write in [false, true] {
        let s = Store::new(&pattern(5000, 1));
        if grow_by_write {
            s.write(7000, b"x").unwrap();
        } else {
            s.cache.set_size(7001).unwrap();
        }
        let mut want = pattern(5000, 1);
        want.resize(7001, 0);
        if grow_by_write {
            want[7000] = b'x';
        }
        assert_eq!(s.read(0, 1 << 20).unwrap(), want);
        s.flush().unwrap();
        assert_eq!(s.stored(), want);
    }
}

#[test]
fn reading_in_order_reads_ahead_and_at_random_does_not() {
    let _alone = alone();
    let s = Store::new(&vec![1; 4096 * 400]);
    for i in 0..200 {
        s.read(i * 4096, 4096).unwrap();
    }
    let reads = s.take_reads();
    assert_eq!(reads[0], (0, 4));
    assert_eq!(reads[1], (4, 8));
    assert!(reads[3..].iter().all(|&(_, n)| n == 32), "{reads:?}");
    for i in [390, 250, 320, 280, 360] {
        s.read(i * 4096, 4096).unwrap();
    }
    assert!(s.take_reads().iter().all(|&(_, n)| n == 1));
    s.cache.expect(Pattern::Random);
    s.cache.invalidate(0..u64::MAX);
    for i in 0..20 {
        s.read(i * 4096, 4096).unwrap();
    }
    assert_eq!(s.take_reads().len(), 20);
    // A large read is one read.
    s.read(100 * 4096, 100 * 4096).unwrap();
    assert_eq!(s.take_reads(), [(100, 100)]);
}

#[test]
fn two_readers_in_order_do_not_disturb_each_other() {
    let _alone = alone();
    let s = Store::new(&vec![1; 4096 * 4000]);
    for i in 0..500 {
        s.read(i * 4096, 4096).unwrap();
        s.read((2000 + i) * 4096, 4096).unwrap();
    }
    assert!(s.take_reads().len() < 60);
}

#[test]
fn readers_of_one_missing_page_wait_for_one_read() {
    let _alone = alone();
    let s = Store::new(&pattern(4096, 3));
    s.slow.store(50, SeqCst);
    std::thread::scope(|t| {
        for _ in 0..8 {
            t.spawn(|| assert_eq!(s.read(0, 4096).unwrap(), pattern(4096, 3)));
        }
    });
    assert_eq!(s.take_reads(), [(0, 1)]);
}

#[test]
fn a_read_error_reaches_every_waiter_and_is_not_kept() {
    let _alone = alone();
    let s = Store::new(&pattern(40_960, 3));
    s.bad_read.store(true, SeqCst);
    s.slow.store(20, SeqCst);
    std::thread::scope(|t| {
        for _ in 0..4 {
            t.spawn(|| assert_eq!(s.read(0, 4096), Err(Errno::EIO)));
        }
    });
    s.slow.store(0, SeqCst);
    // A partial write must not lose the part that could not be read.
    assert_eq!(s.write(10, b"x"), Err(Errno::EIO));
    s.bad_read.store(false, SeqCst);
    assert_eq!(s.read(0, 40_960).unwrap(), pattern(40_960, 3));
    assert_eq!(s.cache.held(), 10);
}

#[test]
fn what_there_was_no_memory_for_stays_dirty() {
    let _one = alone();
    let s = Store::new(b"");
    let before = global::dirty_pages();
    s.write(0, &[7; 3 * PAGE as usize]).unwrap();
    s.no_memory.store(true, SeqCst);
    assert_eq!(s.flush(), Err(Errno::ENOMEM));
    assert!(s.cache.is_dirty());
    assert_eq!(global::dirty_pages(), before + 3);
    s.no_memory.store(false, SeqCst);
    assert_eq!(s.flush(), Ok(()));
    assert_eq!(global::dirty_pages(), before);
    assert_eq!(s.stored(), [7; 3 * PAGE as usize]);
}

#[test]
fn write_errors_are_told_once_to_each_description() {
    let _alone = alone();
    let s = Store::new(&[]);
    let (a, b) = (AtomicU32::new(s.cache.errors().sample()), AtomicU32::new(s.cache.errors().sample()));
    s.write(0, &[1; 100]).unwrap();
    s.bad_write.store(true, SeqCst);
    assert_eq!(s.flush(), Err(Errno::EIO));
    s.bad_write.store(false, SeqCst);
    assert_eq!(s.flush(), Ok(()), "what could not be written counts as clean");
    for x in [&a, &b] {
        assert_eq!(s.cache.errors().check(x), Err(Errno::EIO));
        assert_eq!(s.cache.errors().check(x), Ok(()));
    }
    assert_eq!(s.read(0, 100).unwrap(), [1; 100], "and is still there to be read");
}

#[test]
fn truncation_waits_for_write_back_and_drops_what_is_behind() {
    let _alone = alone();
    let s = Store::new(&[]);
    s.write(0, &vec![7; 4096 * 100]).unwrap();
    s.slow.store(50, SeqCst);
    std::thread::scope(|t| {
        t.spawn(|| s.flush().unwrap());
        while s.writes.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        let before = std::time::Instant::now();
        s.cache.set_size(10).unwrap();
        assert!(before.elapsed().as_millis() > 10, "the pages were on their way");
    });
    assert_eq!((s.cache.held(), s.cache.is_dirty()), (1, false));
    assert_eq!(s.read(0, 100).unwrap(), [7; 10]);
}

#[test]
fn a_mapped_page_is_dirty_and_its_tail_is_nobodys() {
    let _alone = alone();
    let s = Store::new(&pattern(5000, 1));
    let p = s.cache.page(1, true).unwrap().unwrap();
    assert!(s.cache.page(2, false).unwrap().is_none());
    assert!(s.cache.still(1, &p, true) && !s.cache.still(0, &p, false));
    // Written through the mapping: the file's last bytes, and some beyond them.
    p.write(0, &[9; 4096]);
    s.flush().unwrap();
    let mut want = pattern(5000, 1);
    want[4096..].fill(9);
    assert_eq!(s.stored(), want);
    assert_eq!(s.bytes.lock().unwrap()[5000..5120], [0; 120], "the last sector ends with zeros");
    // Again, and the file grows over it.
    assert!(s.cache.still(1, &p, true));
    p.write(0, &[9; 4096]);
    s.cache.set_size(6000).unwrap();
    want.resize(6000, 0);
    assert_eq!(s.read(0, 9999).unwrap(), want);
    s.cache.set_size(100).unwrap();
    assert!(!s.cache.still(1, &p, true), "cut off: must not be mapped any more");
}

#[test]
fn dirty_pages_keep_the_file_until_they_are_written() {
    let _alone = alone();
    let s = Store::new(&[]);
    let weak = Arc::downgrade(&s);
    s.write(0, &[5; 10]).unwrap();
    let cache = s.cache.clone();
    drop(s);
    assert!(weak.upgrade().is_some());
    cache.flush(0..u64::MAX).unwrap();
    assert!(weak.upgrade().is_none());
    // Not so for a file without a name.
    let s = Store::new(&[]);
    let weak = Arc::downgrade(&s);
    s.write(0, &[5; 10]).unwrap();
    s.cache.set_orphan();
    drop(s);
    assert!(weak.upgrade().is_none());
}

#[test]
fn invalidate_drops_clean_pages_only() {
    let _alone = alone();
    let s = Store::new(&pattern(40_960, 1));
    s.read(0, 40_960).unwrap();
    s.write(4096, b"dirty").unwrap();
    let mapped = s.cache.page(3, false).unwrap().unwrap();
    s.bytes.lock().unwrap().fill(1);
    s.cache.invalidate(0..40_960);
    assert_eq!(s.cache.held(), 2);
    assert_eq!(s.read(0, 3).unwrap(), [1; 3]);
    assert_eq!(s.read(4096, 5).unwrap(), b"dirty");
    assert_eq!(s.read(3 * 4096, 10).unwrap(), pattern(40_960, 1)[3 * 4096..][..10]);
    drop(mapped);
}

#[test]
fn pages_are_dropped_when_memory_is_short_but_not_those_in_use() {
    let _alone = alone();
    let s = Store::new(&pattern(100 * 4096, 1));
    s.read(0, 100 * 4096).unwrap();
    s.write(0, b"dirty").unwrap();
    let mapped = s.cache.page(50, false).unwrap();
    for _ in 0..20 {
        global::reclaim(1000);
    }
    assert_eq!(s.cache.held(), 2);
    drop(mapped);
    let mut want = pattern(100 * 4096, 1);
    want[..5].copy_from_slice(b"dirty");
    assert_eq!(s.read(0, 100 * 4096).unwrap(), want);
}

#[test]
fn writers_are_held_back_when_too_much_is_dirty() {
    let _alone = alone();
    global::TEST_FREE.store(1000, SeqCst);
    let s = Store::new(&[]);
    let most = AtomicUsize::new(0);
    let data = pattern(1 << 16, 9);
    for i in 0..200 {
        s.write(i << 16, &data).unwrap();
        most.fetch_max(s.cache.tree.lock().dirty, SeqCst);
    }
    global::TEST_FREE.store(1 << 20, SeqCst);
    assert!(most.load(SeqCst) < 1000, "{}", most.load(SeqCst));
    s.flush().unwrap();
    let stored = s.stored();
    assert!(stored.len() == 200 << 16 && stored.chunks(1 << 16).all(|c| c == data));
}

#[test]
fn truncation_beside_reading_ahead_without_memory() {
    let _alone = alone();
    let (s, other, spare) = (Store::new(&pattern(40 * 4096, 1)), Store::new(&[]), Store::new(&pattern(4096, 1)));
    // Enough for the reader's first page; to get more, others would have to be written.
    spare.read(0, 1).unwrap();
    other.write(0, b"slow").unwrap();
    other.slow.store(300, SeqCst);
    s.write(0, b"dirty").unwrap();
    global::TEST_FREE.store(0, SeqCst);
    let (tell, told) = std::sync::mpsc::channel();
    let reader = {
        let (s, tell) = (s.clone(), tell.clone());
        move || tell.send(s.read(10 * PAGE, 8 * PAGE as usize).map(|_| ()))
    };
    let cutter = {
        let s = s.clone();
        move || tell.send(s.cache.set_size(10 * PAGE + 100))
    };
    std::thread::spawn(reader);
    std::thread::sleep(std::time::Duration::from_millis(100));
    std::thread::spawn(cutter);
    let patience = std::time::Duration::from_secs(10);
    let both = [told.recv_timeout(patience), told.recv_timeout(patience)];
    global::TEST_FREE.store(1 << 20, SeqCst);
    assert_eq!(both, [Ok(Ok(())), Ok(Ok(()))]);
}

#[test]
fn threads_agree_with_a_model() {
    let _alone = alone();
    // Each thread has its own stripe of every 10,000 bytes; files grow, are truncated by one thread at the end, and are
    // constantly written back and dropped.
    let s = Store::new(&[]);
    let stop = AtomicBool::new(false);
    const STRIPE: usize = 2_500;
    std::thread::scope(|t| {
        let workers: Vec<_> = (0..4)
            .map(|id| {
                let s = &s;
                t.spawn(move || {
                    let mut seed = id as u64 + 1;
                    let mut model: Vec<Option<Vec<u8>>> = vec![None; 40];
                    for _ in 0..3_000 {
                        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        let r = (seed >> 33) as usize;
                        let slot = r % 40;
                        let at = (slot * 4 + id) * STRIPE;
                        if (r / 40).is_multiple_of(2) {
                            let data = pattern(STRIPE, r);
                            assert_eq!(s.write(at as u64, &data).unwrap(), STRIPE);
                            model[slot] = Some(data);
                        } else if let Some(want) = &model[slot] {
                            assert_eq!(&s.read(at as u64, STRIPE).unwrap(), want, "at {at}");
                        }
                    }
                    for (slot, want) in model.iter().enumerate().filter_map(|(i, m)| Some((i, m.as_ref()?))) {
                        assert_eq!(&s.read(((slot * 4 + id) * STRIPE) as u64, STRIPE).unwrap(), want);
                    }
                })
            })
            .collect();
        t.spawn(|| {
            while !stop.load(SeqCst) {
                s.flush().unwrap();
                s.cache.invalidate(0..u64::MAX);
                global::reclaim(10);
            }
        });
        for w in workers {
            w.join().unwrap();
        }
        stop.store(true, SeqCst);
    });
    s.flush().unwrap();
    assert_eq!(s.stored(), s.read(0, 1 << 20).unwrap());
}
