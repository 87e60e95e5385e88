//! The ELF note by which an image says that it is one of ours and how much memory it needs.

/// Section that holds the note.
pub const SECTION: &str = ".note.unibody";
/// Owner name in the note, without its NUL.
pub const OWNER: &[u8] = b"unibody";
/// Note type.
pub const TYPE: u32 = 1;
/// Version of the descriptor that this crate knows.
pub const VERSION: u32 = 1;
/// Flag: disks can be mounted.
pub const DISK: u32 = 1;
/// Flag: folders of the host can be mounted.
pub const SHARE: u32 = 2;
/// Flag: it opens sockets.
pub const SOCKETS: u32 = 4;
/// Length of the descriptor.
pub const LEN: usize = 16;

/// The note's descriptor: `u32 version, u32 flags, u64 min_memory_bytes`, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Layout version; a newer one may append fields.
    pub version: u32,
    /// [`DISK`], [`SHARE`]: the parts of the kernel that are linked.
    pub flags: u32,
    /// Memory below which the image does not start.
    pub min_memory: u64,
}

impl Note {
    /// Reads a descriptor.
    pub fn parse(desc: &[u8]) -> Option<Self> {
        let desc: &[u8; LEN] = desc.get(..LEN)?.try_into().ok()?;
        let [v0, v1, v2, v3, f0, f1, f2, f3, memory @ ..] = *desc;
        Some(Self {
            version: u32::from_le_bytes([v0, v1, v2, v3]),
            flags: u32::from_le_bytes([f0, f1, f2, f3]),
            min_memory: u64::from_le_bytes(memory),
        })
    }

    /// The descriptor's bytes.
    pub fn encode(self) -> [u8; LEN] {
        let mut desc = [0; LEN];
        desc[..4].copy_from_slice(&self.version.to_le_bytes());
        desc[4..8].copy_from_slice(&self.flags.to_le_bytes());
        desc[8..].copy_from_slice(&self.min_memory.to_le_bytes());
        desc
    }
}

/// Finds the descriptor of a note in the bytes of a PT_NOTE segment or SHT_NOTE section (4-byte aligned notes, gABI).
pub fn find<'a>(mut notes: &'a [u8], owner: &[u8], kind: u32) -> Option<&'a [u8]> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    loop {
        let (name_len, desc_len) = (word(notes, 0)? as usize, word(notes, 4)? as usize);
        let desc_at = 12usize.checked_add(name_len.checked_next_multiple_of(4)?)?;
        let desc_end = desc_at.checked_add(desc_len)?;
        let name = notes.get(12..12usize.checked_add(name_len)?)?;
        let desc = notes.get(desc_at..desc_end)?;
        if word(notes, 8)? == kind && name.strip_suffix(b"\0").unwrap_or(name) == owner {
            return Some(desc);
        }
        notes = notes.get(desc_end.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [name.len() as u32, desc.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        for part in [name, desc] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn found_among_others() {
        let ours = Note { version: 1, flags: 0, min_memory: 5 << 20 };
        let mut notes = raw(b"Xen\0", 18, &[1, 2, 3, 4]);
        notes.extend(raw(b"GNU\0", 1, &[9; 5]));
        notes.extend(raw(b"unibody\0", TYPE, &ours.encode()));
        assert_eq!(find(&notes, OWNER, TYPE).and_then(Note::parse), Some(ours));
        assert_eq!(find(&notes, b"Xen", 18), Some(&[1, 2, 3, 4][..]));
        assert_eq!(find(&notes, OWNER, 2), None);
        for cut in 0..notes.len() {
            let _ = find(&notes[..cut], OWNER, TYPE);
        }
        assert_eq!(find(&[0xff; 64], OWNER, TYPE), None);
        assert_eq!(Note::parse(&[1; 15]), None);
    }
}
