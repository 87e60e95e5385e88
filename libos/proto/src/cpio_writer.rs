//! Writing cpio archives (`newc`): the same input always gives the same bytes.

use crate::cpio::{HEADER, TRAILER, clean};
use std::io::{self, Error, ErrorKind, Write};

/// What an entry records about its file besides name and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time.
    pub mtime: u32,
    /// Number of names. If there is more than one, `ino` must be set and the last name carries the data.
    pub nlink: u32,
    /// Inode number; `None` takes the next free one.
    pub ino: Option<u32>,
    /// Device number of a node: major, minor.
    pub rdev: (u32, u32),
}

impl Default for Meta {
    fn default() -> Self {
        Self { mode: 0, uid: 0, gid: 0, mtime: 0, nlink: 1, ino: None, rdev: (0, 0) }
    }
}

/// Writes an archive entry by entry. Directories must come before what is in them.
pub struct Writer<W: Write> {
    out: W,
    next_ino: u32,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        // Numbers that callers give to hard links stay below this; 0 is avoided because some readers take it for
        // "none".
        Self { out, next_ino: 0x4000_0000 }
    }

    /// Adds a file. An unsafe name, or data of 4 GiB or more, is `InvalidInput`.
    pub fn entry(&mut self, name: &[u8], meta: &Meta, data: &[u8]) -> io::Result<()> {
        let clean = clean(name).filter(|name| *name != TRAILER);
        let name = clean.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "unsafe name for an archive"))?;
        self.raw(if name.is_empty() { b"." } else { name }, meta, data)
    }

    fn raw(&mut self, name: &[u8], meta: &Meta, data: &[u8]) -> io::Result<()> {
        let size = u32::try_from(data.len())
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "a file of 4 GiB or more does not fit a cpio archive"))?;
        let ino = meta.ino.unwrap_or(self.next_ino);
        if meta.ino.is_none() {
            self.next_ino += 1;
        }
        let fields = [
            ino,
            meta.mode,
            meta.uid,
            meta.gid,
            meta.nlink,
            meta.mtime,
            size,
            0,
            0,
            meta.rdev.0,
            meta.rdev.1,
            name.len() as u32 + 1,
            0,
        ];
        let mut head = Vec::with_capacity(HEADER + name.len() + 4);
        head.extend_from_slice(b"070701");
        for field in fields {
            write!(head, "{field:08x}")?;
        }
        head.extend_from_slice(name);
        head.push(0);
        head.resize(head.len().next_multiple_of(4), 0);
        self.out.write_all(&head)?;
        self.out.write_all(data)?;
        self.out.write_all(&[0; 3][..data.len().next_multiple_of(4) - data.len()])
    }

    /// Ends the archive and returns what it was written to.
    pub fn finish(mut self) -> io::Result<W> {
        self.raw(TRAILER, &Meta { ino: Some(0), ..Meta::default() }, b"")?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpio::entries;
    use libos_abi::constants::mode::{S_IFCHR, S_IFREG};

    #[test]
    fn round_trip_and_determinism() {
        let write = || {
            let mut writer = Writer::new(Vec::new());
            let node = Meta { mode: S_IFCHR | 0o666, rdev: (1, 3), ..Meta::default() };
            writer.entry(b"dev/null", &node, b"").unwrap();
            let link = Meta { mode: S_IFREG | 0o600, nlink: 2, ino: Some(7), uid: 5, gid: 6, mtime: 8, rdev: (0, 0) };
            writer.entry(b"one", &link, b"").unwrap();
            writer.entry(b"/two", &link, b"x").unwrap();
            assert!(writer.entry(b"../up", &link, b"x").is_err());
            assert!(writer.entry(b"TRAILER!!!", &link, b"x").is_err());
            writer.finish().unwrap()
        };
        let bytes = write();
        assert_eq!(bytes, write());
        assert_eq!(bytes.len() % 4, 0);
        let all: Vec<_> = entries(&bytes).map(Result::unwrap).collect();
        assert_eq!(all.len(), 3);
        assert_eq!((all[0].rdev, all[0].mode), ((1, 3), S_IFCHR | 0o666));
        assert_eq!((all[1].ino, all[1].nlink, all[2].ino, all[2].data), (7, 2, 7, &b"x"[..]));
        assert_eq!((all[2].uid, all[2].gid, all[2].mtime, all[2].name), (5, 6, 8, &b"two"[..]));
    }
}
