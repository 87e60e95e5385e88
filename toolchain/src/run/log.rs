//! The log of a detached VM: the output of program and kernel, in order of arrival. Two files of at most 10 MiB.

use crate::state::private_file;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Size at which a new file is started.
const LIMIT: u64 = 10 << 20;

/// Name of the current file; the previous one has `.1` appended.
pub const NAME: &str = "log";

/// An open log. Several streams write to it at once.
pub struct Log {
    folder: PathBuf,
    limit: u64,
    open: Mutex<(Option<File>, u64)>,
}

impl Log {
    /// Opens the log in an entry's folder.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        Self::with_limit(folder, LIMIT)
    }

    fn with_limit(folder: &Path, limit: u64) -> std::io::Result<Self> {
        let mut file = private_file(&folder.join(NAME))?;
        let size = file.seek(SeekFrom::End(0))?;
        Ok(Self { folder: folder.to_owned(), limit, open: Mutex::new((Some(file), size)) })
    }

    /// Appends. A log that cannot be written (a full disk) loses output but never stops the program.
    pub fn write(&self, bytes: &[u8]) {
        let Ok(mut open) = self.open.lock() else { return };
        if open.1 > 0 && open.1 + bytes.len() as u64 > self.limit {
            let path = self.folder.join(NAME);
            let _ = std::fs::rename(&path, self.folder.join(format!("{NAME}.1")));
            *open = (private_file(&path).ok(), 0);
        }
        if let Some(file) = &mut open.0
            && file.write_all(bytes).is_ok()
        {
            open.1 += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotates() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::with_limit(dir.path(), 10).unwrap();
        for text in ["12345", "67890", "abc", "a line longer than the limit", "z"] {
            log.write(text.as_bytes());
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("log.1"), "a line longer than the limit");
        assert_eq!(read("log"), "z");
        let log = Log::with_limit(dir.path(), 10).unwrap();
        log.write(b"y");
        assert_eq!(read("log"), "zy");
    }
}
