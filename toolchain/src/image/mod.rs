//! Images: whether a file is one, what it needs, and what is in it.

pub mod elf;
pub mod hardening;
pub mod make;
pub mod report;
pub mod tree;

use anyhow::{Context, Result, bail};
use goblin::elf::Elf;
use goblin::elf::header::{EM_X86_64, ET_DYN, ET_EXEC};
use std::path::{Path, PathBuf};
use unibody_proto::{cpio, note, params};

/// An image file, read and checked.
pub struct Image {
    /// Where it was found.
    pub path: PathBuf,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Memory below which it does not start.
    pub min_memory: u64,
    /// The kernel's components that are in it.
    pub components: Vec<String>,
}

impl Image {
    /// Reads and checks an image.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!("{shown}: there is no such file"),
            Err(error) => return Err(error).with_context(|| format!("{shown}: cannot be read")),
        };
        if !bytes.starts_with(b"\x7fELF") {
            let what = match bytes.as_slice() {
                [] => "it is empty",
                [b'#', b'!', ..] => "it is a script",
                _ => "it does not begin with the ELF magic",
            };
            bail!("{shown} is not an image: {what}. An image is the ELF file that x86_64-unikernel-gcc links");
        }
        let elf = Elf::parse(&bytes).with_context(|| format!("{shown} is a damaged ELF file"))?;
        let header = &elf.header;
        let desc = loader::note(&elf, &bytes, note::OWNER, note::TYPE);
        let Some(note) = desc.and_then(note::Note::parse) else {
            bail!(
                "{shown} is an ELF file but not a unibody image: it has no {} note. \
                 Build it with x86_64-unikernel-gcc or `unibody build`",
                note::SECTION
            );
        };
        // Some linkers mark a position-independent file that has a load address as ET_EXEC.
        if !elf.is_64 || header.e_machine != EM_X86_64 || !matches!(header.e_type, ET_DYN | ET_EXEC) {
            bail!("{shown} is not an x86-64 executable, so it is not an image that can be started");
        }
        if note.version != note::VERSION {
            bail!(
                "{shown} was built for {} unibody (note version {}, known {}): {}rebuild the image",
                if note.version > note::VERSION { "a newer" } else { "an older" },
                note.version,
                note::VERSION,
                if note.version > note::VERSION { "update the tool or " } else { "" },
            );
        }
        let (min_memory, components) = (note.min_memory, note.components().map(str::to_owned).collect());
        Ok(Self { path: path.to_owned(), bytes, min_memory, components })
    }

    /// Whether a component of the kernel is in it.
    pub fn has(&self, component: &str) -> bool {
        self.components.iter().any(|c| c == component)
    }

    /// Its ELF structure. Cannot fail after [`Image::open`], but the types cannot express that.
    pub fn elf(&self) -> Result<Elf<'_>> {
        Elf::parse(&self.bytes).with_context(|| format!("{} is a damaged ELF file", self.path.display()))
    }

    /// The archive of its own root file system; empty if it has none.
    pub fn root(&self) -> Result<&[u8]> {
        Ok(elf::root(&self.elf()?, &self.bytes).unwrap_or(b""))
    }

    /// The parameters that its root file system carries.
    pub fn defaults(&self) -> Result<Vec<params::Param<'_>>> {
        let mut file: &[u8] = b"";
        for entry in cpio::entries(self.root()?) {
            let entry = entry.map_err(|error| damaged(&self.path, error))?;
            if entry.name == params::FILE.as_bytes() {
                file = entry.data;
            }
        }
        Ok(params::records(file).collect())
    }

    /// Values of one repeated default.
    pub fn default_list(&self, key: &[u8]) -> Result<Vec<Vec<u8>>> {
        Ok(self.defaults()?.iter().filter(|param| param.key == key).map(|param| param.value.to_vec()).collect())
    }
}

/// The failure for a root archive that does not parse.
pub fn damaged(path: &Path, error: cpio::Error) -> anyhow::Error {
    anyhow::anyhow!("{}: its root file system is damaged ({error:?})", path.display())
}

/// Whether a file exists and is ELF: a bare word that names one means the file, not a port.
pub fn looks_like_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

#[cfg(test)]
#[path = "../../tests/common/image.rs"]
mod fake;

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::io::Write;

    pub use super::fake::fake_image;

    fn failure(content: &[u8]) -> String {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        match Image::open(file.path()) {
            Ok(_) => String::new(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn ours_and_not_ours() {
        assert_eq!(failure(&fake_image(5 << 20)), "");
        assert!(failure(b"").contains("is empty"));
        assert!(failure(b"#!/bin/sh\n").contains("is a script"));
        assert!(failure(b"int main(){}").contains("does not begin with the ELF magic"));
        assert!(failure(b"\x7fELF garbage").contains("damaged ELF"));
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(failure(&own).contains("not a unibody image"));
        let mut foreign = fake_image(1);
        foreign[18] = 183;
        assert!(failure(&foreign).contains("x86-64"));
        let error = Image::open(Path::new("/nonexistent/x.img")).err().unwrap();
        assert!(error.to_string().contains("no such file"));
    }
}
