use super::config::Raw;
use super::*;
use crate::virtio::queue::tests::sim::{Sim, pair};
use alloc::vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use libos_base::block::{self, SECTOR, Segment};
use libos_base::page::Page;
use libos_base::sync::class;
use std::time::{Duration, Instant};

const PLAIN: Raw = Raw {
    capacity: 2048,
    size_max: u32::MAX,
    seg_max: 254,
    blk_size: 512,
    read_only: false,
    flush: true,
    writeback: Some(true),
    queues: 1,
    discard: 64,
    discard_align: 8,
};

/// A disk's serial number: 20 bytes.
const SERIAL: [u8; 20] = *b"disk0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn disk(raw: Raw, size: u16, event_idx: bool) -> (Blk, Sim) {
    let (q, sim) = pair(size, false, event_idx);
    let info = raw.checked().unwrap();
    let core = Arc::new(Core { rings: Once::new(), device: Once::new() });
    let limits = Limits::new(&info, q.size());
    core.rings.set(|| vec![Ring::new(q).unwrap()]);
    core.rings()[0].start();
    let (name, changing) = (String::from("vda"), Mutex::new(class::DISK_GEOMETRY, ()));
    (Blk { core, info, limits, name, serial: String::new(), cpu: || 0, changing }, sim)
}

/// The parts of a chain: type, sector, data pieces.
fn parts(chain: &[(u64, u32, bool)]) -> (u32, u64, &[(u64, u32, bool)], u64) {
    let [(header, 16, false), data @ .., (status, 1, true)] = chain else { panic!("{chain:?}") };
    // SAFETY: the driver's memory.
    let h = unsafe { core::slice::from_raw_parts(*header as *const u8, 16) };
    assert_eq!(h[4..8], [0; 4]);
    (u32::from_le_bytes(h[..4].try_into().unwrap()), u64::from_le_bytes(h[8..].try_into().unwrap()), data, *status)
}

fn answer(status_at: u64, status: u8) {
    // SAFETY: the driver's memory.
    unsafe { (status_at as *mut u8).write_volatile(status) };
}

/// Does what chains ask for, with blocks of the device's size.
struct Server {
    image: Vec<u8>,
    block: u32,
    flushes: u32,
}

impl Server {
    fn serve(&mut self, chain: &[(u64, u32, bool)]) -> u32 {
        let (kind, sector, data, status) = parts(chain);
        let bytes: u32 = data.iter().map(|d| d.1).sum();
        let mut at = (sector * SECTOR) as usize;
        let whole = |v: u64| v.is_multiple_of(self.block.into());
        match kind {
            0 | 1 => assert!(bytes > 0 && whole(bytes.into()) && whole(at as u64), "{bytes} at {at}"),
            4 => assert!(data.is_empty() && sector == 0),
            8 => assert_eq!((data.len(), bytes), (1, 20)),
            _ => panic!("type {kind}"),
        }
        for &(addr, len, writes) in data {
            let n = len as usize;
            // SAFETY: memory of the driver's requests, which wait.
            unsafe {
                match kind {
                    0 => core::ptr::copy_nonoverlapping(self.image[at..][..n].as_ptr(), addr as *mut u8, n),
                    1 => core::ptr::copy_nonoverlapping(addr as *const u8, self.image[at..][..n].as_mut_ptr(), n),
                    _ => core::ptr::copy_nonoverlapping(SERIAL.as_ptr(), addr as *mut u8, n),
                }
            }
            assert_eq!(writes, kind != 1);
            at += n;
        }
        self.flushes += u32::from(kind == 4);
        answer(status, 0);
        bytes + 1
    }
}

/// Runs `f` while a device thread serves; it completes out of order and sleeps whenever it may.
fn served<R>(blk: &Blk, mut sim: Sim, server: &mut Server, f: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(60);
    std::thread::scope(|s| {
        s.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let mut batch = Vec::new();
                while let Some(c) = sim.take() {
                    batch.push(c);
                }
                for (head, chain) in batch.iter().rev() {
                    let len = server.serve(chain);
                    sim.give((*head).into(), len);
                }
                if sim.publish() {
                    blk.core.reap();
                }
                if sim.sleep() {
                    while !sim.rung() && !stop.load(Ordering::SeqCst) {
                        assert!(Instant::now() < deadline, "nothing came");
                        std::thread::sleep(Duration::from_micros(20));
                    }
                }
                sim.wake();
            }
        });
        let result = f();
        stop.store(true, Ordering::SeqCst);
        result
    })
}

fn segment(len: usize) -> Segment {
    Segment { page: Page::new().unwrap(), offset: 0, len }
}

fn request(op: Op, sector: u64, lens: &[usize]) -> Request {
    let segments: Vec<_> = lens.iter().map(|&l| segment(l)).collect();
    Request { op, sector, sectors: lens.iter().sum::<usize>() as u64 / SECTOR, segments }
}

#[test]
fn neighbours_are_merged_and_the_device_told_once() {
    let (blk, mut sim) = disk(PLAIN, 256, true);
    assert!(sim.sleep());
    let done = Completion::new().unwrap();
    let batch = vec![
        request(Op::Write, 8, &[4096]),
        request(Op::Write, 16, &[512, 1024]),
        request(Op::Write, 19, &[4096]),
        request(Op::Read, 27, &[4096]),
        request(Op::Read, 100, &[4096]),
        Request::flush(),
    ];
    blk.submit(batch, &done);
    assert!(sim.rung());
    let chains: Vec<_> = core::iter::from_fn(|| sim.take()).collect();
    let seen: Vec<_> = chains
        .iter()
        .map(|(_, c)| {
            let (kind, sector, data, _) = parts(c);
            (kind, sector, data.iter().map(|d| d.1).sum::<u32>())
        })
        .collect();
    assert_eq!(seen, [(1, 8, 9728), (0, 27, 4096), (0, 100, 4096), (4, 0, 0)]);
    for (i, (head, c)) in chains.iter().enumerate() {
        assert!(!done.idle());
        answer(parts(c).3, 0);
        sim.give((*head).into(), 1);
        assert_eq!(sim.publish(), i == 3, "one interrupt, at the end");
    }
    blk.core.reap();
    assert_eq!(done.wait(), Ok(()));
    assert!(!sim.rung());
}

#[test]
fn memory_is_let_go_before_who_waits_is_told() {
    let (blk, mut sim) = disk(PLAIN, 16, true);
    let r = request(Op::Read, 0, &[4096]);
    let page = r.segments[0].page.clone();
    let done = Completion::new().unwrap();
    blk.submit(vec![r], &done);
    assert_eq!(Arc::strong_count(&page), 2);
    let (head, c) = sim.take().unwrap();
    answer(parts(&c).3, 0);
    sim.give(head.into(), 4097);
    assert!(sim.publish());
    blk.core.reap();
    assert_eq!((Arc::strong_count(&page), done.wait()), (1, Ok(())));
}

#[test]
fn a_late_request_does_not_wait_for_an_earlier_batch() {
    let (blk, mut sim) = disk(PLAIN, 64, true);
    let (slow, quick) = (Completion::new().unwrap(), Completion::new().unwrap());
    blk.submit((0..4).map(|i| request(Op::Write, i * 100, &[512])).collect(), &slow);
    blk.submit(vec![request(Op::Read, 999, &[512])], &quick);
    let chains: Vec<_> = core::iter::from_fn(|| sim.take()).collect();
    let (head, c) = chains.last().unwrap();
    answer(parts(c).3, 0);
    sim.give((*head).into(), 513);
    assert!(sim.publish());
    blk.core.reap();
    assert!(quick.idle() && !slow.idle());
}

#[test]
fn errors_reach_who_waits() {
    for (status, error) in [(1, Errno::EIO), (2, Errno::EIO), (77, Errno::EIO), (0xff, Errno::EIO)] {
        let (blk, mut sim) = disk(PLAIN, 16, true);
        let done = Completion::new().unwrap();
        blk.submit(vec![request(Op::Read, 0, &[512]), request(Op::Read, 9, &[512])], &done);
        for s in [status, 0] {
            let (head, c) = sim.take().unwrap();
            answer(parts(&c).3, s);
            sim.give(head.into(), 513);
            sim.publish();
        }
        blk.core.reap();
        assert_eq!((done.wait(), done.wait()), (Err(error), Ok(())), "once");
    }
}

#[test]
fn a_lying_device_fails_everything() {
    let (blk, mut sim) = disk(PLAIN, 16, true);
    let done = Completion::new().unwrap();
    blk.submit((0..3).map(|i| request(Op::Read, i * 9, &[512])).collect(), &done);
    sim.take();
    sim.give(0xdead_beef, 1);
    sim.publish();
    blk.core.reap();
    assert_eq!(done.wait(), Err(Errno::EIO));
    assert_eq!(block::read(&blk, 0, &mut [0; 512]), Err(Errno::EIO));
    assert_eq!(block::flush(&blk), Err(Errno::EIO));
}

#[test]
fn what_cannot_be_is_not_asked() {
    let (blk, sim) = disk(Raw { read_only: true, flush: false, writeback: None, ..PLAIN }, 16, true);
    let run = |r| {
        let done = Completion::new().unwrap();
        blk.submit(vec![r], &done);
        done.wait()
    };
    assert_eq!(run(request(Op::Write, 0, &[512])), Err(Errno::EROFS));
    assert_eq!(run(Request::discard(0, 8)), Err(Errno::EROFS));
    assert_eq!(run(Request::flush()), Ok(()));
    assert_eq!(run(request(Op::Read, 2048, &[512])), Err(Errno::EIO), "behind the end");
    assert_eq!(run(request(Op::Read, u64::MAX, &[512])), Err(Errno::EIO));
    assert_eq!(run(request(Op::Read, 0, &[100])), Err(Errno::EIO));
    assert!(!sim.waiting());
    let (blk, _) = disk(Raw { discard: 0, ..PLAIN }, 16, true);
    assert!(!blk.has_discard());
    let (empty, _) = disk(Raw { capacity: 0, ..PLAIN }, 16, true);
    assert_eq!(block::read(&empty, 0, &mut [0; 512]), Err(Errno::EIO));
}

#[test]
fn discards_are_aligned_and_cut() {
    let (blk, mut sim) = disk(PLAIN, 64, true);
    let done = Completion::new().unwrap();
    blk.submit(vec![Request::discard(5, 150), Request::discard(1, 6)], &done);
    let mut seen = Vec::new();
    while let Some((head, c)) = sim.take() {
        let (kind, _, data, status) = parts(&c);
        assert_eq!((kind, data.len(), data[0].1, data[0].2), (11, 1, 16, false));
        // SAFETY: the driver's memory.
        let range = unsafe { core::slice::from_raw_parts(data[0].0 as *const u8, 16) };
        assert_eq!(range[12..], [0; 4]);
        seen.push((range[0], u32::from_le_bytes(range[8..12].try_into().unwrap())));
        answer(status, 0);
        sim.give(head.into(), 1);
    }
    sim.publish();
    blk.core.reap();
    assert_eq!(done.wait(), Ok(()));
    assert_eq!(seen, [(8, 64), (72, 64), (136, 16)]);
}

#[test]
fn the_host_names_the_disk() {
    let (blk, sim) = disk(PLAIN, 16, true);
    let mut server = Server { image: vec![0; 1 << 20], block: 512, flushes: 0 };
    let id = served(&blk, sim, &mut server, || blk.core.rings()[0].id());
    assert_eq!(id.map(|id| text(&id)), Ok(String::from("disk0")));
    assert_eq!(text(b"exactly twenty bytes"), "exactly twenty bytes");
    assert_eq!(text(b"a\x1b[2J\xff\0z"), "a[2J");
}

/// Threads write and read back their own parts, on devices of every kind, through queues that are too small.
fn soak(raw: Raw, size: u16, event_idx: bool) {
    let (blk, sim) = disk(raw, size, event_idx);
    let mut server = Server { image: vec![0; 1 << 20], block: blk.info.block_size, flushes: 0 };
    let flushes = AtomicU32::new(0);
    let model: Vec<Vec<u8>> = served(&blk, sim, &mut server, || {
        std::thread::scope(|s| {
            let writer = |n: u64| {
                let (blk, flushes) = (&blk, &flushes);
                move || {
                    let base = n * (256 << 10);
                    let mut model = vec![0u8; 256 << 10];
                    let mut noise = n as u32 + 1;
                    let mut random = |below: usize| {
                        noise = noise.wrapping_mul(1664525).wrapping_add(1013904223);
                        (noise >> 8) as usize % below
                    };
                    for round in 0..15 {
                        let at = random(500) * 512;
                        let len = (random(100) + 1).min(512 - at / 512) * 512;
                        if random(2) == 0 {
                            model[at..at + len].fill(round as u8 + 1);
                            block::write(blk, base + at as u64, &model[at..at + len]).unwrap();
                        } else {
                            let mut back = vec![0xee; len];
                            block::read(blk, base + at as u64, &mut back).unwrap();
                            assert!(back == model[at..at + len], "round {round}");
                        }
                        if random(8) == 0 {
                            block::flush(blk).unwrap();
                            flushes.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    model
                }
            };
            let threads: Vec<_> = (0..4).map(|n| s.spawn(writer(n))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        })
    });
    assert!(server.image == model.concat());
    assert_eq!(server.flushes, flushes.into_inner());
}

#[test]
fn threads_on_plain_devices() {
    for event_idx in [false, true] {
        soak(PLAIN, 256, event_idx);
        soak(PLAIN, 8, event_idx);
        soak(PLAIN, 4, event_idx);
    }
}

#[test]
fn threads_on_odd_devices() {
    soak(Raw { seg_max: 1, ..PLAIN }, 16, true);
    soak(Raw { size_max: 512, seg_max: 3, ..PLAIN }, 16, false);
    soak(Raw { size_max: 1536, ..PLAIN }, 32, true);
    soak(Raw { blk_size: 4096, ..PLAIN }, 16, true);
    soak(Raw { blk_size: 2048, seg_max: 2, ..PLAIN }, 8, false);
}
