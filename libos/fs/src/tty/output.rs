//! Output processing (OPOST), echo, and what the stream has not taken yet.

use alloc::collections::VecDeque;
use libos_base::abi::{InputModes, LocalModes, OutputModes, Termios};

/// Echo is thrown away when this much waits already: the terminal does not take it.
const ECHO_LIMIT: usize = 4096;

/// A byte after the first of a UTF-8 character.
pub fn continues(t: &Termios, byte: u8) -> bool {
    t.input(InputModes::IUTF8) && byte & 0xc0 == 0x80
}

/// Bytes on their way to the terminal, and where its cursor is.
#[derive(Default)]
pub struct Output {
    pub pending: VecDeque<u8>,
    column: usize,
    /// Where the line being typed begins.
    line_column: usize,
}

impl Output {
    /// Adds a byte as it is. Without memory it is lost: nobody could be told.
    fn raw(&mut self, byte: u8) {
        if self.pending.try_reserve(1).is_ok() {
            self.pending.push_back(byte);
        }
    }

    /// A byte that the program writes.
    pub fn put(&mut self, t: &Termios, byte: u8) {
        if !t.output(OutputModes::OPOST) {
            return self.raw(byte);
        }
        let mut byte = byte;
        match byte {
            b'\n' => {
                if t.output(OutputModes::ONLCR) {
                    self.raw(b'\r');
                }
                if t.output(OutputModes::ONLCR | OutputModes::ONLRET) {
                    self.column = 0;
                }
                self.line_column = self.column;
            }
            b'\r' => {
                if t.output(OutputModes::ONOCR) && self.column == 0 {
                    return;
                }
                if t.output(OutputModes::OCRNL) {
                    byte = b'\n';
                    if t.output(OutputModes::ONLRET) {
                        (self.column, self.line_column) = (0, 0);
                    }
                } else {
                    (self.column, self.line_column) = (0, 0);
                }
            }
            b'\t' => {
                let n = 8 - self.column % 8;
                self.column += n;
                if t.oflag & OutputModes::TABDLY.bits() == OutputModes::TABDLY.bits() {
                    return (0..n).for_each(|_| self.raw(b' '));
                }
            }
            8 => self.column = self.column.saturating_sub(1),
            _ if byte.is_ascii_control() => {}
            _ => {
                if t.output(OutputModes::OLCUC) {
                    byte = byte.to_ascii_uppercase();
                }
                if !continues(t, byte) {
                    self.column += 1;
                }
            }
        }
        self.raw(byte);
    }

    fn room(&self) -> bool {
        self.pending.len() < ECHO_LIMIT
    }

    /// A line is being typed from here on.
    pub fn begin_line(&mut self) {
        self.line_column = self.column;
    }

    /// Echoes a byte as it is, but for output processing.
    pub fn echo_plain(&mut self, t: &Termios, byte: u8) {
        if self.room() {
            self.put(t, byte);
        }
    }

    /// Echoes a typed byte: control characters as `^X`.
    pub fn echo(&mut self, t: &Termios, byte: u8) {
        if !self.room() {
            return;
        }
        if t.local(LocalModes::ECHOCTL) && byte.is_ascii_control() && byte != b'\t' {
            self.raw(b'^');
            self.raw(byte ^ 0x40);
            self.column += 2;
        } else {
            self.put(t, byte);
        }
    }

    /// The caret that waits for the character after LNEXT.
    pub fn echo_next(&mut self, t: &Termios) {
        self.each(t, b"^\x08");
    }

    fn each(&mut self, t: &Termios, bytes: &[u8]) {
        if self.room() {
            bytes.iter().for_each(|&b| self.put(t, b));
        }
    }

    /// Removes the character before the cursor.
    pub fn rub_out(&mut self, t: &Termios) {
        self.each(t, b"\x08 \x08");
    }

    /// Goes back over a tab. `before`: columns between it and the tab before it, or, unless `after_tab`, the begin of
    /// the line.
    pub fn rub_out_tab(&mut self, before: usize, after_tab: bool) {
        let at = if after_tab { before } else { before + self.line_column };
        for _ in 0..8 - at % 8 {
            if self.room() {
                self.raw(8);
                self.column = self.column.saturating_sub(1);
            }
        }
    }
}
