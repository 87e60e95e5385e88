//! The control protocol, version 2: lines of text on the port [`crate::port::CONTROL`].
//!
//! Guest to host: `hello 2 NAME`, `listen tcp|udp ADDR PORT`, `waits` (since version 2), `clock`, `exit STATUS`, `crash
//! SIGNO REASON`. Host to guest: `kill SIGNO`, `stdin-end COUNT`, `window ROWS COLS`, `clock NS`, `output-failed STREAM
//! ERRNO`. Each side ignores lines that it does not know, so both may be extended.

use crate::number;
use core::net::{IpAddr, Ipv6Addr};

/// Version in the `hello` line.
pub const VERSION: u32 = 2;
/// The first version whose guests send [`FromGuest::Waits`].
pub const WAITS_SINCE: u32 = 2;
/// Longest line, including its end. Longer ones are truncated when written and dropped when read.
pub const MAX_LINE: usize = 512;

/// Transport of a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The name as the protocol and the command line spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// Messages from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromGuest<'a> {
    /// First line: the protocol's version and the program's name.
    Hello {
        /// Protocol version.
        version: u32,
        /// Name of the program.
        name: &'a [u8],
    },
    /// The program listens (TCP) or has bound (UDP) an address.
    Listen {
        /// The transport protocol.
        transport: Transport,
        /// Local address; unspecified for all.
        addr: IpAddr,
        /// Local port.
        port: u16,
    },
    /// Asks for the time.
    Clock,
    /// The thread that listened last is waiting for the first time since: the program is ready to serve.
    Waits,
    /// The program ended with this status (0..=255), and all its output was delivered.
    Exit(u8),
    /// The program or the kernel crashed.
    Crash {
        /// The signal that would have killed a process.
        signal: u8,
        /// One line for people to read.
        reason: &'a [u8],
    },
}

impl<'a> FromGuest<'a> {
    /// Parses a line without its end; `None` if it is unknown or malformed.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let (word, rest) = split(line);
        match word {
            b"hello" => {
                let (version, name) = split(rest);
                Some(Self::Hello { version: narrow(version)?, name })
            }
            b"listen" => {
                let (transport, rest) = split(rest);
                let (addr, port) = split(rest);
                let transport = match transport {
                    b"tcp" => Transport::Tcp,
                    b"udp" => Transport::Udp,
                    _ => return None,
                };
                let addr = core::str::from_utf8(addr).ok()?.parse().ok()?;
                Some(Self::Listen { transport, addr, port: narrow(port)? })
            }
            b"clock" => Some(Self::Clock),
            b"waits" => Some(Self::Waits),
            b"exit" => Some(Self::Exit(narrow(rest)?)),
            b"crash" => {
                let (signal, reason) = split(rest);
                Some(Self::Crash { signal: narrow(signal)?, reason })
            }
            _ => None,
        }
    }

    /// The line, including its end.
    pub fn encode(&self) -> Line {
        let mut line = Line::new();
        match *self {
            Self::Hello { version, name } => {
                line.text(b"hello ").number(version.into()).text(b" ").text(name);
            }
            Self::Listen { transport, addr, port } => {
                line.text(b"listen ").text(transport.name().as_bytes()).text(b" ");
                line.address(addr).text(b" ").number(port.into());
            }
            Self::Clock => {
                line.text(b"clock");
            }
            Self::Waits => {
                line.text(b"waits");
            }
            Self::Exit(status) => {
                line.text(b"exit ").number(status.into());
            }
            Self::Crash { signal, reason } => {
                line.text(b"crash ").number(signal.into()).text(b" ").text(reason);
            }
        }
        line.end();
        line
    }
}

/// Messages from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromHost {
    /// Send the program this signal.
    Kill(u8),
    /// Standard input ends after this many bytes in all: reads beyond them return 0. The port itself cannot express
    /// that, because it carries standard output too, and this line may overtake the last bytes; hence the count.
    StdinEnd(u64),
    /// The terminal's window now has this many rows and columns.
    Window(u16, u16),
    /// The answer to [`FromGuest::Clock`]: nanoseconds since 1970.
    Clock(u64),
    /// What the program writes to standard output (1) or error (2) can no longer be delivered, for this reason (a Linux
    /// errno): the disk is full, the reader went away.
    OutputFailed(u8, u8),
}

impl FromHost {
    /// Parses a line without its end; `None` if it is unknown or malformed.
    pub fn parse(line: &[u8]) -> Option<Self> {
        match split(line) {
            (b"kill", signal) => Some(Self::Kill(narrow(signal).filter(|n| (1..=64).contains(n))?)),
            (b"stdin-end", count) => Some(Self::StdinEnd(number::decimal(count)?)),
            (b"window", size) => {
                let (rows, cols) = split(size);
                Some(Self::Window(narrow(rows)?, narrow(cols)?))
            }
            (b"clock", ns) => Some(Self::Clock(number::decimal(ns)?)),
            (b"output-failed", what) => Self::output_failed(what),
            _ => None,
        }
    }

    /// Parses `STREAM ERRNO`, which is also the form of the parameter [`crate::params::key::OUTPUT_FAILED`].
    pub fn output_failed(text: &[u8]) -> Option<Self> {
        let (stream, errno) = split(text);
        Some(Self::OutputFailed(narrow(stream).filter(|n| matches!(n, 1 | 2))?, narrow(errno)?))
    }

    /// The line, including its end.
    pub fn encode(&self) -> Line {
        let mut line = Line::new();
        match *self {
            Self::Kill(signal) => line.text(b"kill ").number(signal.into()),
            Self::StdinEnd(count) => line.text(b"stdin-end ").number(count),
            Self::Clock(ns) => line.text(b"clock ").number(ns),
            Self::OutputFailed(stream, errno) => {
                line.text(b"output-failed ").number(stream.into()).text(b" ").number(errno.into())
            }
            Self::Window(rows, cols) => line.text(b"window ").number(rows.into()).text(b" ").number(cols.into()),
        };
        line.end();
        line
    }
}

/// A line being written: bounded, on the stack, always valid.
#[derive(Clone, Copy)]
pub struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; MAX_LINE], len: 0 }
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends text; what does not fit is cut off, and control characters become blanks (a newline would forge a line).
    fn text(&mut self, text: &[u8]) -> &mut Self {
        for &byte in text {
            if self.len == MAX_LINE - 1 {
                break;
            }
            self.bytes[self.len] = if byte.is_ascii_control() { b' ' } else { byte };
            self.len += 1;
        }
        self
    }

    fn number(&mut self, value: u64) -> &mut Self {
        self.text(number::to_decimal(value, &mut [0; 20]))
    }

    fn hex(&mut self, value: u16) -> &mut Self {
        for shift in [12, 8, 4, 0] {
            // Leading zeros are omitted, except for the last digit.
            if value >> shift != 0 || shift == 0 {
                self.text(&[b"0123456789abcdef"[usize::from(value >> shift & 15)]]);
            }
        }
        self
    }

    /// Writes IPv6 without `::`, except for the all-zero address: readers accept both, and the writer stays small.
    fn address(&mut self, addr: IpAddr) -> &mut Self {
        match addr {
            IpAddr::V4(v4) => {
                for (i, octet) in v4.octets().into_iter().enumerate() {
                    self.text(if i == 0 { b"" } else { b"." }).number(octet.into());
                }
            }
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
                self.text(b"::");
            }
            IpAddr::V6(v6) => {
                for (i, group) in v6.segments().into_iter().enumerate() {
                    self.text(if i == 0 { b"" } else { b":" }).hex(group);
                }
            }
        }
        self
    }

    fn end(&mut self) {
        self.bytes[self.len] = b'\n';
        self.len += 1;
    }
}

/// Cuts a byte stream into lines, in a fixed buffer.
pub struct LineReader {
    bytes: [u8; MAX_LINE],
    len: usize,
    overlong: bool,
}

impl Default for LineReader {
    fn default() -> Self {
        Self::new()
    }
}

impl LineReader {
    /// An empty reader.
    pub const fn new() -> Self {
        Self { bytes: [0; MAX_LINE], len: 0, overlong: false }
    }

    /// Takes received bytes and calls `line` for every complete line, without its end. Overlong lines are dropped.
    pub fn feed(&mut self, received: &[u8], mut line: impl FnMut(&[u8])) {
        for &byte in received {
            if byte == b'\n' {
                if !self.overlong {
                    line(&self.bytes[..self.len]);
                }
                (self.len, self.overlong) = (0, false);
            } else if self.len == MAX_LINE {
                self.overlong = true;
            } else {
                self.bytes[self.len] = byte;
                self.len += 1;
            }
        }
    }
}

/// The first word, and what follows the blank after it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&b| b == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

fn narrow<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    T::try_from(number::decimal(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guest_round_trip() {
        let listen = |addr: &str, transport, port| FromGuest::Listen { transport, addr: addr.parse().unwrap(), port };
        let all = [
            FromGuest::Hello { version: 2, name: b"nginx" },
            listen("0.0.0.0", Transport::Tcp, 80),
            listen("192.168.100.7", Transport::Udp, 65535),
            listen("::", Transport::Tcp, 443),
            listen("fe80::a00:1", Transport::Tcp, 1),
            FromGuest::Clock,
            FromGuest::Waits,
            FromGuest::Exit(255),
            FromGuest::Crash { signal: 11, reason: b"read of 0x0 in main+0x12" },
        ];
        for message in all {
            let line = message.encode();
            let bytes = line.as_bytes();
            assert_eq!(bytes.last(), Some(&b'\n'));
            assert_eq!(FromGuest::parse(&bytes[..bytes.len() - 1]), Some(message));
        }
        assert_eq!(all[1].encode().as_bytes(), b"listen tcp 0.0.0.0 80\n");
        assert_eq!(all[4].encode().as_bytes(), b"listen tcp fe80:0:0:0:0:0:a00:1 1\n");
    }

    #[test]
    fn a_reason_cannot_forge_lines() {
        let line = FromGuest::Crash { signal: 6, reason: b"a\nexit 0" }.encode();
        assert_eq!(line.as_bytes(), b"crash 6 a exit 0\n");
        let line = FromGuest::Crash { signal: 6, reason: &[b'x'; 2 * MAX_LINE] }.encode();
        assert_eq!(line.as_bytes().len(), MAX_LINE);
    }

    #[test]
    fn unknown_is_none() {
        for bad in [&b""[..], b"exit", b"exit 256", b"exit -1", b"listen sctp 0.0.0.0 1", b"listen tcp x 1", b"what"] {
            assert_eq!(FromGuest::parse(bad), None);
        }
        assert_eq!(FromHost::parse(b"kill 15"), Some(FromHost::Kill(15)));
        assert_eq!(FromHost::parse(b"kill 0"), None);
        assert_eq!(FromHost::parse(b"kill 65"), None);
        assert_eq!(FromHost::Kill(1).encode().as_bytes(), b"kill 1\n");
        assert_eq!(FromHost::StdinEnd(0).encode().as_bytes(), b"stdin-end 0\n");
        assert_eq!(FromHost::parse(b"stdin-end 70000"), Some(FromHost::StdinEnd(70000)));
        assert_eq!(FromHost::parse(b"stdin-end"), None);
        assert_eq!(FromHost::Clock(1_700_000_000_000_000_001).encode().as_bytes(), b"clock 1700000000000000001\n");
        assert_eq!(FromHost::parse(b"clock 1700000000000000001"), Some(FromHost::Clock(1_700_000_000_000_000_001)));
        assert_eq!(FromHost::parse(b"clock"), None);
        assert_eq!(FromHost::Window(24, 80).encode().as_bytes(), b"window 24 80\n");
        assert_eq!(FromHost::parse(b"window 24 80"), Some(FromHost::Window(24, 80)));
        assert_eq!(FromHost::parse(b"window 24"), None);
        assert_eq!(FromHost::parse(b"window 24 70000"), None);
        assert_eq!(FromHost::OutputFailed(1, 28).encode().as_bytes(), b"output-failed 1 28\n");
        assert_eq!(FromHost::parse(b"output-failed 2 32"), Some(FromHost::OutputFailed(2, 32)));
        assert_eq!(FromHost::parse(b"output-failed 0 32"), None);
    }

    #[test]
    fn reader() {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        let long = [b'y'; MAX_LINE + 3];
        for part in [&b"exi"[..], b"t 0\nkill", b" 9\n", &long, b"\n\nok\npartial"] {
            reader.feed(part, |line| lines.push(line.to_vec()));
        }
        assert_eq!(lines, [&b"exit 0"[..], b"kill 9", b"", b"ok"]);
    }
}
