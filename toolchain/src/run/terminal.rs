//! The user's terminal: raw while a VM has it, because the guest's own line discipline then handles line editing, echo
//! and Ctrl-C; and restored afterwards, whatever happens.

use rustix::termios::{InputModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};
use unibody_proto::terminal::Terminal;

/// The terminal's settings before; `None` if there is nothing to restore.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// Whether it is raw now.
static RAW: AtomicBool = AtomicBool::new(false);

/// Whether the user is at a terminal: standard input and standard output are one, and we are in the foreground.
fn present() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && in_foreground(io::stdin())
}

/// Whether this process belongs to the terminal's foreground job.
pub fn in_foreground(terminal: impl AsFd) -> bool {
    nix::unistd::tcgetpgrp(terminal).is_ok_and(|group| group == nix::unistd::getpgrp())
}

/// The description of the user's terminal for the guest, if there is one.
pub fn of_user() -> Option<Terminal> {
    if !present() {
        return None;
    }
    let settings = tcgetattr(io::stdin()).ok()?;
    let (rows, cols) = window().unwrap_or_default();
    let erase = settings.special_codes[SpecialCodeIndex::VERASE];
    Some(Terminal {
        rows,
        cols,
        utf8: settings.input_modes.contains(InputModes::IUTF8),
        // Zero means none.
        erase: (erase != 0x7f && erase != 0).then_some(erase),
        apart: !io::stderr().is_terminal(),
    })
}

/// Rows and columns of the window.
pub fn window() -> Option<(u16, u16)> {
    let size = tcgetwinsize(io::stdin()).ok()?;
    Some((size.ws_row, size.ws_col))
}

/// The terminal belongs to the VM for as long as this lives.
pub struct Seat(());

impl Seat {
    /// Makes the terminal raw.
    pub fn take() -> io::Result<Self> {
        *before() = Some(tcgetattr(io::stdin())?);
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                leave();
                previous(info);
            }));
        });
        enter()?;
        Ok(Self(()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        leave();
        *before() = None;
    }
}

fn before() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the terminal raw, if we took it and are in the foreground.
fn enter() -> io::Result<()> {
    let before = before();
    if let Some(settings) = &*before
        && in_foreground(io::stdin())
    {
        let mut raw = settings.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Drain, &raw)?;
        RAW.store(true, Ordering::SeqCst);
    }
    Ok(())
}

/// Restores the settings. In the background the terminal is another job's, and trying would stop this process.
fn leave() {
    let before = before();
    if let Some(settings) = &*before
        && RAW.swap(false, Ordering::SeqCst)
        && in_foreground(io::stdin())
    {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, settings);
    }
}

/// SIGTSTP: stops this process, leaving the terminal as the shell expects it. The VM keeps running.
pub fn stop() {
    leave();
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
}

/// SIGCONT: makes the terminal raw again.
pub fn go_on() {
    let _ = enter();
}

/// Our lines for standard error, with the carriage returns that a raw terminal needs.
pub fn lines(text: &[u8]) -> Cow<'_, [u8]> {
    if !RAW.load(Ordering::SeqCst) || !io::stderr().is_terminal() {
        return Cow::Borrowed(text);
    }
    let mut all = Vec::with_capacity(text.len() + 8);
    for &byte in text {
        if byte == b'\n' {
            all.push(b'\r');
        }
        all.push(byte);
    }
    Cow::Owned(all)
}

/// Keys that matter to the tool, not only to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-] three times within a second, as in systemd-nspawn: ends the VM.
    Escape,
}

/// Finds keys in the input. All of it still goes to the program.
#[derive(Default)]
pub struct Keys {
    /// When Ctrl-] was last typed, twice.
    times: [Option<Instant>; 2],
}

impl Keys {
    /// Looks at typed bytes.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Vec<Key> {
        let mut found = Vec::new();
        for byte in bytes {
            match byte {
                0x03 => found.push(Key::Interrupt),
                0x1d => {
                    let [first, second] = self.times;
                    if first.is_some_and(|first| now.duration_since(first) <= Duration::from_secs(1)) {
                        found.push(Key::Escape);
                    }
                    self.times = [second, Some(now)];
                }
                // They must be in a row: another key resets the count.
                _ => self.times = [None; 2],
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let mut keys = Keys::default();
        let start = Instant::now();
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        assert_eq!(keys.feed(b"a\x03b", at(0)), [Key::Interrupt]);
        assert_eq!(keys.feed(b"\x1d\x1d", at(0)), []);
        assert_eq!(keys.feed(b"x\x1d", at(1)), []);
        assert_eq!(keys.feed(b"\x1d", at(2)), []);
        // Too late for the first of them, in time for the second.
        assert_eq!(keys.feed(b"\x1d", at(12)), []);
        assert_eq!(keys.feed(b"\x1d", at(12)), [Key::Escape]);
        assert_eq!(Keys::default().feed(b"\x1d\x1d\x1d", at(0)), [Key::Escape]);
    }
}
