//! `-v DIR:/path[:ro]`: folders of this machine.

use crate::disk::Wanted;
use crate::failure::usage;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// A folder of this machine and where the program sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The folder, absolute.
    pub dir: OsString,
    /// An absolute path other than `/`, without `.`, `..` and needless slashes.
    pub at: OsString,
    /// Whether the program may only read.
    pub read_only: bool,
}

impl Share {
    /// Parses the value of `-v`, splitting at the last `:/` so that DIR may contain colons.
    pub fn parse(text: OsString) -> Result<Self, String> {
        const WANTED: &str = "expected DIR:/path[:ro]";
        let bytes = text.as_bytes();
        let (bytes, read_only) = match bytes {
            [rest @ .., b':', b'r', b'o'] => (rest, true),
            [rest @ .., b':', b'r', b'w'] => (rest, false),
            _ => (bytes, false),
        };
        let colon = bytes.windows(2).rposition(|pair| pair == b":/").ok_or(WANTED)?;
        let (dir, at) = (OsStr::from_bytes(&bytes[..colon]), Path::new(OsStr::from_bytes(&bytes[colon + 1..])));
        if dir.is_empty() {
            return Err(WANTED.to_owned());
        }
        if at.components().any(|part| part == Component::ParentDir) {
            return Err("the path in the guest may not have '..' in it".to_owned());
        }
        if at.as_os_str().as_bytes().contains(&b':') {
            return Err(format!("'ro' and 'rw' are what may follow the path in the guest; {WANTED}"));
        }
        let at: PathBuf = at.components().filter(|part| *part != Component::CurDir).collect();
        if at.parent().is_none() {
            return Err("a folder cannot take the place of the guest's root; --rootfs lays one over it".to_owned());
        }
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        Ok(Self { dir: dir.into(), at: at.into(), read_only })
    }

    /// The name with which the guest finds the device: its position in the list.
    pub fn tag(number: usize) -> String {
        format!("share{number}")
    }

    /// The guest's parameter.
    pub fn parameter(&self, number: usize) -> Vec<u8> {
        let end: &[u8] = if self.read_only { b":ro" } else { b"" };
        [Self::tag(number).as_bytes(), b":", self.at.as_bytes(), end].concat()
    }

    fn shown(&self) -> String {
        format!("-v {}", Path::new(&self.dir).display())
    }
}

/// With their numbers, in mount order: a share mounted inside another comes after it.
pub fn in_order(shares: &[Share]) -> Vec<(usize, &Share)> {
    let mut all: Vec<_> = shares.iter().enumerate().collect();
    all.sort_by_key(|(_, share)| Path::new(&share.at).components().count());
    all
}

/// Makes sure that the folders exist.
pub fn check(shares: &[Share]) -> Result<()> {
    for (number, share) in shares.iter().enumerate() {
        if shares[..number].iter().any(|other| other.at == share.at) {
            return Err(usage(format!("-v: {} is given twice", Path::new(&share.at).display())));
        }
        match fs::metadata(&share.dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => bail!("{}: not a folder", share.shown()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("{}: no such folder (it is not created)", share.shown())
            }
            Err(error) => return Err(error).context(share.shown()),
        }
        fs::read_dir(&share.dir).with_context(|| format!("{}: cannot be read", share.shown()))?;
    }
    Ok(())
}

/// Refuses a disk and a folder at the same path.
pub fn check_disks(shares: &[Share], disks: &[Wanted]) -> Result<()> {
    for disk in disks {
        if let Some(share) = shares.iter().find(|share| Path::new(&share.at) == Path::new(&disk.path)) {
            return Err(usage(format!("--disk {disk} and {} are mounted at the same place", share.shown())));
        }
    }
    Ok(())
}

/// Where `at` lies inside `root`; missing folders are created. Symbolic links are resolved as if `root` were `/`.
pub fn mount_point(root: &Path, at: &Path) -> Result<PathBuf> {
    const LINKS_MAX: usize = 40;
    let mut todo: Vec<OsString> = names(at).collect();
    todo.reverse();
    let (mut here, mut links) = (PathBuf::new(), 0);
    while let Some(name) = todo.pop() {
        if name == ".." {
            here.pop();
            continue;
        }
        let path = root.join(&here).join(&name);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() && links < LINKS_MAX => {
                links += 1;
                let target = fs::read_link(&path)?;
                if target.is_absolute() {
                    here = PathBuf::new();
                }
                let ahead: Vec<_> = names(&target).collect();
                todo.extend(ahead.into_iter().rev());
            }
            Ok(meta) if meta.is_dir() => here.push(name),
            Ok(_) => bail!("{}: a part of the way is no folder", at.display()),
            Err(_) => {
                fs::create_dir(&path).with_context(|| format!("cannot make {}", at.display()))?;
                here.push(name);
            }
        }
    }
    Ok(root.join(here))
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Share, String> {
        Share::parse(text.into())
    }

    #[test]
    fn spellings() {
        let share = parse("/srv/data:/data").unwrap();
        assert_eq!((share.dir.to_str(), share.at.to_str(), share.read_only), (Some("/srv/data"), Some("/data"), false));
        let share = parse("/a:b c/,:/x//y/./z/:ro").unwrap();
        assert_eq!((share.dir.to_str(), share.at.to_str(), share.read_only), (Some("/a:b c/,"), Some("/x/y/z"), true));
        assert_eq!(share.parameter(3), b"share3:/x/y/z:ro");
        assert!(parse("site:/x:rw").unwrap().dir.to_str().unwrap().ends_with("/site"));
        for bad in ["", "x", "/x", ":/x", "a:b", "a:/", "a:/.", "a:/x/../y", "a:/x:rx:"] {
            assert!(parse(bad).is_err(), "{bad}: {:?}", parse(bad));
        }
    }

    #[test]
    fn checks() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let share = |dir: &Path, at: &str| parse(&format!("{}:{at}", dir.display())).unwrap();
        let both = [share(dir.path(), "/a/b"), share(dir.path(), "/a")];
        check(&both).unwrap();
        assert_eq!(in_order(&both).iter().map(|one| one.0).collect::<Vec<_>>(), [1, 0]);
        let failure = |shares: &[Share]| check(shares).unwrap_err().to_string();
        assert!(failure(&[share(&dir.path().join("none"), "/a")]).contains("no such folder"));
        assert!(failure(&[share(&file, "/a")]).contains("not a folder"));
        let disks = ["x.img:/data".parse().unwrap()];
        check_disks(&[share(dir.path(), "/data/below")], &disks).unwrap();
        let failure_of_disks = check_disks(&[share(dir.path(), "/data//")], &disks).unwrap_err().to_string();
        assert!(failure_of_disks.contains("the same place"), "{failure_of_disks}");
        assert!(failure(&[share(dir.path(), "/a"), share(dir.path(), "/a/")]).contains("given twice"));
    }

    #[test]
    fn links_stay_inside() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir(root.join("run")).unwrap();
        std::os::unix::fs::symlink("/run", root.join("var")).unwrap();
        std::os::unix::fs::symlink("../../../run/deep", root.join("up")).unwrap();
        assert_eq!(mount_point(root, Path::new("/var/x/y")).unwrap(), root.join("run/x/y"));
        assert_eq!(mount_point(root, Path::new("/up")).unwrap(), root.join("run/deep"));
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        assert!(mount_point(root, Path::new("/loop")).is_err());
        assert!(root.join("run/x/y").is_dir());
    }
}
