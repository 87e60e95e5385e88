//! The ELF note by which an image identifies itself as one of ours and says how much memory it needs.

/// Section that holds the note.
pub const SECTION: &str = ".note.unibody";
/// Owner name in the note, without its NUL.
pub const OWNER: &[u8] = b"unibody";
/// Note type.
pub const TYPE: u32 = 1;
/// The version of the descriptor that this crate supports.
pub const VERSION: u32 = 2;
/// Component: disks can be mounted.
pub const DISK: &str = "disk";
/// Component: folders of the host can be mounted.
pub const SHARE: &str = "share";
/// Component: sockets can be opened.
pub const NET: &str = "net";
/// Length of the descriptor before the names.
pub const LEN: usize = 16;

/// The note's descriptor: `u32 version, u32 zero, u64 min_memory_bytes`, little-endian, and the names of the linked
/// components, each followed by a zero byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Layout version.
    pub version: u32,
    /// The image does not start with less memory than this.
    pub min_memory: u64,
    names: &'a [u8],
}

impl<'a> Note<'a> {
    /// Reads a descriptor.
    pub fn parse(desc: &'a [u8]) -> Option<Self> {
        let (&[v0, v1, v2, v3, _, _, _, _, ref memory @ ..], names) = desc.split_first_chunk::<LEN>()?;
        Some(Self { version: u32::from_le_bytes([v0, v1, v2, v3]), min_memory: u64::from_le_bytes(*memory), names })
    }

    /// Names of the components.
    pub fn components(&self) -> impl Iterator<Item = &'a str> {
        self.names.split(|b| *b == 0).filter_map(|name| core::str::from_utf8(name).ok()).filter(|name| !name.is_empty())
    }

    /// The bytes of a descriptor without components.
    pub fn encode(min_memory: u64) -> [u8; LEN] {
        let mut desc = [0; LEN];
        desc[..4].copy_from_slice(&VERSION.to_le_bytes());
        desc[8..].copy_from_slice(&min_memory.to_le_bytes());
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
        let ours = [&Note::encode(5 << 20)[..], b"disk\0fat\0"].concat();
        let mut notes = raw(b"Xen\0", 18, &[1, 2, 3, 4]);
        notes.extend(raw(b"GNU\0", 1, &[9; 5]));
        notes.extend(raw(b"unibody\0", TYPE, &ours));
        let note = find(&notes, OWNER, TYPE).and_then(Note::parse).unwrap();
        assert_eq!((note.version, note.min_memory), (VERSION, 5 << 20));
        assert_eq!(note.components().collect::<Vec<_>>(), ["disk", "fat"]);
        assert_eq!(find(&notes, b"Xen", 18), Some(&[1, 2, 3, 4][..]));
        assert_eq!(find(&notes, OWNER, 2), None);
        for cut in 0..notes.len() {
            let _ = find(&notes[..cut], OWNER, TYPE);
        }
        assert_eq!(find(&[0xff; 64], OWNER, TYPE), None);
        assert_eq!(Note::parse(&[1; 15]), None);
    }
}
