//! An open terminal: descriptors 0 to 2, `/dev/console`, `/dev/tty`.

use super::Tty;
use crate::console;
use crate::dentry::Path;
use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use libos_base::abi::{IoctlArgument, LocalModes, cc};
use libos_base::abi::{OpenFlags, Stat};
use libos_base::file::{Description, FileLike};
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Watcher, block_on, readiness};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result, time};

/// See the module.
pub struct TtyFile {
    pub(super) tty: Arc<Tty>,
    /// The path it was opened by; none for the standard streams.
    path: Option<Path>,
    description: Description,
}

const TENTH: u64 = time::NS / 10;

impl TtyFile {
    /// A new description.
    pub fn new(tty: Arc<Tty>, path: Option<Path>, flags: OpenFlags) -> Result<Arc<Self>> {
        try_arc(Self { tty, path, description: Description::new(flags) })
    }

    /// What is there now; `None` if a read has to wait for `least` bytes or a line.
    fn take(&self, least: usize, buf: &mut [u8]) -> Option<Result<usize>> {
        let mut s = self.tty.state.lock();
        let settings = s.settings;
        if s.line.readable(&settings, least) || s.over {
            let n = s.line.take(&settings, buf);
            drop(s);
            return Some(Ok(n));
        }
        None
    }

    /// Non-canonical mode: MIN bytes, or a time (termios(3)).
    fn read_raw(&self, min: usize, tenths: u64, buf: &mut [u8]) -> Result<usize> {
        let readable = &self.tty.readable;
        let wait = |deadline, least, buf: &mut [u8]| {
            block_on(readable, self.description.nonblock(), deadline, Errno::ETIMEDOUT, || self.take(least, buf))
        };
        let least = min.min(buf.len());
        match (min, tenths) {
            (0, 0) => self.take(0, buf).unwrap_or(Ok(0)),
            (0, t) => wait(time::after(t * TENTH), 1, buf).or_else(none_in_time),
            (_, 0) => wait(FOREVER, least, buf),
            (_, t) => {
                // The clock starts with the first byte, and restarts with each one.
                let mut n = wait(FOREVER, 1, buf)?;
                while n < least {
                    match wait(time::after(t * TENTH), 1, &mut buf[n..]) {
                        Ok(0) | Err(_) => break,
                        Ok(more) => n += more,
                    }
                }
                Ok(n)
            }
        }
    }
}

fn none_in_time(e: Errno) -> Result<usize> {
    if e == Errno::ETIMEDOUT { Ok(0) } else { Err(e) }
}

impl FileLike for TtyFile {
    fn description(&self) -> &Description {
        &self.description
    }
    fn special_flags(&self) -> OpenFlags {
        OpenFlags::DIRECT | OpenFlags::ASYNC
    }
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        let want = dst.left().min(super::line::SIZE);
        if want == 0 {
            return Ok(0);
        }
        let mut buf = Vec::new();
        buf.try_reserve_exact(want)?;
        buf.resize(want, 0);
        let settings = self.tty.state.lock().settings;
        let n = if settings.local(LocalModes::ICANON) {
            block_on(&self.tty.readable, self.description.nonblock(), FOREVER, Errno::EAGAIN, || {
                self.take(1, &mut buf)
            })?
        } else {
            self.read_raw(settings.cc[cc::MIN].into(), settings.cc[cc::TIME].into(), &mut buf)?
        };
        // There is room again: bytes waiting in the stream can be taken.
        self.tty.look();
        dst.put(&buf[..n])
    }
    fn write(&self, src: &mut Source<'_>) -> Result<usize> {
        self.tty.write(src, self.description.nonblock())
    }
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let Some(w) = watcher {
            self.tty.readable.add(w);
            self.tty.stream.pollee().add(w);
        }
        let s = self.tty.state.lock();
        let least = if s.settings.cc[cc::TIME] == 0 { s.settings.cc[cc::MIN].into() } else { 1 };
        let output = !s.stopped && s.out.pending.is_empty() && self.tty.stream.ready().contains(Events::OUT);
        let e = readiness(s.line.readable(&s.settings, least) || s.over, output);
        if s.over { e | Events::HUP } else { e }
    }
    fn unwatch(&self, watcher: &Arc<dyn Watcher>) {
        self.tty.readable.remove(watcher);
        self.tty.stream.pollee().remove(watcher);
    }
    fn stat(&self) -> Result<Stat> {
        match &self.path {
            Some(p) => p.inode().stat(),
            None => console::node().map_or_else(|| Ok(console::terminal_stat()), |n| n.inode().stat()),
        }
    }
    fn ioctl(&self, cmd: u32, arg: IoctlArgument) -> Result<usize> {
        super::ioctl::ioctl(self, cmd, arg)
    }
    fn place(&self) -> Option<&dyn Any> {
        self.path.as_ref().or_else(|| console::node()).map(|p| p as _)
    }
    fn describe(&self) -> String {
        match &self.path {
            Some(p) => crate::openfile::describe(p),
            None => String::from("/dev/console"),
        }
    }
}
