//! The program's environment: `--env-file`, then `-e`; a later one of the same name wins.

use crate::failure::usage;
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// `NAME=VALUE` for every variable, in the order of their first mention.
pub fn collect(files: &[impl AsRef<Path>], options: &[OsString]) -> Result<Vec<Vec<u8>>> {
    let mut env = Vec::new();
    for path in files.iter().map(AsRef::as_ref) {
        let text = std::fs::read(path).with_context(|| format!("--env-file {}", path.display()))?;
        for (number, line) in text.split(|&b| b == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.trim_ascii().is_empty() || line.trim_ascii_start().starts_with(b"#") {
                continue;
            }
            add(&mut env, line).with_context(|| format!("{}, line {}", path.display(), number + 1))?;
        }
    }
    for option in options {
        add(&mut env, option.as_bytes()).context("-e")?;
    }
    Ok(env)
}

/// The value of a collected variable.
pub fn value<'a>(env: &'a [Vec<u8>], name: &str) -> Option<&'a OsStr> {
    env.iter().find(|entry| name_of(entry) == name.as_bytes()).map(|entry| OsStr::from_bytes(&entry[name.len() + 1..]))
}

fn name_of(entry: &[u8]) -> &[u8] {
    entry.split(|&b| b == b'=').next().unwrap_or_default()
}

fn add(env: &mut Vec<Vec<u8>>, text: &[u8]) -> Result<()> {
    let name = name_of(text);
    if name.is_empty() {
        return Err(usage(format!("'{}' names no variable; expected KEY=VALUE", String::from_utf8_lossy(text))));
    }
    let entry = if text.len() > name.len() {
        text.to_vec()
    } else {
        // A bare name takes its value from our environment and is dropped if unset there, as with docker.
        match std::env::var_os(OsStr::from_bytes(name)) {
            Some(value) => [name, b"=", &value.into_vec()].concat(),
            None => return Ok(()),
        }
    };
    match env.iter_mut().find(|old| name_of(old) == name) {
        Some(old) => *old = entry,
        None => env.push(entry),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn order_and_override() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# comment\n\nA=1\nB=two words \"quoted\"\r\nPATH").unwrap();
        let options = ["A=2".into(), "C=x=y".into(), "UNIBODY_SURELY_UNSET".into()];
        let env = collect(&[file.path()], &options).unwrap();
        assert_eq!(env[0], b"A=2");
        assert_eq!(env[1], b"B=two words \"quoted\"");
        assert!(env[2].starts_with(b"PATH=/"));
        assert_eq!(env[3], b"C=x=y");
        assert_eq!(env.len(), 4);
        assert_eq!(value(&env, "C"), Some(OsStr::new("x=y")));
        assert_eq!(value(&env, "D"), None);
    }

    #[test]
    fn wrong() {
        let none: [&Path; 0] = [];
        let error = collect(&none, &["=x".into()]).unwrap_err();
        assert_eq!(crate::failure::status(&error), 2);
        assert!(collect(&[Path::new("/nonexistent")], &[]).is_err());
    }
}
