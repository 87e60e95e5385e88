//! A hand-made image: small enough to read here, good enough for every check of the tool and for Linux to run.

use unibody_proto::cpio_writer::{Meta, Writer};
use unibody_proto::note::{LEN, Note, TYPE};

/// Prints /etc/marker of its own root to standard output and exits with status 5.
const PROGRAM: [u8; 58] = [
    0xb8, 2, 0, 0, 0, // mov eax, 2 (open)
    0x48, 0x8d, 0x3d, 46, 0, 0, 0, // lea rdi, [rip + path]
    0x31, 0xf6, // xor esi, esi
    0x0f, 0x05, // syscall
    0x89, 0xc7, // mov edi, eax
    0x31, 0xc0, // xor eax, eax (read)
    0x48, 0x8d, 0x74, 0x24, 0x80, // lea rsi, [rsp - 128]
    0xba, 64, 0, 0, 0, // mov edx, 64
    0x0f, 0x05, // syscall
    0x89, 0xc2, // mov edx, eax
    0xb8, 1, 0, 0, 0, // mov eax, 1 (write)
    0xbf, 1, 0, 0, 0, // mov edi, 1
    0x0f, 0x05, // syscall
    0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
    0xbf, 5, 0, 0, 0, // mov edi, 5
    0x0f, 0x05, // syscall
];
const PATH: &[u8] = b"/etc/marker\0";

/// The image's bytes: headers, note, code, and on the next page the root archive.
pub fn fake_image(min_memory: u64) -> Vec<u8> {
    const BASE: u64 = 0x20_0000;
    const NOTE_AT: usize = 64 + 3 * 56;
    let mut note = Vec::new();
    for word in [8u32, LEN as u32, TYPE] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"unibody\0");
    note.extend(Note::encode(min_memory));
    let code_at = NOTE_AT + note.len();
    let root = root();

    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [3u16, 62] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes());
    for long in [BASE + code_at as u64, 64, 0] {
        bytes.extend(long.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 3, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    let code_end = code_at + PROGRAM.len() + PATH.len();
    let segments =
        [(1u32, 5u32, 0, code_end, 0x1000), (1, 4, 0x1000, root.len(), 0x1000), (4, 4, NOTE_AT, note.len(), 4)];
    for (kind, flags, offset, size, align) in segments {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        let (offset, size) = (offset as u64, size as u64);
        for long in [offset, BASE + offset, BASE + offset, size, size, align] {
            bytes.extend(long.to_le_bytes());
        }
    }
    bytes.extend(note);
    bytes.extend(PROGRAM);
    bytes.extend(PATH);
    bytes.resize(0x1000, 0);
    bytes.extend(root);
    bytes
}

fn root() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let dir = Meta { mode: 0o40755, ..Meta::default() };
    let file = Meta { mode: 0o100644, ..Meta::default() };
    writer.entry(b".unibody", &dir, b"").unwrap();
    writer.entry(b".unibody/params", &file, b"tool.publish=0:80\0").unwrap();
    writer.entry(b"etc", &dir, b"").unwrap();
    writer.entry(b"etc/marker", &file, b"from the image\n").unwrap();
    writer.finish().unwrap()
}
