//! The program's streams: descriptors 0, 1, 2 and `/dev/console`.
//!
//! Towards the program they look like what a container gives it without `-t`: pipes. `isatty` is false, so that
//! stdout is fully buffered exactly as there; a terminal with line discipline can come behind the same trait.

use crate::process::Process;
use crate::util::try_arc;
use alloc::string::String;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use libos_base::abi::{OpenFlags, Stat, mode};
use libos_base::file::FileLike;
use libos_base::io::{Sink, Source};
use libos_base::poll::{Events, Pollee, Watcher, block_on};
use libos_base::sync::Once;
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};

/// A byte stream to or from the host.
pub trait Stream: Send + Sync {
    /// Takes bytes that came; `Ok(0)` at the end of the stream, EAGAIN when there is nothing yet.
    fn read(&self, buf: &mut [u8]) -> Result<usize>;
    /// Sends bytes; how many were taken. EAGAIN when there is no room, EPIPE when nobody will ever read.
    fn write(&self, buf: &[u8]) -> Result<usize>;
    /// IN when `read` would not say EAGAIN, OUT when `write` would not, HUP at the end.
    fn ready(&self) -> Events;
    /// Notified when `ready` grows.
    fn pollee(&self) -> &Pollee;
}

static CONSOLE: Once<Arc<dyn Stream>> = Once::new();

/// FIONREAD is not known for streams; these are the ioctls that every file has (see the syscall layer).
pub struct ConsoleFile {
    stream: Arc<dyn Stream>,
    flags: AtomicU32,
    number: u64,
}

const CHANGEABLE: u32 = OpenFlags::APPEND.bits() | OpenFlags::NONBLOCK.bits() | OpenFlags::ASYNC.bits();

impl ConsoleFile {
    /// A description of `stream`.
    pub fn new(stream: Arc<dyn Stream>, flags: OpenFlags, number: u64) -> Result<Arc<Self>> {
        try_arc(Self { stream, flags: AtomicU32::new(flags.bits()), number })
    }
    /// The same stream, opened again through `/dev/stdout` or `/proc/self/fd/1`.
    pub fn reopen(&self, flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
        Ok(Self::new(self.stream.clone(), flags, self.number)?)
    }
}

/// Gives the process its descriptors 0, 1 and 2, and `/dev/console` its stream (`errors`).
pub fn attach(
    process: &Process,
    input: Arc<dyn Stream>,
    output: Arc<dyn Stream>,
    errors: Arc<dyn Stream>,
) -> Result<()> {
    CONSOLE.set(|| errors.clone());
    process.fds.add(ConsoleFile::new(input, OpenFlags::empty(), 1)?, false)?;
    process.fds.add(ConsoleFile::new(output, OpenFlags::WRONLY, 2)?, false)?;
    process.fds.add(ConsoleFile::new(errors, OpenFlags::WRONLY, 3)?, false)?;
    Ok(())
}

/// `/dev/console`.
pub fn open_console(flags: OpenFlags) -> Result<Arc<dyn FileLike>> {
    let stream = CONSOLE.get().ok_or(Errno::ENODEV)?.clone();
    Ok(ConsoleFile::new(stream, flags, 3)?)
}

impl FileLike for ConsoleFile {
    fn read(&self, dst: &mut Sink<'_>) -> Result<usize> {
        let mut buf = [0; 1024];
        let want = dst.left().min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let nonblock = self.flags().contains(OpenFlags::NONBLOCK);
        let n = block_on(self.stream.pollee(), nonblock, FOREVER, Errno::EAGAIN, || {
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
                let nonblock = self.flags().contains(OpenFlags::NONBLOCK);
                match block_on(self.stream.pollee(), nonblock, FOREVER, Errno::EAGAIN, || {
                    Some(self.stream.write(&buf[sent..n])).filter(|r| *r != Err(Errno::EAGAIN))
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
    fn poll(&self, watcher: Option<&Arc<dyn Watcher>>) -> Events {
        if let Some(w) = watcher {
            self.stream.pollee().add(w);
        }
        let mut mask = Events::ERR | Events::HUP;
        if self.flags().readable() {
            mask |= Events::IN | Events::RDNORM;
        }
        if self.flags().writable() {
            mask |= Events::OUT | Events::WRNORM;
        }
        let mut ready = self.stream.ready();
        if ready.contains(Events::IN) {
            ready |= Events::RDNORM;
        }
        if ready.contains(Events::OUT) {
            ready |= Events::WRNORM;
        }
        ready & mask
    }
    fn unwatch(&self, watcher: &Arc<dyn Watcher>) {
        self.stream.pollee().remove(watcher);
    }
    fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_retain(self.flags.load(Ordering::Relaxed))
    }
    fn set_flags(&self, flags: OpenFlags) -> Result<()> {
        let kept = self.flags.load(Ordering::Relaxed) & !CHANGEABLE;
        self.flags.store(kept | flags.bits() & CHANGEABLE, Ordering::Relaxed);
        Ok(())
    }
    fn stat(&self) -> Result<Stat> {
        Ok(Stat { dev: 0xc, ino: self.number, nlink: 1, mode: mode::S_IFIFO | 0o600, blksize: 4096, ..Stat::default() })
    }
    fn describe(&self) -> String {
        crate::util::Text::new().s("pipe:[").n(self.number).s("]").string()
    }
}
