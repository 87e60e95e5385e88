//! Carrying bytes between the VM's streams and ours, unchanged and complete.

use super::event::Event;
use super::log::Log;
use super::symbols::Annotator;
use super::terminal::{self, Keys, in_foreground};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use unibody_proto::control::FromHost;

/// Where a stream ends up.
pub enum Sink {
    /// One of our own descriptors, written without buffering.
    Fd(File),
    /// Standard error, for whole lines: the terminal may be raw.
    Lines(File),
    /// The log of a detached VM.
    Log(Arc<Log>),
    /// Another sink, after symbol names were added to the kernel's log lines.
    Annotated(Annotator, Box<Sink>),
}

impl Sink {
    /// A sink on standard output or standard error.
    pub fn descriptor(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self::Fd(File::from(fd.as_fd().try_clone_to_owned()?)))
    }

    /// A sink for lines on standard error.
    pub fn lines() -> io::Result<Self> {
        Ok(Self::Lines(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Fd(file) => write_all(file, bytes),
            Self::Lines(file) => write_all(file, &terminal::lines(bytes)),
            Self::Log(log) => {
                log.write(bytes);
                Ok(())
            }
            Self::Annotated(annotator, inner) => inner.write(&annotator.feed(bytes)),
        }
    }

    /// The stream is over: writes whatever was held back.
    fn finish(&mut self) {
        if let Self::Annotated(annotator, inner) = self {
            let rest = annotator.finish();
            // Whether the reader is gone no longer matters.
            let _ = inner.write(&rest);
        }
    }
}

/// Writes everything, even to a descriptor that another process made non-blocking.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wait(file.as_fd(), PollFlags::POLLOUT, PollTimeout::NONE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until a descriptor is ready; returns whether it is.
pub fn wait(fd: BorrowedFd, what: PollFlags, timeout: PollTimeout) -> bool {
    poll(&mut [PollFd::new(fd, what)], timeout).is_ok_and(|ready| ready > 0)
}

/// Why nothing can be written to a descriptor, if that is known beforehand: it is a pipe without a reader, or even an
/// empty write fails (/dev/full).
pub fn unwritable(fd: BorrowedFd) -> Option<u8> {
    if reader_gone(fd) {
        return Some(Errno::EPIPE as u8);
    }
    nix::unistd::write(fd, b"").err().filter(|error| *error != Errno::EAGAIN).map(|error| error as u8)
}

fn reader_gone(fd: BorrowedFd) -> bool {
    let mut one = [PollFd::new(fd, PollFlags::empty())];
    poll(&mut one, PollTimeout::ZERO).is_ok() && says(&one[0], PollFlags::POLLERR)
}

fn says(fd: &PollFd, what: PollFlags) -> bool {
    fd.revents().is_some_and(|events| events.contains(what))
}

/// Waits until the VM has written something; false: the reader of `to` went away first.
fn wait_for_output(from: &UnixStream, to: Option<&File>) -> bool {
    let Some(to) = to else { return true };
    let mut both = [PollFd::new(from.as_fd(), PollFlags::POLLIN), PollFd::new(to.as_fd(), PollFlags::empty())];
    // If a signal interrupted this, the read will wait.
    poll(&mut both, PollTimeout::NONE).is_err() || !says(&both[1], PollFlags::POLLERR)
}

/// Copies a stream of the VM to a sink until the VM closes it. When the sink fails, `failed` is called once with the
/// reason (an errno) and the rest is discarded, so that the program does not block on it.
pub fn outward(mut from: UnixStream, mut sink: Sink, failed: impl FnOnce(u8) + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut failed = Some(failed);
        let mut fail = |errno: i32| {
            if let Some(failed) = failed.take() {
                failed(u8::try_from(errno).unwrap_or(Errno::EIO as u8));
            }
        };
        let mut broken = false;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let to = if let Sink::Fd(file) = &sink { Some(file) } else { None };
            if !broken && !wait_for_output(&from, to) {
                broken = true;
                fail(Errno::EPIPE as i32);
            }
            match from.read(&mut buffer) {
                Ok(0) => return sink.finish(),
                Ok(count) if !broken => {
                    if let Err(error) = sink.write(&buffer[..count]) {
                        broken = true;
                        fail(error.raw_os_error().unwrap_or(Errno::EIO as i32));
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The VMM was killed while bytes that we sent were unread.
                Err(_) => return,
            }
        }
    })
}

/// Copies our standard input to the program and tells it where the input ends. Never joined: a read may block forever.
/// `keys`: the input is the program's terminal, and keys that matter to us, too, are reported here.
pub fn inward(mut to: UnixStream, control: Control, keys: Option<Sender<Event>>) {
    std::thread::spawn(move || {
        let stdin = io::stdin();
        let terminal = stdin.is_terminal();
        let Ok(mut file) = stdin.as_fd().try_clone_to_owned().map(File::from) else {
            return control.send(FromHost::StdinEnd(0));
        };
        let mut sent = 0;
        let mut buffer = vec![0; 64 << 10];
        let mut watch = Keys::default();
        loop {
            // Reading from a terminal in a background job would stop the whole job.
            if terminal && !in_foreground(stdin.as_fd()) {
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            if !wait(file.as_fd(), PollFlags::POLLIN, PollTimeout::from(200u8)) {
                continue;
            }
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count)
                    if keys.as_ref().is_some_and(|keys| {
                        let found = watch.feed(&buffer[..count], Instant::now());
                        found.into_iter().any(|key| keys.send(Event::Key(key)).is_err())
                    }) =>
                {
                    return;
                }
                Ok(count) if to.write_all(&buffer[..count]).is_ok() => sent += count as u64,
                Ok(_) => return,
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
                Err(_) => break,
            }
        }
        control.send(FromHost::StdinEnd(sent));
    });
}

/// The sending half of the control protocol.
#[derive(Clone)]
pub struct Control(Arc<Mutex<UnixStream>>);

impl Control {
    /// Over this stream.
    pub fn new(stream: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Sends a line. A VM that is gone needs no more lines, so failures are ignored.
    pub fn send(&self, message: FromHost) {
        if let Ok(mut stream) = self.0.lock() {
            let _ = stream.write_all(message.encode().as_bytes());
        }
    }
}
