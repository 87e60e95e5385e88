//! The program's streams: descriptors 0, 1, 2 and `/dev/console`.
//!
//! To the program they look like what a container gives it without `-t`: pipes. `isatty` is false, so that stdout is
//! fully buffered as it is there. On a terminal they are a character device, newlines become CR LF, and the window size
//! is known. Programs that do not read need no more than that; for the others [`crate::tty`] takes over: its line
//! discipline is linked with the calls that read.

use crate::dentry::Path;
use crate::device::makedev;
use crate::files::Files;
use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use libos_base::abi::ioctl::TIOCGWINSZ;
use libos_base::abi::{IoctlArgument, OpenFlags, Stat, mode};
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, block_on, readiness};
use libos_base::sync::{Once, Provider};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, user};

/// A byte stream to or from the host.
pub trait Stream: Send + Sync {
    /// Takes received bytes; `Ok(0)` at the end of the stream, EAGAIN if there are none yet.
    fn read(&self, buf: &mut [u8]) -> Result<usize>;
    /// Sends bytes; returns how many were taken. EAGAIN if there is no room, EPIPE if nobody will ever read them.
    fn write(&self, buf: &[u8]) -> Result<usize>;
    /// IN if `read` would not return EAGAIN, OUT if `write` would not, HUP at the end.
    fn ready(&self) -> Events;
    /// Notified when `ready` grows.
    fn pollee(&self) -> &Pollee;
}

/// The console's stream, and whether it is a terminal.
struct Console {
    stream: Arc<dyn Stream>,
    terminal: bool,
}

static CONSOLE: Once<Console> = Once::new();
/// `/dev/console`, once there is a namespace.
static NODE: Once<Path> = Once::new();
/// What the line discipline provides.
pub(crate) static DISCIPLINE: Provider<Discipline> = Provider::new();
/// struct winsize of the terminal.
static WINDOW: AtomicU64 = AtomicU64::new(0);

/// The stream number of the terminal.
const TERMINAL: u64 = 0;
/// Device of `/dev` and inode number of `/dev/console` in it, fixed so that a descriptor can report them before there
/// is a `/dev`.
pub const NODE_DEV: u64 = 5;
const NODE_INO: u64 = 2;
/// `st_rdev` of the console.
pub const CONSOLE_RDEV: u64 = makedev(5, 1);

/// See [`crate::tty`].
pub(crate) struct Discipline {
    /// Something arrived, or there is room. Returns whether all output was handed over.
    pub look: fn() -> bool,
    /// Opens `/dev/console` and `/dev/tty`.
    pub open: fn(Path, OpenFlags) -> Result<Arc<dyn FileLike>>,
}

/// To be called when the stream may have input or room. Returns whether all output was handed over to it.
pub fn look() -> Option<bool> {
    DISCIPLINE.get().map(|d| (d.look)())
}

/// The window size as in struct winsize: rows, columns, and both in pixels.
pub fn window() -> [u16; 4] {
    let w = WINDOW.load(Ordering::Relaxed);
    [w as u16, (w >> 16) as u16, (w >> 32) as u16, (w >> 48) as u16]
}
/// Sets it. Returns whether it changed.
pub fn set_window(w: [u16; 4]) -> bool {
    let w = w.iter().rev().fold(0, |all, &one| all << 16 | u64::from(one));
    WINDOW.swap(w, Ordering::Relaxed) != w
}

/// Records that there is a `/dev` now.
pub(crate) fn set_node(node: Path) {
    NODE.set(|| node);
}
/// `/dev/console`, if the console is a terminal.
pub(crate) fn node() -> Option<&'static Path> {
    terminal()?;
    NODE.get()
}
/// `fstat` of the terminal: the same as `stat` of [`node`] except for the times.
pub(crate) fn terminal_stat() -> Stat {
    let mode = mode::S_IFCHR | 0o600;
    Stat { dev: NODE_DEV, ino: NODE_INO, nlink: 1, mode, rdev: CONSOLE_RDEV, blksize: 4096, ..Stat::default() }
}

/// A standard stream without a line discipline.
pub struct ConsoleFile {
    stream: Arc<dyn Stream>,
    description: Description,
    number: u64,
}

impl ConsoleFile {
    /// A description of `stream`.
    pub fn new(stream: Arc<dyn Stream>, flags: OpenFlags, number: u64) -> Result<Arc<Self>> {
        try_arc(Self { stream, description: Description::new(flags), number })
    }
    /// Its place in the namespace: only a terminal has one.
    pub(crate) fn place(&self) -> Option<&'static Path> {
        if self.number == TERMINAL { node() } else { None }
    }
    /// The same stream, opened again through `/dev/stdout` or `/proc/self/fd/1`.
    pub fn reopen(&self, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
        Ok(Self::new(self.stream.clone(), flags, self.number)?)
    }
}

/// Which standard streams are the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OnTerminal {
    None,
    /// Standard input and output.
    Two,
    All,
}

/// Gives the process its descriptors 0, 1 and 2. `/dev/console` is the terminal, or else the error stream.
pub fn attach(
    files: &Files,
    input: Arc<dyn Stream>,
    output: Arc<dyn Stream>,
    errors: Arc<dyn Stream>,
    terminal: OnTerminal,
) -> Result<()> {
    let (of_stdio, of_errors) = (terminal != OnTerminal::None, terminal == OnTerminal::All);
    let console = if of_stdio { &output } else { &errors };
    CONSOLE.set(|| Console { stream: console.clone(), terminal: of_stdio });
    let both = OpenFlags::RDWR;
    for (number, stream, terminal, flags) in [
        (1, input, of_stdio, if of_stdio { both } else { OpenFlags::empty() }),
        (2, output, of_stdio, if of_stdio { both } else { OpenFlags::WRONLY }),
        (3, errors, of_errors, if of_errors { both } else { OpenFlags::WRONLY }),
    ] {
        files.fds.add(ConsoleFile::new(stream, flags, if terminal { TERMINAL } else { number })?, false)?;
    }
    Ok(())
}

/// The terminal's stream, if there is a terminal.
pub fn terminal() -> Option<&'static Arc<dyn Stream>> {
    CONSOLE.get().filter(|c| c.terminal).map(|c| &c.stream)
}

/// Opens `/dev/console`, or with `controlling` `/dev/tty`, which exists only on a terminal.
pub fn open_console(path: &Path, flags: OpenFlags, controlling: bool) -> Result<Arc<dyn FileLike>> {
    let c = CONSOLE.get().ok_or(if controlling { Errno::ENXIO } else { Errno::ENODEV })?;
    if c.terminal {
        if let Some(d) = DISCIPLINE.get() {
            return (d.open)(path.clone(), flags);
        }
    } else if controlling {
        return Err(Errno::ENXIO);
    }
    Ok(ConsoleFile::new(c.stream.clone(), flags, if c.terminal { TERMINAL } else { 3 })?)
}

impl ConsoleFile {
    /// Sends what the stream takes; on a terminal up to a newline, which becomes CR LF.
    fn send(&self, bytes: &[u8]) -> Result<usize> {
        if self.number == TERMINAL {
            match bytes.iter().position(|&b| b == b'\n') {
                Some(0) => return if self.stream.write(b"\r\n")? == 2 { Ok(1) } else { Err(Errno::EAGAIN) },
                Some(n) => return self.stream.write(&bytes[..n]),
                None => {}
            }
        }
        self.stream.write(bytes)
    }
}

impl FileLike for ConsoleFile {
    fn description(&self) -> &Description {
        &self.description
    }
    fn special_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT | OpenFlags::ASYNC
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        let mut buf = [0; 1024];
        let want = dst.left().min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let n = block_on(self.stream.pollee(), self.description.nonblock(), FOREVER, Errno::EAGAIN, || {
            Some(self.stream.read(&mut buf[..want])).filter(|r| *r != Err(Errno::EAGAIN))
        })?;
        dst.put(&buf[..n])
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        let start = src.done();
        let mut buf = [0; 1024];
        while src.left() > 0 {
            let n = match src.take(&mut buf) {
                Ok(n) => n,
                Err(_) if src.done() > start => break,
                Err(e) => return Err(e),
            };
            let mut sent = 0;
            while sent < n {
                let nonblock = self.description.nonblock();
                match block_on(self.stream.pollee(), nonblock, FOREVER, Errno::EAGAIN, || {
                    Some(self.send(&buf[sent..n])).filter(|r| *r != Err(Errno::EAGAIN))
                }) {
                    Ok(k) => sent += k,
                    Err(e) => {
                        let total = src.done() - start - (n - sent);
                        return if total > 0 { Ok(total) } else { Err(e) };
                    }
                }
            }
        }
        Ok(src.done() - start)
    }
    fn pollee(&self) -> Option<&Pollee> {
        Some(self.stream.pollee())
    }
    fn events(&self) -> Events {
        // The write end of a pipe does not report the end of input, nor the read end that the reader has left.
        let (readable, writable) = (self.flags().readable(), self.flags().writable());
        let mut mask = readiness(readable, writable);
        mask.set(Events::HUP, readable);
        mask.set(Events::ERR, writable);
        let ready = self.stream.ready();
        (ready | readiness(ready.contains(Events::IN), ready.contains(Events::OUT))) & mask
    }
    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        if self.number != TERMINAL || cmd != TIOCGWINSZ {
            return Err(Errno::ENOTTY);
        }
        user::write(arg.to(), &window()).map(|()| 0)
    }
    fn stat(&self) -> Result<Stat> {
        if self.number == TERMINAL {
            return Ok(terminal_stat());
        }
        Ok(Stat { dev: 0xc, ino: self.number, nlink: 1, mode: mode::S_IFIFO | 0o600, blksize: 4096, ..Stat::default() })
    }
    fn describe(&self) -> String {
        let t = crate::util::Text::new();
        match self.number {
            TERMINAL => t.s("/dev/console"),
            n => t.s("pipe:[").n(n).s("]"),
        }
        .string()
    }
}
