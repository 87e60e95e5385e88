//! Symbol names for the addresses in the kernel's log. The guest prints `<0xADDR>`, an address in the ELF file (it runs
//! at a random one); the image's symbol table, which stays on the host, says what is there.

use goblin::elf::Elf;
use goblin::elf::sym::STT_FUNC;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;

/// Functions by address.
#[derive(Default)]
pub struct Symbols(Vec<(u64, u64, String)>);

impl Symbols {
    /// Reads an image's symbols. A stripped image has none, nor has a file that is not ELF.
    pub fn read(image: &[u8]) -> Self {
        let Ok(elf) = Elf::parse(image) else { return Self::default() };
        let mut list: Vec<_> = elf
            .syms
            .iter()
            // Assembly routines have no size and often no type; those without a name are useless.
            .filter(|s| s.st_value != 0 && (s.st_type() == STT_FUNC || s.st_type() == 0))
            .filter_map(|s| {
                let name = elf.strtab.get_at(s.st_name).filter(|n| !n.is_empty())?;
                Some((s.st_value, s.st_size, format!("{:#}", rustc_demangle::demangle(name))))
            })
            .collect();
        list.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
        list.dedup_by_key(|s| s.0);
        Self(list)
    }

    #[cfg(test)]
    pub fn of(list: Vec<(u64, u64, String)>) -> Self {
        Self(list)
    }

    /// `name+0x12` for an address inside a function.
    pub fn name(&self, addr: u64) -> Option<String> {
        let at = self.0.partition_point(|s| s.0 <= addr).checked_sub(1)?;
        let (start, size, name) = &self.0[at];
        (*size == 0 || addr <= start + size).then(|| format!("{name}+{:#x}", addr - start))
    }

    /// The line with names added.
    fn annotate<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut out = String::new();
        let mut rest = line;
        while let Some(at) = rest.find("<0x") {
            let Some(end) = rest[at..].find('>').map(|n| at + n) else { break };
            let name = u64::from_str_radix(&rest[at + 3..end], 16).ok().and_then(|addr| self.name(addr));
            out.push_str(&rest[..=end]);
            if let Some(name) = name {
                out.push(' ');
                out.push_str(&name);
            }
            rest = &rest[end + 1..];
        }
        if out.is_empty() { Cow::Borrowed(line) } else { Cow::Owned(out + rest) }
    }
}

/// Takes the log's bytes as they arrive and returns whole lines, with names and without the serial port's carriage
/// returns.
pub struct Annotator {
    /// The image, held open so that it is the one that was started. Read only when the first address appears, if ever.
    image: Option<File>,
    symbols: Symbols,
    partial: Vec<u8>,
}

/// A line longer than this is passed on in pieces.
const LONGEST: usize = 4096;

impl Annotator {
    /// Uses the symbols of this image; without a file nothing is named.
    pub fn new(image: Option<File>) -> Self {
        Self { image, symbols: Symbols::default(), partial: Vec::new() }
    }

    /// Takes `bytes` and returns what can be shown so far.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &b in bytes {
            match b {
                b'\r' => {}
                b'\n' => {
                    self.flush_into(&mut out);
                    out.push(b'\n');
                }
                _ => self.partial.push(b),
            }
            if self.partial.len() >= LONGEST {
                self.flush_into(&mut out);
            }
        }
        out
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.flush_into(&mut out);
        out
    }

    fn flush_into(&mut self, out: &mut Vec<u8>) {
        let line = String::from_utf8_lossy(&self.partial);
        if line.contains("<0x")
            && let Some(mut file) = self.image.take()
        {
            let mut bytes = Vec::new();
            if file.read_to_end(&mut bytes).is_ok() {
                self.symbols = Symbols::read(&bytes);
            }
        }
        out.extend_from_slice(self.symbols.annotate(&line).as_bytes());
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_beside_addresses() {
        let symbols = Symbols(vec![(0x1000, 0x20, "main".into()), (0x2000, 0, "libos_resume".into())]);
        let mut a = Annotator { symbols, ..Annotator::new(None) };
        let mut out = a.feed(b"rip <0x1004> then <0x20");
        out.extend(a.feed(b"10>, <0xffff> <nothing> <0x\r\n  #0 <0x1040>"));
        out.extend(a.finish());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "rip <0x1004> main+0x4 then <0x2010> libos_resume+0x10, <0xffff> libos_resume+0xdfff <nothing> <0x\n  #0 <0x1040>"
        );
    }
}
