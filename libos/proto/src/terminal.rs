//! The terminal of the program's streams, as described by the boot parameter [`crate::params::key::TTY`]: `ROWSxCOLS`,
//! then words after commas: `utf8` (characters may be several bytes long), `erase=N` (the byte that the erase key
//! sends) and, last, `apart` (standard error is not on the terminal).

use crate::number;

/// The user's terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Lines; 0: unknown.
    pub rows: u16,
    /// Columns; 0: unknown.
    pub cols: u16,
    /// Its input is UTF-8 (IUTF8).
    pub utf8: bool,
    /// Its erase character.
    pub erase: Option<u8>,
    /// Standard error goes elsewhere.
    pub apart: bool,
}

/// Only rows and columns: every program needs this, so it is small. 0 for anything not understood.
pub fn window(text: &[u8]) -> [u16; 2] {
    let mut sides = [0u16; 2];
    let mut side = 0;
    for &b in text {
        match b {
            b'0'..=b'9' => sides[side] = sides[side].wrapping_mul(10).wrapping_add(u16::from(b - b'0')),
            b'x' if side == 0 => side = 1,
            _ => break,
        }
    }
    sides
}

/// Whether standard error goes elsewhere.
pub fn is_apart(text: &[u8]) -> bool {
    text.ends_with(b",apart")
}

impl Terminal {
    /// Parses the parameter's value. Unknown words are ignored.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text.split(|&b| b == b',');
        let size = words.next()?;
        let mut sides = size.split(|&b| b == b'x').map(|side| u16::try_from(number::decimal(side)?).ok());
        let (Some(Some(rows)), Some(Some(cols)), None) = (sides.next(), sides.next(), sides.next()) else {
            return None;
        };
        let mut t = Self { rows, cols, apart: is_apart(text), ..Self::default() };
        for word in words {
            match word {
                b"utf8" => t.utf8 = true,
                _ => t.erase = word.strip_prefix(b"erase=").and_then(number::decimal).map(|n| n as u8).or(t.erase),
            }
        }
        Some(t)
    }
}

#[cfg(not(unibody_kernel))]
impl std::fmt::Display for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)?;
        if self.utf8 {
            f.write_str(",utf8")?;
        }
        if let Some(erase) = self.erase {
            write!(f, ",erase={erase}")?;
        }
        if self.apart {
            f.write_str(",apart")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let all = Terminal { rows: 24, cols: 80, utf8: true, erase: Some(8), apart: true };
        assert_eq!(all.to_string(), "24x80,utf8,erase=8,apart");
        for t in [all, Terminal::default(), Terminal { rows: 1, cols: 65535, ..Terminal::default() }] {
            assert_eq!(Terminal::parse(t.to_string().as_bytes()), Some(t));
        }
        assert_eq!(Terminal::parse(b"24x80,new=1").unwrap().cols, 80);
        assert_eq!((window(b"24x80,apart"), is_apart(b"24x80,apart")), ([24, 80], true));
        assert_eq!((window(b"x"), window(b"7"), is_apart(b"24x80")), ([0, 0], [7, 0], false));
        for bad in ["", "x", "24", "24x", "24x80x1", "24x99999", "utf8"] {
            assert_eq!(Terminal::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
