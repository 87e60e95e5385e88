//! Connections between two sockets of one host: what arrives when, and how often it is copied, also on the way to a card.
mod common;
use common::*;
use libos_base::Errno;
use libos_base::abi::MessageFlags as Msg;
use libos_base::file::FileLike;
use libos_base::io::Source;
use libos_base::poll::Events;
use libos_net::config::{Ip4, NetConfig, NoHooks};
use libos_net::device::{Caps, NetDevice, TxMeta};
use libos_net::net::Net;
use libos_net::socket::{Outgoing, Socket};
use smoltcp::wire::Ipv4Address;
use std::cell::Cell;
use std::sync::{Arc, Mutex};

const HOME: [u8; 4] = [127, 0, 0, 1];

std::thread_local! {
    /// Bytes copied by this thread in pieces of at least [`LARGE`] since it set this to 0.
    static COPIED: Cell<usize> = const { Cell::new(0) };
}
const LARGE: usize = 256;

/// In place of the C library's, so that no copy escapes, whoever makes it.
///
/// # Safety
/// That of `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if n >= LARGE {
        let _ = COPIED.try_with(|copied| copied.set(copied.get() + n));
    }
    // SAFETY: the caller's.
    unsafe {
        core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// The bytes that `f` copies.
fn copied(f: impl FnOnce()) -> usize {
    COPIED.set(0);
    f();
    COPIED.get()
}

/// A client and a server on the same host.
fn ends(p: &Pair) -> (Arc<Socket>, Arc<Socket>) {
    let l = listen(&p.a, 80, 4);
    let c = tcp(&p.a);
    assert_eq!(c.connect(&v4(HOME, 80)), Err(Errno::EINPROGRESS));
    let s = l.accept(true).unwrap().0;
    (c, s)
}

fn segments(net: &Net) -> u64 {
    net.with(|st| st.stats.tx)
}

fn read_all(s: &Socket, into: &mut [u8]) -> usize {
    let mut n = 0;
    while n < into.len() {
        match s.read(&mut libos_base::io::Sink::kernel(&mut into[n..])) {
            Ok(0) => break,
            Ok(some) => n += some,
            Err(e) => {
                assert_eq!(e, Errno::EAGAIN);
                break;
            }
        }
    }
    n
}

#[test]
fn an_answer_is_copied_in_and_out_and_not_in_between() {
    let p = Pair::new();
    let (c, s) = ends(&p);
    let answer = noise(64 << 10);
    let mut got = vec![0; answer.len()];
    for _ in 0..20 {
        let n = copied(|| {
            assert_eq!(send(&s, &answer), Ok(answer.len()));
            assert_eq!(read_all(&c, &mut got), answer.len());
        });
        assert!(got == answer);
        assert_eq!(n, 2 * answer.len());
    }
}

/// From the program to the connection's buffer, and from there into the card's.
#[test]
fn what_leaves_the_host_is_copied_twice() {
    let p = Pair::new();
    let (c, s) = p.connect(80);
    let answer = noise(8 << 10);
    for _ in 0..20 {
        let frames = segments(&p.b);
        assert_eq!(copied(|| assert_eq!(send(&s, &answer), Ok(answer.len()))), 2 * answer.len());
        assert_eq!(segments(&p.b) - frames, 6, "all of it is in frames");
        p.run(S);
        assert_eq!(recv(&c, answer.len()).as_ref(), Ok(&answer));
        p.run(S);
    }
}

#[test]
fn what_the_reader_has_no_room_for_is_copied_no_more_often() {
    let p = Pair::new();
    let (c, s) = ends(&p);
    let data = noise(3_000_000);
    let (mut sent, mut got) = (0, vec![0; data.len()]);
    let mut received = 0;
    let n = copied(|| {
        let mut turns = 0;
        while received < data.len() {
            while let Ok(n) = send(&s, &data[sent..]) {
                sent += n;
                if sent == data.len() {
                    break;
                }
            }
            received += read_all(&c, &mut got[received..]);
            turns += 1;
            assert!(turns < 1000, "{received} of {sent} bytes");
        }
    });
    assert!(got == data);
    assert!(n <= 2 * data.len() + data.len() / 10, "{n} bytes copied for {}", data.len());
}

/// As servers answer: the header and the file under TCP_CORK, which keeps only the end until it is released.
#[test]
fn a_corked_answer_is_copied_no_more_often() {
    let p = Pair::new();
    let (c, s) = ends(&p);
    let answer = noise((64 << 10) - 240);
    let mut got = vec![0; answer.len() + 240];
    for _ in 0..5 {
        let n = copied(|| {
            s.set(6, 3, &1i32.to_le_bytes()).unwrap();
            send(&s, &[b'h'; 240]).unwrap();
            assert_eq!(recv(&c, 1000), Err(Errno::EAGAIN));
            assert_eq!(send(&s, &answer), Ok(answer.len()));
            s.set(6, 3, &0i32.to_le_bytes()).unwrap();
            assert_eq!(read_all(&c, &mut got), got.len());
        });
        assert!(got[240..] == answer);
        assert!(n <= 2 * got.len() + 8192, "{n} bytes copied for {}", got.len());
    }
}

/// Writes and reads of any size, both ways at once: whatever lies how, no byte is lost.
#[test]
fn pieces_of_any_size_arrive_whole() {
    for seed in 1..40u64 {
        let p = Pair::new();
        let (c, s) = ends(&p);
        if seed % 3 == 0 {
            for x in [&c, &s] {
                x.set(1, 8, &6000i32.to_le_bytes()).unwrap();
                x.set(1, 7, &9000i32.to_le_bytes()).unwrap();
            }
        }
        let mut x = seed;
        let mut dice = |of: usize| {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (x >> 33) as usize % of
        };
        let data = noise(400_000);
        let (mut sent, mut got) = ([0; 2], [Vec::new(), Vec::new()]);
        let mut turns = 0;
        while got.iter().any(|g| g.len() < data.len()) {
            turns += 1;
            assert!(turns < 200_000, "stuck at {:?} of {sent:?}", [got[0].len(), got[1].len()]);
            let way = dice(2);
            let (from, to) = if way == 0 { (&c, &s) } else { (&s, &c) };
            let most = [10, 1000, 5000, 40_000][dice(4)];
            let n = (1 + dice(most)).min(data.len() - sent[way]);
            let flags = if dice(5) == 0 { Msg::MORE } else { Msg::empty() };
            let said = Outgoing { flags, ..Outgoing::default() };
            match from.send(&mut Source::kernel(&data[sent[way]..sent[way] + n]), &said) {
                Ok(n) => sent[way] += n,
                Err(e) => assert_eq!(e, Errno::EAGAIN),
            }
            let most = [10, 1000, 5000, 70_000][dice(4)];
            match recv(to, 1 + dice(most)) {
                Ok(some) => got[way].extend(some),
                Err(e) => assert_eq!(e, Errno::EAGAIN),
            }
            if sent[way] == data.len() {
                // What was announced and never came is not waited for.
                p.run(MS);
            }
        }
        assert!(got.iter().all(|g| *g == data));
        drop((c, s));
        p.run(S);
        p.a.with(|st| assert_eq!(st.connections.named(), 0));
    }
}

#[test]
fn an_exchange_needs_no_segments_and_wakes_the_reader() {
    let p = Pair::new();
    let (c, s) = ends(&p);
    let before = p.a.with(|st| st.interfaces.lo.queue.is_empty());
    assert!(before);
    for _ in 0..100 {
        let n = segments(&p.a);
        send(&c, &[b'q'; 128]).unwrap();
        assert!(s.poll(None).contains(Events::IN));
        assert_eq!(recv(&s, 1000).unwrap().len(), 128);
        send(&s, &[b'a'; 612]).unwrap();
        assert!(c.poll(None).contains(Events::IN));
        assert_eq!(recv(&c, 1000).unwrap().len(), 612);
        assert_eq!(segments(&p.a) - n, 2, "one for each piece of data");
    }
    // Nothing is owed: no acknowledgment comes later.
    let n = segments(&p.a);
    p.run(S);
    assert_eq!(segments(&p.a), n);
}

/// Held back for more to come, as it would be in segments.
#[test]
fn what_was_announced_to_continue_waits() {
    let p = Pair::new();
    let (c, s) = ends(&p);
    let more = Outgoing { flags: Msg::MORE, ..Outgoing::default() };
    c.send(&mut Source::kernel(b"one "), &more).unwrap();
    assert_eq!(recv(&s, 100), Err(Errno::EAGAIN));
    send(&c, b"two").unwrap();
    assert_eq!(recv(&s, 100).unwrap(), b"one two");
    c.send(&mut Source::kernel(b"three"), &more).unwrap();
    p.run(100 * MS);
    assert_eq!(recv(&s, 100), Err(Errno::EAGAIN));
    p.run(150 * MS);
    assert_eq!(recv(&s, 100).unwrap(), b"three");
    c.send(&mut Source::kernel(b"four"), &more).unwrap();
    c.ops().shutdown(false, true).unwrap();
    assert_eq!(recv(&s, 100).unwrap(), b"four");
    assert_eq!(recv(&s, 100).unwrap(), b"");
}

#[test]
fn data_for_an_end_that_nobody_reads_resets() {
    let p = Pair::new();
    let (c, s) = ends(&p);
    send(&c, b"read").unwrap();
    assert_eq!(recv(&s, 100).unwrap(), b"read");
    drop(s);
    assert_eq!(send(&c, b"not read"), Ok(8));
    assert!(c.poll(None).contains(Events::HUP));
    assert_eq!(send(&c, b"again"), Err(Errno::EPIPE));
}

/// A card that notes what is copied into frames, and lets only small ones through.
struct Hole {
    wire: Wire,
    /// Bytes in large frames, and bytes copied into them.
    taken: Arc<Mutex<(usize, usize)>>,
}

impl NetDevice for Hole {
    fn mac(&self) -> [u8; 6] {
        self.wire.mac()
    }
    fn mtu(&self) -> usize {
        self.wire.mtu()
    }
    fn caps(&self) -> Caps {
        self.wire.caps()
    }
    fn receive(&mut self, f: &mut dyn FnMut(&[u8], bool)) -> bool {
        self.wire.receive(f)
    }
    fn tx_ready(&mut self) -> bool {
        true
    }
    fn transmit(&mut self, len: usize, fill: &mut dyn FnMut(&mut [u8]) -> TxMeta) -> bool {
        let mut frame = vec![0; len];
        let before = COPIED.get();
        let meta = fill(&mut frame);
        let n = COPIED.get() - before;
        if len > 1000 {
            let mut taken = self.taken.lock().unwrap();
            *taken = (taken.0 + len, taken.1 + n);
            return true;
        }
        self.wire.transmit(len, &mut |to| {
            to.copy_from_slice(&frame);
            meta
        })
    }
    fn flush(&mut self) {}
    fn arm(&mut self, tx: bool) -> bool {
        self.wire.arm(tx)
    }
}

/// Once into the connection's buffer, once from there into the card's: with the card's help or without.
#[test]
fn what_goes_to_the_card_is_copied_twice() {
    for tso in [None, Some(65_536)] {
        let caps = Caps { tx_checksum: tso.is_some(), tso4: tso, tso6: None };
        let mut p = Pair::with(Options { caps, ..Options::default() });
        let taken = Arc::new(Mutex::new((0, 0)));
        let wire = Wire { mac: [2, 0, 0, 0, 0, 1], rx: p.ba.clone(), tx: p.ab.clone(), caps, kicks: Arc::default() };
        let ip4 = Ip4::Static { addr: Ipv4Address::new(10, 0, 0, 1), prefix: 24, gateway: None };
        let config = NetConfig { ip4, memory: 256 << 20, ..NetConfig::default() };
        let hole = Hole { wire, taken: taken.clone() };
        p.a = Net::with_clock(&config, Some(Box::new(hole)), Arc::new(NoHooks), now);
        let (c, _s) = p.connect(80);
        let data = noise(64 << 10);
        let all = copied(|| assert_eq!(send(&c, &data), Ok(data.len())));
        let (bytes, into_frames) = *taken.lock().unwrap();
        assert!(bytes > 10_000, "{bytes} bytes in large frames");
        assert!(into_frames <= bytes, "{into_frames} bytes copied into {bytes} bytes of frames");
        assert_eq!(all - into_frames, data.len());
    }
}
