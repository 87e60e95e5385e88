//! Creating, finding and removing entries.

use super::record::now;
use super::{Ended, Record, check_name, folder, private_file};
use anyhow::{Context, Result, bail};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// An entry that this process supervises, until dropped.
pub struct Claim {
    pub folder: PathBuf,
    /// Held for its lock.
    _lock: File,
}

/// An entry as others see it.
pub struct Entry {
    pub record: Record,
    pub folder: PathBuf,
    /// Whether its supervisor is alive.
    pub running: bool,
}

/// Takes the name in `record` or, if that is empty, a free one based on `stem`, and saves the record.
pub fn claim(record: &mut Record, stem: &str) -> Result<Claim> {
    let base = folder()?;
    let _claims = claims_lock(&base)?;
    if !record.name.is_empty() {
        let name = record.name.as_str();
        check_name(name)?;
        if let Some(Entry { record, running, .. }) = read(&base.join(name))? {
            if running {
                bail!(
                    "the name '{name}' is held by a running VM ({}, supervisor process {}); \
                     choose another --name or `unibody stop {name}`",
                    record.image,
                    record.supervisor
                );
            }
            bail!("the name '{name}' is held by an ended VM ({}) whose log is kept; `unibody rm {name}`", record.image);
        }
        return make(&base, record);
    }
    let stem: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' }).take(50).collect();
    let stem = if check_name(&stem).is_ok() { stem } else { "vm".to_owned() };
    for number in 1.. {
        let name = if number == 1 { stem.clone() } else { format!("{stem}-{number}") };
        if read(&base.join(&name))?.is_none() {
            record.name = name;
            return make(&base, record);
        }
    }
    unreachable!("an endless range ends only by return");
}

fn make(base: &Path, record: &Record) -> Result<Claim> {
    let folder = base.join(&record.name);
    super::make_private(&folder)?;
    let lock = private_file(&folder.join("lock"))?;
    lock.try_lock().with_context(|| format!("cannot lock {}", folder.display()))?;
    record.save(&folder)?;
    Ok(Claim { folder, _lock: lock })
}

/// All entries, by name. Stale ones of foreground runs are removed on the way.
pub fn list() -> Result<Vec<Entry>> {
    let base = folder()?;
    let _claims = claims_lock(&base)?;
    let mut names: Vec<_> = std::fs::read_dir(&base)?.filter_map(|item| Some(item.ok()?.path())).collect();
    names.sort();
    let mut entries = Vec::new();
    for path in names.into_iter().filter(|path| path.join("lock").exists()) {
        entries.extend(read(&path)?);
    }
    Ok(entries)
}

/// The entry of this name.
pub fn open(name: &str) -> Result<Entry> {
    let found = list()?.into_iter().find(|entry| entry.record.name == name);
    found.with_context(|| format!("there is no VM named '{name}'; `unibody ps` lists them"))
}

/// Removes an ended entry.
pub fn remove(entry: &Entry) -> Result<()> {
    let _claims = claims_lock(&folder()?)?;
    delete(&entry.folder)
}

impl Claim {
    /// Removes the entry at its end.
    pub fn remove(self) -> Result<()> {
        let _claims = claims_lock(self.folder.parent().unwrap_or(&self.folder))?;
        delete(&self.folder)
    }
}

fn delete(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn claims_lock(base: &Path) -> Result<File> {
    let file = private_file(&base.join(".claims"))?;
    file.lock().context("cannot lock the state folder")?;
    Ok(file)
}

/// Reads an entry; `None` if there is none, or none worth keeping. `.claims` is held.
fn read(folder: &Path) -> Result<Option<Entry>> {
    if !folder.exists() {
        return Ok(None);
    }
    let tried = File::open(folder.join("lock")).map(|file| file.try_lock());
    let running = matches!(tried, Ok(Err(TryLockError::WouldBlock)));
    let record = Record::load(folder);
    match (record, running) {
        (Ok(record), true) => Ok(Some(Entry { record, folder: folder.to_owned(), running })),
        (Err(error), true) => Err(error.context(format!("the state in {} cannot be read", folder.display()))),
        (Ok(mut record), false) if record.detached => {
            if record.ended.is_none() {
                let reason = "its supervisor vanished".to_owned();
                record.ended = Some(Ended { at: now(), status: None, reason });
                record.save(folder)?;
            }
            Ok(Some(Entry { record, folder: folder.to_owned(), running }))
        }
        (_, false) => delete(folder).map(|()| None),
    }
}
