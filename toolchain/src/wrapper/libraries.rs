//! Finding `-lNAME`. Only the user's `-L` folders and the sysroot are searched: a library of the host, built against
//! another libc, would be found by gcc and break the image or, worse, a configure script's judgement.

use super::args::{Arg, Args};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The arguments, with every library replaced by its file.
pub fn resolve(sysroot: &Path, args: &Args) -> Result<Vec<OsString>> {
    let mut folders: Vec<PathBuf> = args.folders.iter().map(PathBuf::from).collect();
    folders.push(sysroot.join("lib"));
    let mut missing = Vec::new();
    let mut resolved = Vec::new();
    for arg in &args.rest {
        match arg {
            Arg::Plain(arg) => resolved.push(arg.clone()),
            // gcc knows where these are.
            Arg::Library(name) if name.starts_with("gcc") || name == "atomic" => {
                resolved.push(format!("-l{name}").into())
            }
            Arg::Library(name) => {
                let file = name.strip_prefix(':').map_or_else(|| format!("lib{name}.a"), str::to_owned);
                match folders.iter().map(|f| f.join(&file)).find(|p| p.is_file()) {
                    Some(path) => resolved.push(path.into()),
                    None => missing.push(format!("-l{name}")),
                }
            }
        }
    }
    if !missing.is_empty() {
        let looked = folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
        bail!("cannot find {} (as static libraries) in {looked}", missing.join(" "));
    }
    Ok(resolved)
}
