//! Compares the line discipline with Linux's own: the same bytes through a pseudo terminal of the host and through
//! ours, with the same settings, must give the same echo, the same reads and the same output.

use super::{read, write};
use crate::console::Stream;
use crate::tty::Tty;
use crate::tty::file::TtyFile;
use crate::tty::termios;
use libos_base::abi::OpenFlags;
use libos_base::abi::ioctl::TCSETS;
use libos_base::abi::{InputModes, IoctlArgument, LocalModes, OutputModes, Termios, cc};
use libos_base::file::FileLike;
use libos_base::poll::{Events, Pollee};
use libos_base::{Errno, Result};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{self as linux, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use unibody_proto::terminal::Terminal;

/// A terminal controlled by the test.
struct Host {
    typed: Mutex<VecDeque<u8>>,
    shown: Mutex<Vec<u8>>,
    /// How much it takes at once.
    most: Mutex<usize>,
    pollee: Pollee,
}

impl Stream for Host {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let mut typed = self.typed.lock().unwrap();
        let n = buf.len().min(typed.len());
        buf.iter_mut().zip(typed.drain(..n)).for_each(|(to, b)| *to = b);
        if n == 0 { Err(Errno::EAGAIN) } else { Ok(n) }
    }
    fn write(&self, buf: &[u8]) -> Result<usize> {
        let n = buf.len().min(*self.most.lock().unwrap());
        self.shown.lock().unwrap().extend_from_slice(&buf[..n]);
        if n == 0 { Err(Errno::EAGAIN) } else { Ok(n) }
    }
    fn ready(&self) -> Events {
        Events::OUT
    }
    fn pollee(&self) -> &Pollee {
        &self.pollee
    }
}

static SIGNAL: AtomicI32 = AtomicI32::new(0);

fn ours(settings: &Termios) -> (Arc<Host>, Arc<Tty>, Arc<dyn FileLike>) {
    let host = Arc::new(Host {
        typed: Mutex::default(),
        shown: Mutex::default(),
        most: Mutex::new(usize::MAX),
        pollee: Pollee::new(),
    });
    let tty = Tty::new(host.clone(), &Terminal::default(), |n| SIGNAL.store(n, Ordering::SeqCst)).unwrap();
    let file = TtyFile::new(tty.clone(), None, OpenFlags::RDWR | OpenFlags::NONBLOCK).unwrap();
    file.ioctl(TCSETS, IoctlArgument(settings as *const Termios as usize)).unwrap();
    (host, tty, file)
}

const END: &[u8] = b"#END#";
const OUT: &[u8] = b"#OUT#";

/// What the reads returned, and what the terminal showed.
type Seen = (Vec<Vec<u8>>, Vec<u8>);

/// Without canonical mode the sizes of reads depend on timing.
fn joined(settings: &Termios, reads: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if settings.local(LocalModes::ICANON) { reads } else { vec![reads.concat()] }
}

fn through_ours(settings: &Termios, input: &[u8], output: &[u8]) -> Seen {
    let (host, tty, file) = ours(settings);
    let mut reads = Vec::new();
    host.typed.lock().unwrap().extend(input.iter().chain(b"\n").chain(END).chain(b"\n"));
    tty.look();
    while let Ok(bytes) = read(&file, 4096) {
        reads.push(bytes);
    }
    write(&file, output).unwrap();
    write(&file, OUT).unwrap();
    let shown = host.shown.lock().unwrap().clone();
    (joined(settings, reads), shown)
}

fn through_linux(settings: &Termios, input: &[u8], output: &[u8]) -> Option<Seen> {
    let master: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).ok()?;
    grantpt(&master).ok()?;
    unlockpt(&master).ok()?;
    let name = ptsname(&master, Vec::new()).ok()?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let mut slave = File::from(rustix::fs::open(name, flags, rustix::fs::Mode::empty()).ok()?);
    let mut t = tcgetattr(&slave).ok()?;
    t.input_modes = linux::InputModes::from_bits_retain(settings.iflag);
    t.output_modes = linux::OutputModes::from_bits_retain(settings.oflag);
    t.local_modes = linux::LocalModes::from_bits_retain(settings.lflag);
    for (index, which) in [
        (SpecialCodeIndex::VMIN, cc::MIN),
        (SpecialCodeIndex::VTIME, cc::TIME),
        (SpecialCodeIndex::VEOL, cc::EOL),
        (SpecialCodeIndex::VEOL2, cc::EOL2),
    ] {
        t.special_codes[index] = settings.cc[which];
    }
    tcsetattr(&slave, OptionalActions::Now, &t).ok()?;
    let mut master = File::from(master);
    master.write_all(&[input, b"\n", END, b"\n"].concat()).unwrap();
    let mut reads: Vec<Vec<u8>> = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let n = slave.read(&mut buf).unwrap();
        reads.push(buf[..n].to_vec());
        // INLCR turns the last byte into a CR, in which case lines never end: such settings are not canonical here.
        if reads.concat().windows(END.len() + 1).any(|w| w.starts_with(END) && matches!(w[END.len()], b'\n' | b'\r')) {
            break;
        }
    }
    slave.write_all(output).unwrap();
    slave.write_all(OUT).unwrap();
    let mut shown = Vec::new();
    while !shown.ends_with(OUT) && !shown.to_ascii_lowercase().ends_with(&OUT.to_ascii_lowercase()) {
        let n = master.read(&mut buf).unwrap();
        shown.extend_from_slice(&buf[..n]);
    }
    Some((joined(settings, reads), shown))
}

/// Numbers that look random, but are always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
    fn chance(&mut self) -> bool {
        self.below(2) == 0
    }
}

#[test]
fn as_linux_does() {
    if openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).is_err() {
        eprintln!("no pseudo terminals on this machine");
        return;
    }
    let pieces: &[&[u8]] = &[
        b"a",
        b"word ",
        b"x_1",
        b"\t",
        b"\n",
        b"\r",
        b"\x7f",
        b"\x7f\x7f",
        b"\x15",
        b"\x17",
        b"\x04",
        b"\x16",
        b"\x12",
        b"\x01",
        b"\x1b[A",
        "é".as_bytes(),
        "日本".as_bytes(),
        b"\x08",
        b"\xff",
        b";",
        b"\x02",
        b"Q",
    ];
    let written: &[&[u8]] = &[b"text", b"\n", b"\t", b"\r", b"\x08", b"\x07", "é".as_bytes(), b"col\tumn\n", b"\r\n"];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..3000 {
        let mut t = termios::NEW;
        // Signals and flow control discard output, which depends on timing.
        t.lflag &= !LocalModes::ISIG.bits();
        t.iflag &= !InputModes::IXON.bits();
        if round % 3 != 0 {
            for flag in [
                LocalModes::ECHO,
                LocalModes::ECHOE,
                LocalModes::ECHOK,
                LocalModes::ECHOKE,
                LocalModes::ECHOCTL,
                LocalModes::ECHONL,
                LocalModes::IEXTEN,
            ] {
                if random.below(4) == 0 {
                    t.lflag ^= flag.bits();
                }
            }
            for flag in
                [InputModes::IUTF8, InputModes::IGNCR, InputModes::ICRNL, InputModes::ISTRIP, InputModes::PARMRK]
            {
                if random.below(4) == 0 {
                    t.iflag ^= flag.bits();
                }
            }
            for flag in [
                OutputModes::OPOST,
                OutputModes::ONLCR,
                OutputModes::OCRNL,
                OutputModes::ONOCR,
                OutputModes::ONLRET,
                OutputModes::TABDLY,
            ] {
                if random.below(4) == 0 {
                    t.oflag ^= flag.bits();
                }
            }
            if random.below(4) == 0 {
                t.lflag &= !LocalModes::ICANON.bits();
                if random.chance() {
                    t.iflag ^= InputModes::INLCR.bits();
                }
            }
            if random.below(8) == 0 {
                t.lflag ^= LocalModes::ECHOPRT.bits();
            }
            if random.below(4) == 0 {
                (t.cc[cc::EOL], t.cc[cc::EOL2]) = (b';', b'Q');
            }
        }
        let mut pick = |from: &[&[u8]], most| {
            (0..random.below(most)).map(|_| from[random.below(from.len())]).collect::<Vec<_>>().concat()
        };
        let (mut input, output) = (pick(pieces, 30), pick(written, 6));
        if !t.output(OutputModes::OPOST) {
            // N_TTY's own marker in its echo buffer: there it counts as a column, whatever the byte.
            input.retain(|&b| b != 0xff);
        }
        let Some(expected) = through_linux(&t, &input, &output) else { panic!("the pseudo terminal broke") };
        let found = through_ours(&t, &input, &output);
        let text = |(reads, shown): &Seen| {
            let lines: Vec<_> = reads.iter().map(|r| String::from_utf8_lossy(r).into_owned()).collect();
            format!("{lines:?} shown {:?}", String::from_utf8_lossy(shown))
        };
        assert!(
            found == expected,
            "round {round}, {t:?}\ntyped {:?}, written {:?}\nLinux {}\nours  {}",
            String::from_utf8_lossy(&input),
            String::from_utf8_lossy(&output),
            text(&expected),
            text(&found)
        );
    }
}

fn typed(host: &Host, tty: &Tty, bytes: &[u8]) {
    host.typed.lock().unwrap().extend(bytes);
    tty.look();
}

#[test]
fn signals_throw_away_what_was_typed() {
    let (host, tty, file) = ours(&termios::NEW);
    for (byte, signal, shown) in [(3, 2, "^C"), (0x1c, 3, "^\\"), (0x1a, 20, "^Z")] {
        host.shown.lock().unwrap().clear();
        typed(&host, &tty, &[b'a', b'\n', b'b', byte]);
        assert_eq!(SIGNAL.swap(0, Ordering::SeqCst), signal);
        assert!(String::from_utf8(host.shown.lock().unwrap().clone()).unwrap().ends_with(shown));
        assert_eq!(read(&file, 10), Err(Errno::EAGAIN));
    }
    // Taken literally it is an ordinary byte.
    typed(&host, &tty, b"\x16\x03\n");
    assert_eq!(read(&file, 10).unwrap(), b"\x03\n");
}

#[test]
fn output_stops_and_goes_on() {
    let (host, tty, file) = ours(&termios::NEW);
    typed(&host, &tty, b"\x13");
    assert_eq!(write(&file, b"held"), Err(Errno::EAGAIN));
    assert!(!file.poll(None).contains(Events::OUT));
    typed(&host, &tty, b"\x11");
    assert_eq!(write(&file, b"sent").unwrap(), 4);
    assert_eq!(*host.shown.lock().unwrap(), b"sent");
}

#[test]
fn a_slow_terminal_gets_everything() {
    let (host, tty, file) = ours(&termios::NEW);
    *host.most.lock().unwrap() = 0;
    assert_eq!(write(&file, b"one\n").unwrap(), 4);
    assert_eq!(write(&file, b"two\n"), Err(Errno::EAGAIN));
    assert!(!tty.look());
    *host.most.lock().unwrap() = 2;
    assert!(tty.look());
    assert_eq!(write(&file, b"two\n").unwrap(), 4);
    tty.look();
    assert_eq!(*host.shown.lock().unwrap(), b"one\r\ntwo\r\n");
}

#[test]
fn long_lines_and_type_ahead() {
    let (host, tty, file) = ours(&termios::NEW);
    // A line that is too long keeps its beginning and its end.
    typed(&host, &tty, &[b'x'; 6000]);
    typed(&host, &tty, b"\n");
    let line = read(&file, 8192).unwrap();
    assert_eq!((line.len(), line[4093], line[4094]), (4095, b'x', b'\n'));
    // Finished lines that nobody reads stay with the host.
    typed(&host, &tty, &b"line of text\n".repeat(1000));
    assert!(!host.typed.lock().unwrap().is_empty());
    for _ in 0..1000 {
        assert_eq!(read(&file, 100).unwrap(), b"line of text\n");
    }
    assert_eq!(read(&file, 100), Err(Errno::EAGAIN));
}

#[test]
fn lines_and_no_lines() {
    let (host, tty, file) = ours(&termios::NEW);
    typed(&host, &tty, b"part");
    assert!(!file.poll(None).contains(Events::IN));
    let raw = Termios { lflag: 0, ..termios::NEW };
    file.ioctl(TCSETS, IoctlArgument(&raw as *const Termios as usize)).unwrap();
    assert!(file.poll(None).contains(Events::IN));
    file.ioctl(TCSETS, IoctlArgument(&termios::NEW as *const Termios as usize)).unwrap();
    assert_eq!(read(&file, 2).unwrap(), b"pa");
    assert_eq!(read(&file, 10).unwrap(), b"rt");
    // MIN 3: two are not enough.
    let three = Termios {
        cc: {
            let mut cc = raw.cc;
            cc[cc::MIN] = 3;
            cc
        },
        ..raw
    };
    file.ioctl(TCSETS, IoctlArgument(&three as *const Termios as usize)).unwrap();
    typed(&host, &tty, b"12");
    assert_eq!(read(&file, 10), Err(Errno::EAGAIN));
    typed(&host, &tty, b"34");
    assert_eq!(read(&file, 10).unwrap(), b"1234");
}
