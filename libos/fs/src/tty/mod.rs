//! The terminal's line discipline: POSIX's general terminal interface, behaving like Linux's N_TTY.
//!
//! Parts: settings ([`termios`]), input ([`line`]), output ([`output`]), the open description ([`file`]) and its
//! controls ([`ioctl`]). The console's thread calls [`Tty::look`] when bytes arrive: editing, echo and signals happen
//! then, whether or not anybody reads.

pub(crate) mod file;
mod ioctl;
pub mod line;
pub mod output;
pub mod termios;

use crate::console::{self, Stream};
use crate::files::Files;
use crate::util::try_arc;
use alloc::sync::Arc;
use file::TtyFile;
use libos_base::abi::Fd;
use libos_base::abi::signal::SIGWINCH;
use libos_base::abi::{InputModes, Termios, cc};
use libos_base::io::Source;
use libos_base::poll::{Events, Pollee, block_on};
use libos_base::sync::{Mutex, Once, class};
use libos_base::thread::FOREVER;
use libos_base::{Errno, Result};
use line::{Effect, Line};
use output::Output;
use unibody_proto::terminal::Terminal;

struct State {
    settings: Termios,
    speeds: (u32, u32),
    line: Line,
    out: Output,
    /// Output is held back (Ctrl-S, TCOOFF).
    stopped: bool,
    /// Somebody is in the middle of a write: others wait, so that writes stay whole.
    writing: bool,
    /// The stream has ended.
    over: bool,
}

/// The terminal.
pub struct Tty {
    state: Mutex<State>,
    stream: Arc<dyn Stream>,
    /// Notified when there is something to read.
    readable: Pollee,
    /// Sends the program a signal.
    signal: fn(i32),
}

static TTY: Once<Arc<Tty>> = Once::new();

/// Puts the discipline between `stream` and the descriptors that are the terminal.
pub fn install(files: &Files, stream: Arc<dyn Stream>, terminal: &Terminal, signal: fn(i32)) -> Result<()> {
    if TTY.get().is_some() {
        return Ok(());
    }
    let tty = Tty::new(stream, terminal, signal)?;
    let tty = TTY.set(|| tty);
    let opened = files.fds.add(TtyFile::new(tty.clone(), None, libos_base::abi::OpenFlags::RDWR)?, false)?;
    for fd in if terminal.apart { 0..2 } else { 0..3 } {
        files.fds.dup_to(opened, Fd(fd), false)?;
    }
    files.fds.close(opened)?;
    console::DISCIPLINE.provide(&console::Discipline {
        look: || TTY.get().is_none_or(|t| t.look()),
        open: |path, flags| {
            let tty = TTY.get().ok_or(Errno::ENXIO)?;
            Ok(TtyFile::new(tty.clone(), Some(path), flags)?)
        },
    });
    Ok(())
}

impl Tty {
    /// A terminal with the settings of a new one.
    pub fn new(stream: Arc<dyn Stream>, terminal: &Terminal, signal: fn(i32)) -> Result<Arc<Self>> {
        let mut settings = termios::NEW;
        if terminal.utf8 {
            settings.iflag |= InputModes::IUTF8.bits();
        }
        if let Some(erase) = terminal.erase {
            settings.cc[cc::ERASE] = erase;
        }
        let state = State {
            settings,
            speeds: (settings.speed(), settings.speed()),
            line: Line::new()?,
            out: Output::default(),
            stopped: false,
            writing: false,
            over: false,
        };
        try_arc(Self { state: Mutex::new(class::TERMINAL, state), stream, readable: Pollee::new(), signal })
    }

    /// Takes what arrived, and hands over what was waiting for room. Returns whether nothing is waiting any more.
    pub fn look(&self) -> bool {
        let mut s = self.state.lock();
        // Standard signals: whether one came twice does not matter.
        let mut signals = 0u32;
        while !s.over {
            let mut buf = [0; 64];
            let room = s.line.room(&s.settings).min(buf.len());
            if room == 0 {
                break;
            }
            match self.stream.read(&mut buf[..room]) {
                Ok(0) => s.over = true,
                Ok(n) => buf[..n].iter().filter_map(|&b| s.receive(b)).for_each(|signal| signals |= 1 << signal),
                Err(_) => break,
            }
        }
        self.flush(&mut s);
        let done = s.out.pending.is_empty();
        drop(s);
        while signals != 0 {
            (self.signal)(signals.trailing_zeros() as i32);
            signals &= signals - 1;
        }
        self.readable.notify(Events::IN | Events::RDNORM);
        if done {
            self.stream.pollee().notify(Events::OUT | Events::WRNORM);
        }
        done
    }

    /// Hands pending output to the stream, as much as it takes.
    fn flush(&self, s: &mut State) {
        if s.stopped {
            return;
        }
        while let (bytes @ [_, ..], _) = s.out.pending.as_slices() {
            match self.stream.write(bytes) {
                Ok(n) => drop(s.out.pending.drain(..n)),
                Err(Errno::EAGAIN) => return,
                // Nobody will ever see it.
                Err(_) => s.out.pending.clear(),
            }
        }
    }

    /// Waits until output is handed over and nobody is writing, then runs `act` under the lock.
    fn with_output<T>(&self, nonblock: bool, mut act: impl FnMut(&mut State) -> T) -> Result<T> {
        block_on(self.stream.pollee(), nonblock, FOREVER, Errno::EAGAIN, || {
            let mut s = self.state.lock();
            self.flush(&mut s);
            (!s.stopped && !s.writing && s.out.pending.is_empty()).then(|| Ok(act(&mut s)))
        })
    }

    fn write(&self, src: &mut Source<'_>, nonblock: bool) -> Result<usize> {
        let start = src.done();
        if src.left() == 0 {
            return Ok(0);
        }
        self.with_output(nonblock, |s| s.writing = true)?;
        let result = self.write_claimed(src, nonblock);
        self.state.lock().writing = false;
        self.stream.pollee().notify(Events::OUT | Events::WRNORM);
        match result {
            Err(e) if src.done() == start => Err(e),
            _ => Ok(src.done() - start),
        }
    }

    fn write_claimed(&self, src: &mut Source<'_>, nonblock: bool) -> Result<()> {
        while src.left() > 0 {
            // A tab may become eight blanks, so the size of a piece is bounded.
            let mut piece = [0; 512];
            let n = src.take(&mut piece)?;
            let mut s = self.state.lock();
            let State { out, settings, .. } = &mut *s;
            out.pending.try_reserve(8 * n)?;
            piece[..n].iter().for_each(|&b| out.put(settings, b));
            self.flush(&mut s);
            drop(s);
            let handed_over = block_on(self.stream.pollee(), nonblock, FOREVER, Errno::EAGAIN, || {
                let mut s = self.state.lock();
                self.flush(&mut s);
                s.out.pending.is_empty().then_some(Ok(()))
            });
            // The piece itself is on its way.
            if handed_over.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Stops output or lets it continue.
    fn set_stopped(&self, stopped: bool) {
        let mut s = self.state.lock();
        s.stopped = stopped;
        self.flush(&mut s);
        drop(s);
        self.stream.pollee().notify(Events::OUT | Events::WRNORM);
    }
}

impl State {
    /// Processes a byte from the terminal; returns the signal that it means.
    fn receive(&mut self, byte: u8) -> Option<i32> {
        match self.line.receive(&self.settings, &mut self.out, byte) {
            Effect::None => {}
            Effect::Signal(n) => {
                self.stopped = false;
                return Some(n);
            }
            Effect::Stop => self.stopped = true,
            Effect::Start => self.stopped = false,
        }
        None
    }
}
