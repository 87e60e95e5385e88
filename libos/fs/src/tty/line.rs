//! The input side of the line discipline, byte by byte as Linux's N_TTY works: editing, echo, signals, lines.

use super::output::{Output, continues};
use alloc::collections::VecDeque;
use libos_base::Result;
use libos_base::abi::signal::{SIGINT, SIGQUIT, SIGTSTP};
use libos_base::abi::{InputModes, LocalModes, Termios, cc};

/// How much may be typed ahead (N_TTY_BUF_SIZE).
pub const SIZE: usize = 4096;

/// The last byte of a line.
const END: u16 = 0x100;
/// Stands for EOF: ends a line without being part of it.
const END_OF_FILE: u16 = 0x200;

/// What a received byte requires beyond the line itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    None,
    /// This signal for the program; typed input and pending output were discarded unless NOFLSH.
    Signal(i32),
    /// Output stops.
    Stop,
    /// Output continues.
    Start,
}

/// Typed bytes, read or being edited.
#[derive(Default)]
pub struct Line {
    typed: VecDeque<u16>,
    /// How many of them belong to finished lines (canonical mode).
    finished: usize,
    /// The next byte has no special meaning.
    literal: bool,
    /// Between `\` and `/` of ECHOPRT.
    erasing: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kill {
    Character,
    Word,
    Line,
}

/// Letters, digits and `_`, including the letters of Latin-1, as in Linux's character table.
fn in_words(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0xc0 && byte != 0xd7 && byte != 0xf7
}

impl Line {
    /// Allocates all its memory: nothing is allocated later.
    pub fn new() -> Result<Self> {
        let mut line = Self::default();
        line.typed.try_reserve_exact(SIZE)?;
        Ok(line)
    }

    /// How many bytes may come now. A line that gets too long loses bytes, so that its end can still be typed.
    pub fn room(&self, t: &Termios) -> usize {
        if t.local(LocalModes::ICANON) && self.finished == 0 { SIZE } else { SIZE - 1 - self.typed.len().min(SIZE - 1) }
    }

    /// Bytes that reads would return (FIONREAD).
    pub fn available(&self, t: &Termios) -> usize {
        let n = if t.local(LocalModes::ICANON) { self.finished } else { self.typed.len() };
        self.typed.iter().take(n).filter(|&&e| e & END_OF_FILE == 0).count()
    }

    /// Whether a read has something: a line, or `least` bytes in non-canonical mode.
    pub fn readable(&self, t: &Termios, least: usize) -> bool {
        if t.local(LocalModes::ICANON) { self.finished > 0 } else { self.typed.len() >= least.max(1) }
    }

    /// Moves out bytes of one line, or whatever there is in non-canonical mode.
    pub fn take(&mut self, t: &Termios, buf: &mut [u8]) -> usize {
        let canonical = t.local(LocalModes::ICANON);
        let mut n = 0;
        while let Some(&e) = self.typed.front() {
            let over = e & END_OF_FILE != 0;
            // An end of file right after the last byte that fits is consumed with it.
            if canonical && self.finished == 0 || n == buf.len() && !(canonical && over) {
                break;
            }
            self.typed.pop_front();
            self.finished = self.finished.saturating_sub(1);
            if !over {
                buf[n] = e as u8;
                n += 1;
            }
            if canonical && e & (END | END_OF_FILE) != 0 {
                break;
            }
        }
        n
    }

    /// Discards typed input (TCIFLUSH).
    pub fn flush(&mut self) {
        self.typed.clear();
        (self.finished, self.erasing, self.literal) = (0, false, false);
    }

    /// Settings change: what was typed without lines becomes a line when lines begin to matter.
    pub fn change(&mut self, old: &Termios, new: &Termios) {
        if old.local(LocalModes::ICANON) == new.local(LocalModes::ICANON) {
            return;
        }
        (self.erasing, self.literal) = (false, false);
        self.finished = 0;
        if new.local(LocalModes::ICANON)
            && let Some(last) = self.typed.back_mut()
        {
            *last |= END;
            self.finished = self.typed.len();
        }
    }

    /// Processes a byte from the terminal.
    pub fn receive(&mut self, t: &Termios, out: &mut Output, byte: u8) -> Effect {
        let mut byte = if t.input(InputModes::ISTRIP) { byte & 0x7f } else { byte };
        if t.input(InputModes::IUCLC) && t.local(LocalModes::IEXTEN) {
            byte = byte.to_ascii_lowercase();
        }
        if core::mem::take(&mut self.literal) {
            self.ordinary(t, out, byte, false);
            return Effect::None;
        }
        if t.input(InputModes::IXON) {
            if t.is(cc::START, byte) {
                return Effect::Start;
            }
            if t.is(cc::STOP, byte) {
                return Effect::Stop;
            }
        }
        if t.local(LocalModes::ISIG) {
            for (which, signal) in [(cc::INTR, SIGINT), (cc::QUIT, SIGQUIT), (cc::SUSP, SIGTSTP)] {
                if t.is(which, byte) {
                    return self.signal(t, out, byte, signal);
                }
            }
        }
        let mut made = false;
        match byte {
            b'\r' if t.input(InputModes::IGNCR) => return Effect::None,
            b'\r' if t.input(InputModes::ICRNL) => (byte, made) = (b'\n', true),
            b'\n' if t.input(InputModes::INLCR) => byte = b'\r',
            _ => {}
        }
        if !(t.local(LocalModes::ICANON) && self.edit(t, out, byte)) {
            self.ordinary(t, out, byte, made);
        }
        if t.input(InputModes::IXON) && t.input(InputModes::IXANY) { Effect::Start } else { Effect::None }
    }

    fn signal(&mut self, t: &Termios, out: &mut Output, byte: u8, signal: i32) -> Effect {
        if !t.local(LocalModes::NOFLSH) {
            self.flush();
            out.pending.clear();
        }
        if t.local(LocalModes::ECHO) {
            out.echo(t, byte);
        }
        Effect::Signal(signal)
    }

    /// Handles canonical mode's own characters. Returns whether this was one.
    fn edit(&mut self, t: &Termios, out: &mut Output, byte: u8) -> bool {
        let (echo, extended) = (t.local(LocalModes::ECHO), t.local(LocalModes::IEXTEN));
        if t.is(cc::ERASE, byte) {
            self.erase(t, out, Kill::Character);
        } else if t.is(cc::KILL, byte) {
            self.erase(t, out, Kill::Line);
        } else if t.is(cc::WERASE, byte) && extended {
            self.erase(t, out, Kill::Word);
        } else if t.is(cc::LNEXT, byte) && extended {
            self.literal = true;
            if echo {
                self.finish_erasing(t, out);
                if t.local(LocalModes::ECHOCTL) {
                    out.echo_next(t);
                }
            }
        } else if t.is(cc::REPRINT, byte) && echo && extended {
            self.finish_erasing(t, out);
            out.echo(t, byte);
            out.echo_plain(t, b'\n');
            self.typed.iter().skip(self.finished).for_each(|&e| out.echo(t, e as u8));
        } else if byte == b'\n' {
            if t.local(LocalModes::ECHO | LocalModes::ECHONL) {
                out.echo_plain(t, b'\n');
            }
            self.end_line(t, u16::from(byte) | END);
        } else if t.is(cc::EOF, byte) {
            self.end_line(t, END_OF_FILE);
        } else if t.is(cc::EOL, byte) || t.is(cc::EOL2, byte) && extended {
            if echo {
                if self.typed.len() == self.finished {
                    out.begin_line();
                }
                out.echo(t, byte);
            }
            self.end_line(t, u16::from(byte) | END);
        } else {
            return false;
        }
        true
    }

    /// `plain`: a newline made from a carriage return is not echoed as `^J`.
    fn ordinary(&mut self, t: &Termios, out: &mut Output, byte: u8, plain: bool) {
        if t.local(LocalModes::ECHO) {
            self.finish_erasing(t, out);
            if plain {
                out.echo_plain(t, byte);
            } else {
                if self.typed.len() == self.finished {
                    out.begin_line();
                }
                out.echo(t, byte);
            }
        }
        // PARMRK makes \377 unambiguous.
        if byte == 0xff && t.input(InputModes::PARMRK) {
            self.put(t, byte.into());
        }
        self.put(t, byte.into());
    }

    fn put(&mut self, t: &Termios, entry: u16) {
        if self.typed.len() >= SIZE - 1 {
            if !t.local(LocalModes::ICANON) || self.finished > 0 {
                return;
            }
            self.typed.pop_back();
        }
        self.typed.push_back(entry);
    }

    fn end_line(&mut self, t: &Termios, entry: u16) {
        self.put(t, entry);
        self.finished = self.typed.len();
    }

    fn finish_erasing(&mut self, t: &Termios, out: &mut Output) {
        if core::mem::take(&mut self.erasing) {
            out.echo_plain(t, b'/');
        }
    }

    fn editable(&self) -> bool {
        self.typed.len() > self.finished
    }

    fn erase(&mut self, t: &Termios, out: &mut Output, what: Kill) {
        if !self.editable() {
            return;
        }
        let echo = t.local(LocalModes::ECHO);
        if what == Kill::Line
            && !(echo && t.local(LocalModes::ECHOK) && t.local(LocalModes::ECHOKE) && t.local(LocalModes::ECHOE))
        {
            self.typed.truncate(self.finished);
            if echo {
                self.finish_erasing(t, out);
                out.echo(t, t.cc[cc::KILL]);
                if t.local(LocalModes::ECHOK) {
                    out.echo_plain(t, b'\n');
                }
            }
            return;
        }
        let mut in_word = false;
        while self.editable() {
            // A character of several bytes is erased as a whole.
            let mut at = self.typed.len() - 1;
            while continues(t, self.typed[at] as u8) && at > self.finished {
                at -= 1;
            }
            let byte = self.typed[at] as u8;
            if continues(t, byte) {
                break;
            }
            if what == Kill::Word {
                if in_words(byte) {
                    in_word = true;
                } else if in_word {
                    break;
                }
            }
            if echo {
                self.show_erased(t, out, what, at);
            }
            self.typed.truncate(at);
            if what == Kill::Character {
                break;
            }
        }
        if echo && !self.editable() {
            self.finish_erasing(t, out);
        }
    }

    /// Shows that the character starting at `at` is erased.
    fn show_erased(&mut self, t: &Termios, out: &mut Output, what: Kill, at: usize) {
        let byte = self.typed[at] as u8;
        if t.local(LocalModes::ECHOPRT) {
            if !core::mem::replace(&mut self.erasing, true) {
                out.echo_plain(t, b'\\');
            }
            out.echo(t, byte);
            self.typed.iter().skip(at + 1).for_each(|&e| out.echo_plain(t, e as u8));
        } else if what == Kill::Character && !t.local(LocalModes::ECHOE) {
            out.echo(t, t.cc[cc::ERASE]);
        } else if byte == b'\t' {
            let (mut columns, mut after_tab) = (0, false);
            for e in (self.finished..at).rev().map(|k| self.typed[k] as u8) {
                if e == b'\t' {
                    after_tab = true;
                    break;
                }
                if e.is_ascii_control() {
                    columns += if t.local(LocalModes::ECHOCTL) { 2 } else { 0 };
                } else if !continues(t, e) {
                    columns += 1;
                }
            }
            out.rub_out_tab(columns, after_tab);
        } else {
            let control = byte.is_ascii_control();
            if control && t.local(LocalModes::ECHOCTL) {
                out.rub_out(t);
            }
            if !control || t.local(LocalModes::ECHOCTL) {
                out.rub_out(t);
            }
        }
    }
}
