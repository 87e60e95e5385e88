//! Kernel modules: which ones, and in which order. The package has no dependency list (that is created on
//! installation), but each module names what it needs.

use anyhow::{Context, Result, bail};
use goblin::elf::Elf;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use unibody::command;

/// What every guest needs. Any module that the package lacks is built into the kernel.
const ALWAYS: [&str; 4] = ["virtio_pci", "virtio_mmio", "virtio_console", "virtio_rng"];
/// For a disk with a file system.
pub const DISK: &[&str] = &["virtio_blk", "ext4", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8"];
/// For a network card.
pub const NET: &[&str] = &["virtio_net"];

/// The modules' contents, each after those that it depends on; `more` comes after what every guest needs.
pub fn collect(tree: &Path, more: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = BTreeMap::new();
    find(tree, &mut files)?;
    let mut out = Vec::new();
    for name in ALWAYS.iter().chain(more) {
        add(&files, &name.replace('-', "_"), &mut out, 0)?;
    }
    Ok(out)
}

fn add(files: &BTreeMap<String, PathBuf>, name: &str, out: &mut Vec<(String, Vec<u8>)>, depth: usize) -> Result<()> {
    let Some(path) = files.get(name).filter(|_| !out.iter().any(|(n, _)| n == name)) else { return Ok(()) };
    if depth > 20 {
        bail!("module {name} depends on itself");
    }
    let bytes = read(path)?;
    for needed in depends(&bytes).with_context(|| format!("in {}", path.display()))? {
        add(files, &needed.replace('-', "_"), out, depth + 1)?;
    }
    out.push((name.to_owned(), bytes));
    Ok(())
}

fn find(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if let Some((stem, rest)) = entry.file_name().to_string_lossy().split_once('.')
            && rest.starts_with("ko")
        {
            files.insert(stem.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

/// A module, unpacked.
fn read(path: &Path) -> Result<Vec<u8>> {
    let unpack = match path.extension().and_then(|e| e.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return std::fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    command::run(Command::new(unpack).arg("-dc").arg(path), None)
}

/// The names in a module's `depends=`.
fn depends(module: &[u8]) -> Result<Vec<String>> {
    let elf = Elf::parse(module)?;
    let info = elf.section_headers.iter().find(|s| elf.shdr_strtab.get_at(s.sh_name) == Some(".modinfo"));
    let Some(bytes) = info.and_then(|s| module.get(s.file_range()?)) else { bail!("this is no kernel module") };
    Ok(names(bytes))
}

fn names(info: &[u8]) -> Vec<String> {
    let field = info.split(|&b| b == 0).find_map(|f| f.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(field.unwrap_or_default()).into_owned();
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies() {
        assert_eq!(names(b"license=GPL\0depends=fat,nls_base\0name=vfat\0"), ["fat", "nls_base"]);
        assert!(names(b"depends=\0").is_empty() && names(b"").is_empty());
        assert!(depends(b"no elf").is_err());
    }
}
