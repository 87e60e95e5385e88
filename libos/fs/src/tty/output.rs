//! Output processing (OPOST), echo, and output that the stream has not taken yet.

use alloc::collections::VecDeque;
use libos_base::abi::{InputModes, LocalModes, OutputModes, Termios};

/// Echo is discarded when this much is already pending: the terminal is not taking it.
const ECHO_LIMIT: usize = 4096;

/// Whether this byte continues a UTF-8 character.
pub fn continues(t: &Termios, byte: u8) -> bool {
    t.input(InputModes::IUTF8) && byte & 0xc0 == 0x80
}

/// Bytes on their way to the terminal, and the position of its cursor.
#[derive(Default)]
pub struct Output {
    pub pending: VecDeque<u8>,
    column: usize,
    /// Where the line being typed begins.
    line_column: usize,
}

impl Output {
    /// Adds a byte unchanged. Without memory it is lost: there is nobody to report it to.
    fn raw(&mut self, byte: u8) {
        if self.pending.try_reserve(1).is_ok() {
            self.pending.push_back(byte);
        }
    }

    /// Adds a byte written by the program.
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

    /// The line being typed begins here.
    pub fn begin_line(&mut self) {
        self.line_column = self.column;
    }

    /// Echoes a byte as it is, apart from output processing.
    pub fn echo_plain(&mut self, t: &Termios, byte: u8) {
        if self.room() {
            self.put(t, byte);
        }
    }

    /// Echoes a typed byte, with control characters as `^X`.
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

    /// Shows the caret for the character to come after LNEXT.
    pub fn echo_next(&mut self, t: &Termios) {
        self.each(t, b"^\x08");
    }

    fn each(&mut self, t: &Termios, bytes: &[u8]) {
        if self.room() {
            bytes.iter().for_each(|&b| self.put(t, b));
        }
    }

    /// Erases the character before the cursor.
    pub fn rub_out(&mut self, t: &Termios) {
        self.each(t, b"\x08 \x08");
    }

    /// Goes back over a tab. `before`: columns between it and the previous tab or, unless `after_tab`, the beginning of
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
