//! Programs that must be on this machine, and the Debian packages that contain them.

use crate::command;
use anyhow::{Context, Result, bail, ensure};
use std::io::{IsTerminal, Write};
use std::process::Command;

/// A program, or a file with its full path, and the package that contains it.
pub type Program<'a> = (&'a str, &'a str);

/// Programs that the tool needs whose package has a different name.
const PACKAGES: [Program; 8] = [
    ("cc", "gcc"),
    ("ld", "binutils"),
    ("ar", "binutils"),
    ("objcopy", "binutils"),
    ("dpkg-source", "dpkg-dev"),
    ("apt-get", "apt"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("tclsh", "tcl"),
];

/// The package of a program.
pub fn package_of(program: &str) -> &str {
    PACKAGES.iter().find(|(p, _)| *p == program).map_or(program, |(_, package)| package)
}

/// Those that are not installed.
fn missing<'a>(programs: &[Program<'a>]) -> Vec<Program<'a>> {
    let there =
        |p: &str| if p.starts_with('/') { std::path::Path::new(p).exists() } else { command::find(p).is_some() };
    programs.iter().copied().filter(|(program, _)| !there(program)).collect()
}

fn names(programs: &[Program]) -> String {
    programs.iter().map(|(program, _)| *program).collect::<Vec<_>>().join(", ")
}

/// Whether this runs in CI, where there is no user to ask and nothing is skipped.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| v == "true")
}

/// Makes sure that the programs are installed: installs their packages, after asking on a terminal (unless `yes` or
/// `CI=true`).
pub fn ensure(programs: &[&str], yes: bool) -> Result<()> {
    ensure_these(&programs.iter().map(|program| (*program, package_of(program))).collect::<Vec<_>>(), yes)
}

/// The same for programs whose packages the caller knows.
pub fn ensure_these(programs: &[Program], yes: bool) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    let names = names(&missing);
    if command::find("apt-get").is_none() {
        bail!(
            "these programs are needed and not installed: {names}. There is no apt here: install them your system's way"
        );
    }
    let root = nix::unistd::geteuid().is_root();
    let install = format!("apt-get install --yes --no-install-recommends {}", packages.join(" "));
    let shown = if root { install.clone() } else { format!("sudo {install}") };
    if !root && command::find("sudo").is_none() {
        bail!("these programs are needed and not installed: {names}. As root, run:\n  {install}");
    }
    let unasked = yes || in_ci();
    if !unasked && !std::io::stdin().is_terminal() {
        bail!("these programs are needed and not installed: {names}. Run this, or give --yes:\n  {shown}");
    }
    eprintln!("{names}: not installed. This installs what is missing:\n  {shown}");
    ensure!(unasked || confirmed("Continue? [Y/n]", &["", "y", "yes"])?, "nothing was installed");
    // A fresh machine's indexes are empty or old; a failure here shows up in the installation.
    let _ = apt(root).arg("update").arg("-q").stdout(std::io::stderr()).status();
    let mut command = apt(root);
    command.args(["install", "--yes", "--no-install-recommends"]).args(&packages).stdout(std::io::stderr());
    let status = command.status().context("cannot run apt-get")?;
    ensure!(status.success(), "the installation failed ({status}): {shown}");
    match self::missing(programs) {
        still if still.is_empty() => Ok(()),
        still => bail!("still not installed: {}", self::names(&still)),
    }
}

fn apt(root: bool) -> Command {
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if root {
        command.env("DEBIAN_FRONTEND", "noninteractive");
    } else {
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    }
    command
}

/// Asks the user; returns whether the line typed is one of these.
pub fn confirmed(question: &str, yes: &[&str]) -> Result<bool> {
    eprint!("{question} ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(!answer.is_empty() && yes.contains(&answer.trim().to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages() {
        assert_eq!((package_of("ld"), package_of("make")), ("binutils", "make"));
        assert_eq!(missing(&[("sh", "dash"), ("no-such-program-here", "x")]), [("no-such-program-here", "x")]);
    }
}
