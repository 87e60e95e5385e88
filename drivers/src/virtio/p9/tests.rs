use super::*;
use crate::virtio::queue::tests::sim::{Sim, pair};
use alloc::vec;
use libos_base::p9::Transport as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// A server that makes its answers from the requests, to `serve` chains at a time, the last first.
struct Server {
    stop: AtomicBool,
}

fn bytes(piece: (u64, u32, bool)) -> &'static mut [u8] {
    // SAFETY: memory of the driver under test, which waits for the answer.
    unsafe { core::slice::from_raw_parts_mut(piece.0 as *mut u8, piece.1 as usize) }
}

/// The answer to a message: its header with the kind incremented, then the sum of what it carries; what room is left is
/// filled with its first byte.
fn answer(sim: &mut Sim, head: u16, chain: &[(u64, u32, bool)]) {
    let asked: Vec<u8> = chain.iter().filter(|p| !p.2).flat_map(|p| bytes(*p).to_vec()).collect();
    let mut reply = asked.clone();
    reply[4] += 1;
    let sum: u32 = asked[7..].iter().map(|&b| u32::from(b)).sum();
    reply.truncate(7);
    reply.extend_from_slice(&sum.to_le_bytes());
    let mut written = 0;
    for p in chain.iter().filter(|p| p.2) {
        let to = bytes(*p);
        let n = to.len().min(reply.len());
        to[..n].copy_from_slice(&reply[..n]);
        reply.drain(..n);
        to[n..].fill(asked[7]);
        written += if n < to.len() && chain.iter().filter(|p| p.2).count() == 1 { n } else { to.len() };
    }
    sim.give(head.into(), written as u32);
}

fn serve(p9: &Arc<P9>, mut sim: Sim, server: &Arc<Server>) -> std::thread::JoinHandle<()> {
    let (p9, server) = (p9.clone(), server.clone());
    std::thread::spawn(move || {
        while !server.stop.load(Ordering::Relaxed) {
            let mut batch = Vec::new();
            while batch.len() < 4 {
                let Some(c) = sim.take() else { break };
                batch.push(c);
            }
            for (head, chain) in batch.iter().rev() {
                answer(&mut sim, *head, chain);
            }
            if sim.publish() {
                p9.shared.interrupt();
            }
            std::thread::yield_now();
        }
    })
}

fn message(fill: u8, len: usize) -> Vec<u8> {
    let mut m = vec![fill; 7 + len];
    m[..4].copy_from_slice(&(7 + len as u32).to_le_bytes());
    m[4] = 100;
    m[5..7].fill(0);
    m
}

fn with_server(event_idx: bool, test: impl FnOnce(&Arc<P9>)) {
    let (queue, sim) = pair(128, false, event_idx);
    let p9 = Arc::new(P9::over(queue));
    let server = Arc::new(Server { stop: AtomicBool::new(false) });
    let thread = serve(&p9, sim, &server);
    test(&p9);
    server.stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
}

#[test]
fn many_threads_get_their_own_replies() {
    for event_idx in [false, true] {
        with_server(event_idx, |p9| {
            let threads: Vec<_> = (1..=20u8)
                .map(|t| {
                    let p9 = p9.clone();
                    std::thread::spawn(move || {
                        for n in 1..40usize {
                            let mut reply = [0; 64];
                            let got = p9.call(&message(t, n), Payload::None, &mut reply).unwrap();
                            assert_eq!((got, reply[4]), (11, 101));
                            assert_eq!(reply[7..11], (u32::from(t) * n as u32).to_le_bytes());
                            assert!(p9.post(&message(t, 4)) || n > 0);
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|t| t.join().unwrap());
        });
    }
}

#[test]
fn content_goes_to_and_from_pages() {
    with_server(true, |p9| {
        let pages: Vec<_> = (0..62).map(|_| Page::new().unwrap()).collect();
        assert_eq!(p9.max_pages(), 62);
        let mut head = [0; 11];
        let len = 62 * PAGE_SIZE;
        assert_eq!(p9.call(&message(9, 1), Payload::In(&pages, len), &mut head), Ok(11 + len));
        let mut got = vec![0; PAGE_SIZE];
        for p in &pages {
            p.read(0, &mut got);
            assert!(got.iter().all(|&b| b == 9));
        }
        assert_eq!(p9.call(&message(9, 1), Payload::In(&pages[..1], 100), &mut head), Ok(111));
        let mut reply = [0; 64];
        assert_eq!(p9.call(&message(1, 1), Payload::Out(&pages, len - 5), &mut reply), Ok(11));
        assert_eq!(reply[7..11], (9 * (len as u32 - 5) + 1).to_le_bytes());
        let many: Vec<_> = (0..63).map(|_| Page::new().unwrap()).collect();
        assert!(p9.call(&message(9, 1), Payload::In(&many, 1), &mut head).is_err());
        assert!(p9.call(&message(9, REQUEST), Payload::None, &mut head).is_err());
    });
}

#[test]
fn a_device_that_lies_gives_errors() {
    let (queue, mut sim) = pair(16, false, false);
    let p9 = Arc::new(P9::over(queue));
    let caller = {
        let p9 = p9.clone();
        std::thread::spawn(move || p9.call(&message(1, 1), Payload::None, &mut [0; 16]))
    };
    let (head, _) = loop {
        if let Some(c) = sim.take() {
            break c;
        }
        std::thread::yield_now();
    };
    // More bytes than there is room for.
    sim.give(head.into(), u32::MAX);
    sim.publish();
    p9.shared.interrupt();
    assert_eq!(caller.join().unwrap(), Ok(16));
    // It returns a chain that it does not have: every caller gets an error, later ones too.
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let p9 = p9.clone();
            std::thread::spawn(move || p9.call(&message(1, 1), Payload::None, &mut [0; 16]))
        })
        .collect();
    while sim.take().is_none() {
        std::thread::yield_now();
    }
    sim.give(999, 0);
    sim.publish();
    p9.shared.interrupt();
    for c in callers {
        assert_eq!(c.join().unwrap(), Err(Errno::EIO));
    }
    assert_eq!(p9.call(&message(1, 1), Payload::None, &mut [0; 16]), Err(Errno::EIO));
    assert!(!p9.post(&message(1, 1)));
}
