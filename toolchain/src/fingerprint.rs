//! Has an input changed? A 64-bit hash over names and contents. It guards against staleness, not against attackers.

use anyhow::{Context, Result};
use std::path::Path;

/// FNV-1a, fed piece by piece. Pieces are framed by their length, so that `("ab", "c")` and `("a", "bc")` differ.
#[derive(Clone)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    /// Adds a piece.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        for &b in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
        }
        self
    }

    /// Adds text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a file or folder: names (relative to it), permissions that matter, contents, in sorted order. `target`
    /// folders and hidden files at any depth are left out when `sources` is set.
    pub fn tree(&mut self, path: &Path, sources: bool) -> Result<&mut Self> {
        let fail = || format!("cannot read {}", path.display());
        let meta = std::fs::symlink_metadata(path).with_context(fail)?;
        if meta.is_dir() {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path).with_context(fail)? {
                names.push(entry.with_context(fail)?.file_name());
            }
            names.sort();
            for name in names {
                let text = name.to_string_lossy();
                if sources && (text.starts_with('.') || text == "target") {
                    continue;
                }
                self.text(&text);
                self.tree(&path.join(&name), sources)?;
            }
        } else if meta.is_symlink() {
            self.text(&std::fs::read_link(path).with_context(fail)?.to_string_lossy());
        } else {
            use std::os::unix::fs::PermissionsExt;
            self.bytes(&[(meta.permissions().mode() >> 6 & 1) as u8]);
            self.bytes(&std::fs::read(path).with_context(fail)?);
        }
        Ok(self)
    }

    /// The hash, as 16 hexadecimal digits.
    pub fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_framed() {
        let a = Fingerprint::default().text("ab").text("c").hex();
        let b = Fingerprint::default().text("a").text("bc").hex();
        assert_ne!(a, b);
    }

    #[test]
    fn a_changed_file_changes_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        let before = Fingerprint::default().tree(dir.path(), true).unwrap().hex();
        std::fs::write(dir.path().join(".hidden"), "x").unwrap();
        assert_eq!(before, Fingerprint::default().tree(dir.path(), true).unwrap().hex());
        std::fs::write(dir.path().join("a"), "2").unwrap();
        assert_ne!(before, Fingerprint::default().tree(dir.path(), true).unwrap().hex());
    }
}
