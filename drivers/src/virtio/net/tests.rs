use super::config::{Agreed, Info, Options, feature};
use super::*;
use crate::virtio::feature::{ANY_LAYOUT, EVENT_IDX, VERSION_1};
use crate::virtio::queue::tests::sim::{Sim, pair};
use alloc::vec;
use alloc::vec::Vec;

fn info(agreed: Agreed) -> Info {
    let tso = agreed.has(feature::HOST_TSO4);
    Info { mac: [2; 6], mtu: 1500, tx_csum: true, tso4: tso, tso6: false, max_frame: 0, agreed }
}

fn options() -> Options {
    Options { rx_buffers: 8, tx_buffers: 4, tx_large: 2, large_size: 64 << 10 }
}

fn receiver(bits: u64) -> (Rx, Sim) {
    let agreed = Agreed(bits);
    let (q, sim) = pair(16, bits & VERSION_1 == 0, agreed.has(EVENT_IDX));
    let mut rx = Rx::new(q, agreed, &info(agreed), &options()).unwrap();
    rx.start();
    (rx, sim)
}

fn sender(bits: u64) -> (Tx, Sim) {
    let agreed = Agreed(bits);
    let (q, sim) = pair(16, bits & VERSION_1 == 0, agreed.has(EVENT_IDX));
    (Tx::new(q, agreed, &info(agreed), &options()).unwrap(), sim)
}

fn send(tx: &mut Tx, len: usize, meta: TxMeta, fill: impl FnOnce(&mut [u8])) -> core::result::Result<(), TxError> {
    tx.transmit(len, |b| {
        fill(b);
        meta
    })
}

/// Writes over a chain's segments in turn.
fn scatter(chain: &[(u64, u32, bool)], mut bytes: &[u8]) {
    for &(addr, len, writes) in chain {
        assert!(writes);
        let n = bytes.len().min(len as usize);
        // SAFETY: a buffer of the driver under test.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), addr as *mut u8, n) };
        bytes = &bytes[n..];
    }
    assert!(bytes.is_empty());
}

fn gather(chain: &[(u64, u32, bool)]) -> Vec<u8> {
    let mut all = Vec::new();
    for &(addr, len, writes) in chain {
        assert!(!writes);
        // SAFETY: a buffer of the driver under test.
        all.extend_from_slice(unsafe { core::slice::from_raw_parts(addr as *const u8, len as usize) });
    }
    all
}

fn deliver(d: &mut Sim, header: &[u8], frame: &[u8]) -> bool {
    let (head, chain) = d.take().expect("a receive buffer");
    let all = [header, frame].concat();
    scatter(&chain, &all);
    d.give(head.into(), all.len() as u32);
    d.publish()
}

#[test]
fn receives_with_every_header() {
    for (bits, header) in [
        (0, 10),
        (ANY_LAYOUT, 10),
        (ANY_LAYOUT | feature::MRG_RXBUF, 12),
        (VERSION_1, 12),
        (VERSION_1 | feature::MRG_RXBUF | EVENT_IDX, 12),
    ] {
        let (mut rx, mut d) = receiver(bits);
        assert!(rx.receive().is_none());
        for n in 0..100u8 {
            let mut h = vec![0; header];
            h[0] = if n % 2 == 0 { 2 } else { 0 };
            if header == 12 {
                h[10] = 1;
            }
            let frame = vec![n; 60 + usize::from(n)];
            deliver(&mut d, &h, &frame);
            let got = rx.receive().expect("frame");
            assert_eq!((got.bytes(), got.checksum_good), (&frame[..], n % 2 == 0), "features {bits:#x}");
            drop(got);
            assert!(rx.receive().is_none(), "and gives all buffers back");
        }
    }
}

#[test]
fn merges_buffers_also_when_they_come_late() {
    let (mut rx, mut d) = receiver(VERSION_1 | feature::MRG_RXBUF);
    let frame: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
    let header = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0];
    for _ in 0..20 {
        deliver(&mut d, &header, &frame[..2036]);
        assert!(rx.receive().is_none(), "two pieces are missing");
        deliver(&mut d, &[], &frame[2036..4084]);
        deliver(&mut d, &[], &frame[4084..]);
        let got = rx.receive().expect("whole");
        assert!(got.checksum_good && got.bytes() == frame);
    }
    deliver(&mut d, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], b"next");
    assert_eq!(rx.receive().map(|f| f.bytes().to_vec()), Some(b"next".to_vec()));
}

#[test]
fn nonsense_is_dropped() {
    let (mut rx, mut d) = receiver(VERSION_1 | feature::MRG_RXBUF);
    deliver(&mut d, b"short", b"");
    assert!(rx.receive().is_none());
    // More than a frame can have: 40 buffers of 2 KiB.
    let mut header = [0; 12];
    header[10] = 40;
    deliver(&mut d, &header, &[9; 2036]);
    for _ in 1..40 {
        assert!(rx.receive().is_none());
        deliver(&mut d, &[], &[9; 2048]);
    }
    assert!(rx.receive().is_none());
    assert_eq!(rx.dropped(), 2);
    // A device that claims to have written more than the buffer holds.
    let (head, chain) = d.take().unwrap();
    scatter(&chain, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 77]);
    d.give(head.into(), u32::MAX);
    d.publish();
    assert_eq!(rx.receive().map(|f| f.bytes().len()), Some(2036));
}

#[test]
fn sends_with_every_header() {
    for (bits, header) in [(0, 10), (ANY_LAYOUT, 10), (VERSION_1, 12), (VERSION_1 | EVENT_IDX, 12)] {
        let (mut tx, mut d) = sender(bits);
        let meta = TxMeta { csum: Some((34, 16)), ..TxMeta::default() };
        for n in 0..50u8 {
            send(&mut tx, 44, meta, |b| b.copy_from_slice(&[&[n; 40][..], b"tail"].concat())).unwrap();
            assert!(!d.waiting(), "until the flush");
            tx.flush();
            let (head, chain) = d.take().unwrap();
            assert_eq!(chain.len(), if bits == 0 { 2 } else { 1 });
            let all = gather(&chain);
            assert_eq!(all[..10], [1, 0, 0, 0, 0, 0, 34, 0, 16, 0]);
            assert_eq!(all[header..], [&[n; 40][..], b"tail"].concat());
            d.give(head.into(), 0);
            assert!(!d.publish(), "nobody waits for it");
        }
    }
}

#[test]
fn full_sender_asks_for_an_interrupt_and_recovers() {
    for event_idx in [0, EVENT_IDX] {
        let (mut tx, mut d) = sender(VERSION_1 | event_idx);
        assert!(d.sleep());
        let send = |tx: &mut Tx| send(tx, 100, TxMeta::default(), |b| b.fill(1));
        for _ in 0..20 {
            for _ in 0..4 {
                assert_eq!(send(&mut tx), Ok(()));
            }
            assert_eq!(send(&mut tx), Err(TxError::Full));
            assert!(d.rung(), "what was queued is on its way though nobody flushed");
            assert!(d.complete_all(0), "interrupts");
            assert!(tx.ready(100));
            d.sleep();
        }
    }
}

#[test]
fn large_frames_have_their_own_buffers() {
    let (mut tx, mut d) = sender(VERSION_1 | feature::CSUM | feature::HOST_TSO4);
    assert_eq!(tx.max_frame(), 65524);
    let meta = TxMeta { csum: Some((34, 16)), gso: Gso::Tcp4, gso_size: 1460, header_len: 54 };
    assert_eq!(send(&mut tx, 65525, meta, |_| ()), Err(TxError::TooLong));
    assert_eq!(send(&mut tx, 65524, meta, |b| b.fill(3)), Ok(()));
    assert_eq!(send(&mut tx, 30000, meta, |b| b.fill(4)), Ok(()));
    assert_eq!(send(&mut tx, 30000, meta, |_| ()), Err(TxError::Full));
    assert_eq!(send(&mut tx, 1000, TxMeta::default(), |_| ()), Ok(()), "small ones still go");
    let (head, chain) = d.take().unwrap();
    let all = gather(&chain);
    assert_eq!(all[..12], [1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0]);
    assert!(all.len() == 65536 && all[12..].iter().all(|&b| b == 3));
    d.give(head.into(), 0);
    d.publish();
    assert!(tx.ready(30000));
}
