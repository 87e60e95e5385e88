//! Steps common to every image, of a port or of the user's own program.

use crate::command;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use unibody_proto::params::{self, Encoder};

/// Writes an image's own parameters, lists of values by key, into its root file system; without any, there is no file.
pub fn write_params(root: &Path, lists: &[(&[u8], &[String])]) -> Result<()> {
    let mut params = Encoder::default();
    for (key, value) in lists.iter().flat_map(|&(key, values)| values.iter().map(move |value| (key, value))) {
        params.push(key, value.as_bytes()).map_err(anyhow::Error::msg)?;
    }
    let records = params.finish();
    if records.is_empty() {
        return Ok(());
    }
    let file = root.join(params::FILE);
    fs::create_dir_all(file.parent().unwrap_or(root))?;
    fs::write(&file, records).with_context(|| format!("cannot write {}", file.display()))
}

/// Delivers an image: DWARF goes to `OUTPUT.debug` (matched by build-id), the symbol table stays for backtraces.
pub fn deliver(image: &Path, output: &Path) -> Result<()> {
    ensure!(!output.is_dir(), "{} is a folder: give a file with -o", output.display());
    let dir = output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = tempfile::Builder::new()
        .prefix(".unibody-")
        .tempdir_in(dir)
        .with_context(|| format!("cannot write to {}", dir.display()))?;
    let (plain, dwarf) = (work.path().join("image"), work.path().join("debug"));
    command::run(Command::new("objcopy").arg("--only-keep-debug").arg(image).arg(&dwarf), None)?;
    command::run(Command::new("objcopy").arg("--strip-debug").arg(image).arg(&plain), None)?;
    let mut debug = output.as_os_str().to_owned();
    debug.push(".debug");
    // The image comes last, so that its debug file is there whenever it is.
    fs::rename(&dwarf, &debug).with_context(|| format!("cannot write {}", Path::new(&debug).display()))?;
    fs::rename(&plain, output).with_context(|| format!("cannot write {}", output.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use unibody_proto::params::{FILE, key};

    #[test]
    fn parameters() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(FILE);
        write_params(root.path(), &[(key::ARG, &[])]).unwrap();
        assert!(!file.exists());
        let (args, ports) = (["-a b".to_owned()], ["8080:80".to_owned()]);
        write_params(root.path(), &[(key::ARG, &args), (key::TOOL_PUBLISH, &ports)]).unwrap();
        assert_eq!(fs::read(file).unwrap(), b"arg=-a b\0tool.publish=8080:80\0");
    }
}
