//! `getdents64`: directory entries as programs read them (struct linux_dirent64).

use crate::inode::DirEntry;
use crate::openfile::OpenFile;
use alloc::vec::Vec;
use libos_base::abi::mode::S_IFDIR;
use libos_base::{Errno, Result};

/// Offset of the name in a record.
const NAME: usize = 19;
/// The most that one call returns, so that the kernel's copy stays small.
const MAX: usize = 32768;

struct Records {
    out: Vec<u8>,
    room: usize,
}

impl Records {
    /// Adds an entry; false if there is no room.
    fn add(&mut self, e: &DirEntry<'_>) -> bool {
        let len = (NAME + e.name.len() + 1).next_multiple_of(8);
        if self.out.len() + len > self.room || self.out.try_reserve(len).is_err() {
            return false;
        }
        let start = self.out.len();
        self.out.extend_from_slice(&e.ino.to_ne_bytes());
        self.out.extend_from_slice(&e.next.to_ne_bytes());
        self.out.extend_from_slice(&(len as u16).to_ne_bytes());
        // DT_* are the type bits of the mode, shifted.
        self.out.push((e.kind >> 12) as u8);
        self.out.extend_from_slice(e.name);
        self.out.resize(start + len, 0);
        true
    }
}

/// Of records of which `given` bytes arrived: the length of those that arrived as a whole, and the position after them.
#[cold]
fn arrived(records: &[u8], given: usize) -> Option<(usize, u64)> {
    let (mut whole, mut next) = (0, None);
    while let Some(&[_, _, _, _, _, _, _, _, ref d_off @ .., low, high]) = records.get(whole..whole + 18) {
        let end = whole + usize::from(u16::from_ne_bytes([low, high]));
        if end > given {
            break;
        }
        (whole, next) = (end, d_off.try_into().ok().map(u64::from_ne_bytes));
    }
    next.map(|next| (whole, next))
}

impl OpenFile {
    /// Passes the next records, at most `room` bytes, to `give`, which says how many bytes arrived; moves the position
    /// behind those that did as a whole and returns their length. 0 at the end. EINVAL: not even one fits.
    pub fn read_dir(&self, room: usize, give: &mut dyn FnMut(&[u8]) -> usize) -> Result<usize> {
        let dir = &self.path.dentry;
        if !dir.inode.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        if dir.removed() {
            return Err(Errno::ENOENT);
        }
        let mut pos = self.position().lock();
        let begin = *pos;
        let mut r = Records { out: Vec::new(), room: room.min(MAX) };
        let mut full = false;
        for (at, name) in [(0, &b"."[..]), (1, b"..")] {
            if *pos == at && !full {
                let of = if at == 0 { dir.clone() } else { dir.parent().unwrap_or_else(|| dir.clone()) };
                let e = DirEntry { name, ino: of.inode.stat()?.ino, kind: S_IFDIR, next: at + 1 };
                full = !r.add(&e);
                if !full {
                    *pos = at + 1;
                }
            }
        }
        if !full {
            let mut next = *pos;
            dir.readdir(next, &mut |e| {
                full = !r.add(&e);
                if !full {
                    next = e.next;
                }
                !full
            })?;
            *pos = next;
        }
        let given = if r.out.is_empty() { 0 } else { give(&r.out) };
        let mut whole = r.out.len();
        if given < whole {
            (whole, *pos) = arrived(&r.out, given).unwrap_or((0, begin));
        }
        drop(pos);
        crate::notify::at(dir, libos_base::abi::InotifyMask::ACCESS);
        match whole {
            0 if r.out.is_empty() && full => Err(Errno::EINVAL),
            0 if !r.out.is_empty() => Err(Errno::EFAULT),
            n => Ok(n),
        }
    }
}
