//! Servers on this machine that nginx talks to: as small as their protocols allow, and strict, so that a case fails if
//! nginx sends anything that the protocol does not foresee.

mod gateways;
mod grpc;
mod mail;
mod memcached;

pub use gateways::{fastcgi, scgi, uwsgi};
pub use grpc::grpc;
pub use mail::{imap, pop3, smtp};
pub use memcached::memcached;

use anyhow::{Context as _, Result, bail, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A server; it stops with this.
pub struct Backend {
    address: SocketAddr,
    /// Makes it look whether it is to stop.
    wake: fn(SocketAddr),
    stop: Arc<AtomicBool>,
    problems: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Serves each connection in a thread of its own.
    pub fn tcp(serve: fn(&mut Peer) -> Result<()>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (stop, problems) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (ending, found) = (Arc::clone(&stop), Arc::clone(&problems));
        let accept = move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::Relaxed) {
                    return;
                }
                let found = Arc::clone(&found);
                std::thread::spawn(move || {
                    if let Err(problem) = Peer::new(stream).and_then(|mut peer| serve(&mut peer)) {
                        found.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{problem:#}"));
                    }
                });
            }
        };
        let wake = |address| drop(TcpStream::connect(address));
        Ok(Self { address, wake, stop, problems, thread: Some(std::thread::spawn(accept)) })
    }

    /// Sends every datagram back.
    pub fn udp_echo() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&stop);
        let echo = move || {
            let mut datagram = [0; 65536];
            while let Ok((n, from)) = socket.recv_from(&mut datagram)
                && !ending.load(Ordering::Relaxed)
            {
                let _ = socket.send_to(&datagram[..n], from);
            }
        };
        let wake = |address| drop(UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"", address)));
        Ok(Self { address, wake, stop, problems: Arc::default(), thread: Some(std::thread::spawn(echo)) })
    }

    /// Its port, as configurations spell it.
    pub fn port(&self) -> String {
        self.address.port().to_string()
    }

    /// Fails if nginx did anything wrong.
    pub fn content(&self) -> Result<()> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(problems.is_empty(), "nginx does not keep to the protocol: {}", problems.join("; "));
        Ok(())
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (self.wake)(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The other end of a connection.
pub struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Whether it has nothing more to say.
    pub fn ended(&mut self) -> bool {
        self.stream.fill_buf().map_or(true, <[u8]>::is_empty)
    }

    /// So many bytes.
    pub fn take(&mut self, n: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        self.stream.read_exact(&mut bytes).with_context(|| format!("no {n} bytes"))?;
        Ok(bytes)
    }

    /// Up to this byte, which is not returned.
    pub fn until(&mut self, mark: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_until(mark, &mut bytes).context("no more bytes")?;
        ensure!(bytes.pop() == Some(mark), "it ends with {:?}", String::from_utf8_lossy(&bytes));
        Ok(bytes)
    }

    /// A line that ends with CR LF.
    pub fn line(&mut self) -> Result<String> {
        let line = String::from_utf8(self.until(b'\n')?)?;
        match line.strip_suffix('\r') {
            Some(line) => Ok(line.to_owned()),
            None => bail!("a line without CR: {line:?}"),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref()).context("cannot send")
    }
}

/// Sends everything back.
pub fn echo(peer: &mut Peer) -> Result<()> {
    while !peer.ended() {
        let bytes = peer.stream.fill_buf()?.to_vec();
        peer.stream.consume(bytes.len());
        peer.send(bytes)?;
    }
    Ok(())
}
