//! Asking apt for a package, from private state folders.

use super::config;
use crate::{command, files, paths};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Indexes older than this are fetched again.
const FRESH: Duration = Duration::from_secs(3600);

/// Source and binary packages have separate state folders: neither can use the other's indexes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `apt-get source`.
    Source,
    /// `apt-get download`.
    Binary,
}

struct Apt {
    dir: PathBuf,
    kind: Kind,
}

/// Downloads the newest available version into `to` and returns its number.
pub fn download(package: &str, kind: Kind, to: &Path) -> Result<String> {
    let apt = Apt::new(kind)?;
    apt.update()?;
    let versions = apt.versions(package)?;
    if versions.is_empty() {
        let what = if kind == Kind::Source { "source package" } else { "package" };
        bail!("no {what} {package} in this machine's apt sources");
    }
    let mut said = Vec::new();
    for version in &versions {
        // A mirror may list a version that it does not serve (often: the security suite's): take the next one.
        match apt.fetch(package, version, to) {
            Ok(()) => {
                if !said.is_empty() {
                    eprintln!("{package} {} is listed but not served; taking {version}", versions[0]);
                }
                return Ok(version.clone());
            }
            Err(e) => said.push(format!("{e:#}")),
        }
    }
    bail!("cannot fetch {package}:\n{}", said.join("\n"))
}

/// Names of the packages that the newest version of `package` depends on, alternatives included.
pub fn depends(package: &str) -> Result<Vec<String>> {
    let apt = Apt::new(Kind::Binary)?;
    apt.update()?;
    let output = command::capture(apt.command("apt-cache").args(["show", "--no-all-versions", package]))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names(text.lines().find_map(|l| l.strip_prefix("Depends:")).unwrap_or_default()))
}

/// The names in a `Depends` field.
fn names(field: &str) -> Vec<String> {
    let words = field.split([',', '|']).filter_map(|one| one.split_whitespace().next());
    words.map(|name| name.split(':').next().unwrap_or(name).to_owned()).collect()
}

impl Apt {
    fn new(kind: Kind) -> Result<Self> {
        let dir = paths::cache()?.join(if kind == Kind::Source { "apt" } else { "apt-binary" });
        for sub in ["state/lists/partial", "cache/archives/partial", "empty", "sources"] {
            std::fs::create_dir_all(dir.join(sub))
                .with_context(|| format!("cannot make {}", dir.join(sub).display()))?;
        }
        let apt = Self { dir, kind };
        apt.write_sources()?;
        let dump = command::run(Command::new("apt-config").arg("dump"), None)?;
        let mut conf = config::without_hooks(&String::from_utf8_lossy(&dump));
        let d = apt.dir.display();
        for (key, value) in [
            ("Dir::Etc::main", "/dev/null".to_owned()),
            ("Dir::Etc::parts", format!("{d}/empty")),
            ("Dir::Etc::sourcelist", "/dev/null".into()),
            ("Dir::Etc::sourceparts", format!("{d}/sources")),
            ("Dir::State", format!("{d}/state")),
            ("Dir::State::lists", "lists/".into()),
            ("Dir::State::status", "/var/lib/dpkg/status".into()),
            ("Dir::Cache", format!("{d}/cache")),
            ("APT::Sandbox::User", String::new()),
        ] {
            conf.push_str(&format!("{key} \"{value}\";\n"));
        }
        files::write(&apt.dir.join("apt.conf"), conf)?;
        Ok(apt)
    }

    /// Writes the system's sources, for our kind of package, into our own folder.
    fn write_sources(&self) -> Result<()> {
        let kind = if self.kind == Kind::Source { "deb-src" } else { "deb" };
        let (mut lists, mut stanzas) = (BTreeSet::new(), BTreeSet::new());
        let mut add = |path: &Path| {
            let Ok(text) = std::fs::read_to_string(path) else { return };
            match path.extension().and_then(|e| e.to_str()) {
                Some("list") => lists.extend(config::one_line(&text, kind)),
                Some("sources") => stanzas.extend(config::deb822(&text, kind)),
                _ => {}
            }
        };
        add(Path::new("/etc/apt/sources.list"));
        for entry in std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten() {
            add(&entry.path());
        }
        if lists.is_empty() && stanzas.is_empty() {
            bail!("apt has no sources configured here (/etc/apt/sources.list, /etc/apt/sources.list.d)");
        }
        let dir = self.dir.join("sources");
        let joined = |set: BTreeSet<String>, between: &str| set.into_iter().map(|s| s + between).collect::<String>();
        files::write(&dir.join("unibody.list"), joined(lists, "\n"))?;
        files::write(&dir.join("unibody.sources"), joined(stanzas, "\n\n"))
    }

    fn command(&self, program: &str) -> Command {
        let mut c = Command::new(program);
        c.env("APT_CONFIG", self.dir.join("apt.conf")).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        c
    }

    fn update(&self) -> Result<()> {
        let stamp = self.dir.join("updated");
        let age = stamp.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if age.is_some_and(|a| a < FRESH) {
            return Ok(());
        }
        // Some failing mirrors are not an error yet: another may have the package.
        let output = command::capture(self.command("apt-get").args(["-q", "-o", "Acquire::Retries=2", "update"]))?;
        if output.status.success() {
            files::write(&stamp, "")?;
        } else {
            eprintln!("apt-get update had trouble:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
        }
        Ok(())
    }

    /// All versions in the indexes, newest first.
    fn versions(&self, package: &str) -> Result<Vec<String>> {
        let show: &[&str] = if self.kind == Kind::Source { &["showsrc", "--only-source"] } else { &["show"] };
        let output = command::capture(self.command("apt-cache").args(show).arg(package))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let distinct: BTreeSet<_> =
            text.lines().filter_map(|l| Some(l.strip_prefix("Version:")?.trim().to_owned())).collect();
        // Insertion sort by hand: dpkg's answers are not a total order when it fails, and there are only two or three
        // versions.
        let mut versions: Vec<String> = Vec::new();
        for version in distinct {
            let at = versions.iter().position(|v| older(v, &version)).unwrap_or(versions.len());
            versions.insert(at, version);
        }
        Ok(versions)
    }

    fn fetch(&self, package: &str, version: &str, to: &Path) -> Result<()> {
        for entry in std::fs::read_dir(to)? {
            files::remove(&entry?.path())?;
        }
        let mut c = self.command("apt-get");
        c.args(["-q", "-o", "Acquire::Retries=2"]);
        match self.kind {
            Kind::Source => c.args(["source", "--only-source", "--download-only"]),
            Kind::Binary => c.arg("download"),
        };
        command::run(c.arg(format!("{package}={version}")).current_dir(to), None)?;
        Ok(())
    }
}

/// Whether `a` is an older version than `b`, as dpkg compares them.
fn older(a: &str, b: &str) -> bool {
    Command::new("dpkg").args(["--compare-versions", a, "lt", b]).status().is_ok_and(|s| s.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dependencies() {
        assert_eq!(
            names(" libc6:any (>= 2.34), a | b (= 1), linux-image-6.1.0-1-x (= 6)"),
            ["libc6", "a", "b", "linux-image-6.1.0-1-x"]
        );
        assert!(names("").is_empty());
    }
}
