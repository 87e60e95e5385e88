//! AF_UNIX.
mod common;
use common::*;
use libos_base::abi::{Ucred, sock};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::Events;
use libos_base::{Errno, Result};
use libos_net::socket::{Incoming, Msg, Outgoing, Socket};
use libos_net::unix::{Host, UnixSocket, pair};
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

type Nodes = HashMap<Vec<u8>, Arc<dyn Any + Send + Sync>>;

struct Fs(Mutex<Option<Nodes>>);

impl Host for Fs {
    fn bind(&self, path: &[u8], socket: Arc<dyn Any + Send + Sync>) -> Result<()> {
        let mut m = self.0.lock().unwrap();
        let m = m.get_or_insert_default();
        if m.contains_key(path) {
            return Err(Errno::EADDRINUSE);
        }
        m.insert(path.to_vec(), socket);
        Ok(())
    }
    fn find(&self, path: &[u8]) -> Result<Arc<dyn Any + Send + Sync>> {
        self.0.lock().unwrap().as_ref().and_then(|m| m.get(path).cloned()).ok_or(Errno::ENOENT)
    }
    fn sender(&self, claimed: Option<Ucred>) -> Result<Ucred> {
        Ok(claimed.unwrap_or(self.creds()))
    }
    fn creds(&self) -> Ucred {
        Ucred { pid: 1, uid: 0, gid: 0 }
    }
}

static FS: Fs = Fs(Mutex::new(None));

fn name(n: &[u8]) -> Vec<u8> {
    let mut a = vec![1, 0];
    a.extend_from_slice(n);
    a
}

fn new(kind: u32) -> Arc<Socket> {
    Socket::new(UnixSocket::open(kind, &FS), true)
}

fn two(kind: u32) -> (Arc<Socket>, Arc<Socket>) {
    let (a, b) = pair(kind, &FS);
    (Socket::new(a, true), Socket::new(b, true))
}

#[test]
fn a_stream_pair() {
    let (a, b) = two(sock::STREAM);
    assert_eq!(a.poll(None), Events::OUT | Events::WRNORM);
    assert_eq!(recv(&a, 10), Err(Errno::EAGAIN));
    send(&a, b"hello ").unwrap();
    send(&a, b"world").unwrap();
    assert_eq!(recv(&b, 8).unwrap(), b"hello wo", "a stream has no boundaries");
    assert_eq!(recv(&b, 100).unwrap(), b"rld");
    a.ops().shutdown(false, true).unwrap();
    assert_eq!(recv(&b, 1).unwrap(), b"");
    assert!(b.poll(None).contains(Events::RDHUP) && !b.poll(None).contains(Events::HUP));
    send(&b, b"back").unwrap();
    assert_eq!(recv(&a, 10).unwrap(), b"back");
    drop(a);
    assert!(b.poll(None).contains(Events::HUP));
    assert_eq!(send(&b, b"x"), Err(Errno::EPIPE));
}

#[test]
fn a_full_stream_blocks_and_goes_on() {
    let (a, b) = two(sock::STREAM);
    let data = noise(1_000_000);
    let mut sent = 0;
    let mut got = Vec::new();
    while got.len() < data.len() {
        while sent < data.len() {
            match send(&a, &data[sent..]) {
                Ok(n) => sent += n,
                Err(Errno::EAGAIN) => break,
                Err(e) => panic!("{e}"),
            }
        }
        assert!(sent == data.len() || !a.poll(None).contains(Events::OUT));
        while let Ok(d) = recv(&b, 5000) {
            got.extend(d);
            if got.len() == data.len() {
                break;
            }
        }
        assert!(a.poll(None).contains(Events::OUT));
    }
    assert!(got == data);
}

#[test]
fn closing_with_unread_data_resets_the_peer() {
    let (a, b) = two(sock::STREAM);
    send(&a, b"unread").unwrap();
    drop(b);
    assert_eq!(recv(&a, 1), Err(Errno::ECONNRESET));
    assert_eq!(recv(&a, 1).unwrap(), b"");
}

#[test]
fn listening_on_a_path_and_abstractly() {
    for n in [&b"/tmp/listening"[..], b"\0abstract name"] {
        let l = new(sock::STREAM);
        let c = new(sock::STREAM);
        assert_eq!(c.connect(&name(n)).err(), Some(if n[0] == 0 { Errno::ECONNREFUSED } else { Errno::ENOENT }));
        assert_eq!(l.ops().listen(1), Err(Errno::EINVAL), "no name");
        l.ops().bind(&name(n)).unwrap();
        assert_eq!(new(sock::STREAM).ops().bind(&name(n)), Err(Errno::EADDRINUSE));
        assert_eq!(c.connect(&name(n)), Err(Errno::ECONNREFUSED), "nobody listens");
        l.ops().listen(1).unwrap();
        c.connect(&name(n)).unwrap();
        assert_eq!(c.connect(&name(n)), Err(Errno::EISCONN));
        send(&c, b"early").unwrap();
        assert!(l.poll(None).contains(Events::IN));
        let (s, from) = l.accept(true).unwrap();
        assert_eq!(from.as_bytes(), [1, 0], "the client has no name");
        assert_eq!(recv(&s, 10).unwrap(), b"early");
        let mut full = name(n);
        if n[0] != 0 {
            full.push(0);
        }
        assert_eq!(s.ops().local().unwrap().as_bytes(), full);
        assert_eq!(c.ops().peer().unwrap().as_bytes(), full);
        // A backlog of 1 holds two.
        let waiting: Vec<_> = (0..2).map(|_| new(sock::STREAM)).collect();
        waiting.iter().for_each(|w| w.connect(&name(n)).unwrap());
        assert_eq!(new(sock::STREAM).connect(&name(n)), Err(Errno::EAGAIN));
        drop(l);
        assert_eq!(recv(&waiting[0], 1), Err(Errno::ECONNRESET));
        assert_eq!(new(sock::STREAM).connect(&name(n)), Err(Errno::ECONNREFUSED));
        assert_eq!(new(sock::DGRAM).connect(&name(n)), Err(Errno::ECONNREFUSED));
    }
}

#[test]
fn datagrams_keep_their_boundaries_and_senders() {
    let r = new(sock::DGRAM);
    r.ops().bind(&name(b"/tmp/dgram")).unwrap();
    let s = new(sock::DGRAM);
    s.ops().bind(&name(b"")).unwrap();
    assert_eq!(s.ops().local().unwrap().as_bytes().len(), 2 + 6, "autobind");
    assert_eq!(send(&s, b"x"), Err(Errno::ENOTCONN));
    s.connect(&name(b"/tmp/dgram")).unwrap();
    send(&s, b"one").unwrap();
    send(&s, b"").unwrap();
    send(&s, b"three").unwrap();
    let mut b = [0; 2];
    let mut m = Incoming::new(Msg::empty());
    assert_eq!(r.recv(&mut Sink::kernel(&mut b), &mut m).unwrap(), 2);
    assert!(m.out_flags.contains(Msg::TRUNC));
    assert_eq!(m.from.as_bytes(), s.ops().local().unwrap().as_bytes());
    assert_eq!(recv(&r, 10).unwrap(), b"");
    assert_eq!(recv(&r, 10).unwrap(), b"three");
    let mut n = 0;
    while send(&s, b"fill").is_ok() {
        n += 1;
    }
    assert_eq!(n, 11, "net.unix.max_dgram_qlen");
    assert!(!s.poll(None).contains(Events::OUT));
    recv(&r, 10).unwrap();
    assert!(s.poll(None).contains(Events::OUT));
    drop(r);
    assert_eq!(send(&s, b"x"), Err(Errno::ECONNREFUSED));
}

#[test]
fn sequenced_packets() {
    let (a, b) = two(sock::SEQPACKET);
    send(&a, b"one").unwrap();
    send(&a, b"two").unwrap();
    assert_eq!(recv(&b, 2).unwrap(), b"on");
    assert_eq!(recv(&b, 10).unwrap(), b"two");
    assert_eq!(send(&a, &vec![0; 300_000]), Err(Errno::EMSGSIZE));
    drop(a);
    assert_eq!(recv(&b, 1).unwrap(), b"");
    assert_eq!(send(&b, b"x"), Err(Errno::EPIPE));
}

#[test]
fn descriptors_travel() {
    let (a, b) = two(sock::STREAM);
    let (x, y) = two(sock::STREAM);
    send(&a, b"before").unwrap();
    let msg = Outgoing { files: vec![x.clone() as Arc<dyn FileLike>], ..Outgoing::default() };
    a.send(&mut Source::kernel(b"with"), &msg).unwrap();
    drop(msg);
    send(&a, b"after").unwrap();
    drop(x);
    let read = |n: usize| {
        let mut buf = vec![0; n];
        let mut m = Incoming::new(Msg::empty());
        let k = b.recv(&mut Sink::kernel(&mut buf), &mut m).unwrap();
        buf.truncate(k);
        (buf, m.files)
    };
    let (d, f) = read(100);
    assert_eq!((&d[..], f.len()), (&b"before"[..], 0), "a read stops where descriptors come");
    let (d, f) = read(100);
    assert_eq!((&d[..4], f.len()), (&b"with"[..], 1));
    f[0].write(&mut Source::kernel(b"through")).unwrap();
    assert_eq!(recv(&y, 10).unwrap(), b"through");
    drop(f);
    assert_eq!(recv(&y, 10).unwrap(), b"", "that was the last reference");
}

#[test]
fn credentials() {
    let (a, b) = two(sock::STREAM);
    assert_eq!(a.get(1, 17).unwrap(), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    b.set(1, 16, &1i32.to_le_bytes()).unwrap();
    send(&a, b"x").unwrap();
    let mut buf = [0];
    let mut m = Incoming::new(Msg::empty());
    b.recv(&mut Sink::kernel(&mut buf), &mut m).unwrap();
    assert_eq!(m.creds, Some(Ucred { pid: 1, uid: 0, gid: 0 }));
}

#[test]
fn two_threads() {
    let (a, b) = pair(sock::STREAM, &FS);
    let (a, b) = (Socket::new(a, false), Socket::new(b, false));
    let data = noise(3_000_000);
    let copy = data.clone();
    let t = std::thread::spawn(move || {
        assert_eq!(send(&a, &copy), Ok(copy.len()), "a blocking write takes all");
    });
    let mut got = Vec::new();
    loop {
        let d = recv(&b, 70_000).unwrap();
        if d.is_empty() {
            break;
        }
        got.extend(d);
    }
    t.join().unwrap();
    assert!(got == data);
}
