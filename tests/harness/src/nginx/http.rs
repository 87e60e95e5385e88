//! A small HTTP client that shows every byte.

use anyhow::{Context as _, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Status line and header, unchanged.
    pub head: String,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }

    /// Without parts that differ between any two servers.
    pub fn comparable(&self) -> (String, &[u8]) {
        let lines: Vec<_> = self.head.lines().filter(|line| !line.starts_with("Date: ")).collect();
        (lines.join("\n"), &self.body)
    }
}

/// A connection that buffers bytes read past a response.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::patient(address, Duration::from_secs(15))
    }

    /// Connects; later waits this long for each part of an answer.
    pub fn patient(address: SocketAddr, patience: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("cannot connect")?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).context("cannot send")
    }

    fn more(&mut self) -> Result<bool> {
        let mut block = [0; 65536];
        let n = self.stream.read(&mut block).context("no answer")?;
        self.buffer.extend_from_slice(&block[..n]);
        Ok(n > 0)
    }

    fn take(&mut self, n: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.more()? {
                bail!("the connection ended after {} of {n} bytes", self.buffer.len());
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|w| w == mark) {
                return self.take(at + mark.len());
            }
            if !self.more()? {
                bail!("the connection ended inside a header: {:?}", String::from_utf8_lossy(&self.buffer));
            }
        }
    }

    /// Reads one response; `body` is false after HEAD.
    pub fn receive(&mut self, body: bool) -> Result<Response> {
        let head = String::from_utf8(self.until(b"\r\n\r\n")?).context("the header is no text")?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .with_context(|| format!("no status in {head:?}"))?;
        let mut response = Response { status, head: head.trim_end().to_owned(), body: Vec::new() };
        if !body || matches!(status, 204 | 304) {
            return Ok(response);
        }
        if response.header("Transfer-Encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8_lossy(&self.until(b"\r\n")?).trim().to_owned();
                let n = usize::from_str_radix(&line, 16).with_context(|| format!("no chunk size: {line:?}"))?;
                let chunk = self.take(n + 2)?;
                if n == 0 {
                    break;
                }
                response.body.extend_from_slice(&chunk[..n]);
            }
        } else if let Some(length) = response.header("Content-Length") {
            response.body = self.take(length.parse()?)?;
        } else {
            while self.more()? {}
            response.body = std::mem::take(&mut self.buffer);
        }
        Ok(response)
    }

    /// Whether the server has closed it.
    pub fn ended(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.more(), Ok(false))
    }
}

/// Sends one request on a new connection.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Result<Response> {
    let mut connection = Connection::open(address)?;
    connection.send(request)?;
    connection.receive(!request.starts_with(b"HEAD"))
}

/// GET with these further header lines.
pub fn get_with(address: SocketAddr, path: &str, header: &str) -> Result<Response> {
    exchange(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: test.example\r\n{header}Connection: close\r\n\r\n").as_bytes(),
    )
}

/// GET.
pub fn get(address: SocketAddr, path: &str) -> Result<Response> {
    get_with(address, path, "")
}
