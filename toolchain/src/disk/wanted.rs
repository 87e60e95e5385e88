//! `--disk`, as it is spelled.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// One `--disk`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The disk's file.
    pub file: PathBuf,
    /// Where the guest mounts it.
    pub path: String,
    /// The partition to mount, if given.
    pub partition: Option<u32>,
}

impl FromStr for Wanted {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected FILE:/path[:fat][:partition=N]";
        let (file, rest) = text.rsplit_once(":/").ok_or(FORM)?;
        let mut words = rest.split(':');
        let path = words.next().unwrap_or_default();
        let mut partition = None;
        for word in words {
            match word.strip_prefix("partition=").map(str::parse) {
                Some(Ok(number @ 1..)) => partition = Some(number),
                Some(_) => return Err(format!("'{word}': partitions are numbered from 1; {FORM}")),
                None if matches!(word, "fat" | "vfat") => {}
                None => return Err(format!("'{word}' is no file system that is known here; {FORM}")),
            }
        }
        if file.is_empty() {
            return Err(FORM.to_owned());
        }
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.is_empty() || parts.iter().any(|part| matches!(*part, "." | "..")) {
            return Err(format!("a disk is mounted on a folder below /, without . and ..; {FORM}"));
        }
        Ok(Self { file: file.into(), path: format!("/{}", parts.join("/")), partition })
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let one = |text: &str| text.parse::<Wanted>().map(|w| (w.file.display().to_string(), w.path));
        assert_eq!(one("app.img:/data"), Ok(("app.img".into(), "/data".into())));
        assert_eq!(one("/a:b,c/x.img:/var//lib/:fat"), Ok(("/a:b,c/x.img".into(), "/var/lib".into())));
        let part = |text: &str| text.parse::<Wanted>().map(|w| w.partition);
        assert_eq!(part("a:/x:partition=2"), Ok(Some(2)));
        assert_eq!(part("a:/x:fat:partition=12"), Ok(Some(12)));
        assert_eq!(part("a:/x:fat"), Ok(None));
        for bad in [
            "app.img",
            ":/data",
            "a:/",
            "a:/x:ext4",
            "a:/x/../y",
            "a:data",
            "a:/x:",
            "a:/x:partition=",
            "a:/x:partition=0",
            "a:/x:partition=one",
        ] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }
}
