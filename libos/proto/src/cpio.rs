//! Reading cpio archives in the `newc` format (and its twin with checksums), in place.
//!
//! The layout is that of Linux's Documentation/driver-api/early-userspace/buffer-format.rst: archives may follow each
//! other, with zero bytes between and after them; each ends with an entry named `TRAILER!!!`.

use crate::number;

pub(crate) const TRAILER: &[u8] = b"TRAILER!!!";
pub(crate) const HEADER: usize = 110;

/// One file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path from the root, without a leading `/` or `./`; empty for the root itself. Its components are never empty,
    /// `.` or `..`, and contain no NUL.
    pub name: &'a [u8],
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: u32,
    /// Number of names in this archive. Entries with the same `ino` and `dev` and more than one name are hard links;
    /// only one of them (usually the last) carries the data.
    pub nlink: u32,
    /// Inode number, unique together with `dev` inside one archive.
    pub ino: u32,
    /// Device that the inode number belongs to: major, minor.
    pub dev: (u32, u32),
    /// For device nodes: major, minor.
    pub rdev: (u32, u32),
    /// Content of a file, target of a symbolic link.
    pub data: &'a [u8],
    /// Number of the archive in a concatenation, from 0: hard links do not extend across archives.
    pub archive: u32,
}

/// Why an archive cannot be read; the number is an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Neither an entry nor padding begins here.
    Magic(usize),
    /// The entry here has a header field that is not a number.
    Number(usize),
    /// The entry here has an empty, unterminated or unsafe name.
    Name(usize),
    /// The entry here extends beyond the end.
    Truncated(usize),
}

/// Iterates over all entries. After an error the iteration ends.
pub fn entries(archive: &[u8]) -> Entries<'_> {
    Entries { bytes: archive, at: 0, archive: 0 }
}

/// See [`entries`].
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    archive: u32,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at + self.bytes.get(self.at..)?.iter().position(|&b| b != 0)?;
            match self.entry(start) {
                Ok((entry, _)) if entry.name == TRAILER => self.archive += 1,
                other => return Some(other.map(|(entry, _)| entry).inspect_err(|_| self.at = self.bytes.len())),
            }
        }
    }
}

impl<'a> Entries<'a> {
    /// Reads the entry at `start`; returns it and the offset after it.
    fn entry(&mut self, start: usize) -> Result<(Entry<'a>, usize), Error> {
        let header = self.bytes.get(start..start + HEADER).ok_or_else(|| {
            // A stray byte near the end is not a truncated entry.
            if self.bytes[start..].starts_with(b"07070") { Error::Truncated(start) } else { Error::Magic(start) }
        })?;
        if !matches!(&header[..6], b"070701" | b"070702") {
            return Err(Error::Magic(start));
        }
        let field = |index: usize| {
            let value = number::digits(&header[6 + 8 * index..14 + 8 * index], 16).ok_or(Error::Number(start))?;
            // Eight hexadecimal digits always fit.
            Ok(value as u32)
        };
        let (size, name_size) = (field(6)? as usize, field(11)? as usize);
        let name_at = start + HEADER;
        let name = self.bytes.get(name_at..name_at + name_size).ok_or(Error::Truncated(start))?;
        // Header and name together are padded to a multiple of four bytes, counted from the start of the entry.
        let data_at = start + (HEADER + name_size).next_multiple_of(4);
        let data_end = data_at + size;
        let data = self.bytes.get(data_at..data_end).ok_or(Error::Truncated(start))?;
        let name = clean(name.strip_suffix(b"\0").ok_or(Error::Name(start))?).ok_or(Error::Name(start))?;
        self.at = (start + (data_end - start).next_multiple_of(4)).min(self.bytes.len());
        let entry = Entry {
            name,
            ino: field(0)?,
            mode: field(1)?,
            uid: field(2)?,
            gid: field(3)?,
            nlink: field(4)?,
            mtime: field(5)?,
            dev: (field(7)?, field(8)?),
            rdev: (field(9)?, field(10)?),
            data,
            archive: self.archive,
        };
        Ok((entry, self.at))
    }
}

/// A name without the prefix that means "from the root"; `None` if it is not safe to follow.
pub(crate) fn clean(mut name: &[u8]) -> Option<&[u8]> {
    if name.is_empty() {
        return None;
    }
    while let Some(rest) = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")) {
        name = rest;
    }
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if matches!(name, b"" | b".") {
        return Some(b"");
    }
    let safe = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
    name.split(|&b| b == b'/').all(safe).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpio_writer::{Meta, Writer};
    use libos_abi::constants::mode::{S_IFDIR, S_IFLNK, S_IFREG};

    fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (name, mode, data) in files {
            writer.entry(name.as_bytes(), &Meta { mode: *mode, ..Meta::default() }, data).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn concatenation_and_padding() {
        let mut bytes = archive(&[("a", S_IFREG | 0o644, b"one"), ("d", S_IFDIR | 0o755, b"")]);
        bytes.extend([0; 509]);
        bytes.extend(archive(&[("d/l", S_IFLNK | 0o777, b"../a")]));
        bytes.extend([0; 4096]);
        let all: Vec<_> = entries(&bytes).map(Result::unwrap).collect();
        let names: Vec<_> = all.iter().map(|e| (e.name, e.data, e.archive)).collect();
        assert_eq!(names, [(&b"a"[..], &b"one"[..], 0), (b"d", b"", 0), (b"d/l", b"../a", 1)]);
        assert_eq!(all[0].mode, S_IFREG | 0o644);
        assert_eq!(entries(&[]).count(), 0);
        assert_eq!(entries(&[0; 64]).count(), 0);
    }

    #[test]
    fn names() {
        assert_eq!(clean(b"./etc/x"), Some(&b"etc/x"[..]));
        assert_eq!(clean(b"/etc"), Some(&b"etc"[..]));
        assert_eq!(clean(b"."), Some(&b""[..]));
        assert_eq!(clean(b"./"), Some(&b""[..]));
        assert_eq!(clean(b"dir/"), Some(&b"dir"[..]));
        for bad in [&b""[..], b"..", b"a/../b", b"a//b", b"a/./b", b"a\0b", b"../x"] {
            assert_eq!(clean(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn damage_is_an_error_and_ends() {
        let good = archive(&[("file", S_IFREG | 0o644, b"data data data")]);
        // 116 bytes of header and name, 14 of data; the padding after them may be missing.
        for cut in 1..130 {
            let mut all = entries(&good[..cut]);
            assert!(matches!(all.next(), Some(Err(_))), "cut at {cut}");
            assert!(all.next().is_none());
        }
        let mut bad = good.clone();
        bad[0] = b'1';
        assert_eq!(entries(&bad).next(), Some(Err(Error::Magic(0))));
        let mut bad = good.clone();
        bad[20] = b'x';
        assert_eq!(entries(&bad).next(), Some(Err(Error::Number(0))));
        // Sizes must not overflow an offset.
        let mut bad = good;
        bad[54..62].copy_from_slice(b"ffffffff");
        assert_eq!(entries(&bad).next(), Some(Err(Error::Truncated(0))));
    }
}
