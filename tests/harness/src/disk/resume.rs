//! Long cases continue where they were interrupted: a line in the cache records how far one got.

use anyhow::{Context as _, Result};
use std::path::PathBuf;
use unibody::paths;

/// How far a case got.
pub struct Resume {
    file: Option<PathBuf>,
    /// The number of parts that are done.
    pub done: usize,
}

impl Resume {
    /// `kept`: whether the case takes long enough to be worth it. Progress with a different `total` does not count.
    pub fn open(name: &str, total: usize, kept: bool) -> Result<Self> {
        if !kept {
            return Ok(Self { file: None, done: 0 });
        }
        let folder = paths::cache()?.join("test");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join(name.replace('/', "-"));
        let done = std::fs::read_to_string(&file).ok().and_then(|text| parse(&text, total)).unwrap_or(0);
        Ok(Self { file: Some(file), done })
    }

    /// One more part is done.
    pub fn part(&mut self, total: usize) -> Result<()> {
        self.done += 1;
        match &self.file {
            Some(file) if self.done >= total => std::fs::remove_file(file).or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?,
            Some(file) => unibody::files::write(file, format!("{} of {total}\n", self.done))?,
            None => {}
        }
        Ok(())
    }
}

fn parse(text: &str, total: usize) -> Option<usize> {
    let (done, of) = text.trim().split_once(" of ")?;
    (of.parse() == Ok(total)).then(|| done.parse().ok()).flatten().filter(|done| *done < total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(parse("3 of 10\n", 10), Some(3));
        assert_eq!(parse("3 of 10\n", 11), None);
        assert_eq!(parse("10 of 10\n", 10), None);
        assert_eq!(parse("", 10), None);
    }
}
