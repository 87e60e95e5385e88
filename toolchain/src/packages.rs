//! Programs that must be on this machine, and the Debian packages that bring them.

use crate::command;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write};
use std::process::Command;

/// Program, or file with its whole path, and the package that has it.
const PACKAGES: [(&str, &str); 31] = [
    ("gcc", "gcc"),
    ("cc", "gcc"),
    ("ld", "binutils"),
    ("ar", "binutils"),
    ("objcopy", "binutils"),
    ("make", "make"),
    ("dpkg-source", "dpkg-dev"),
    ("apt-get", "apt"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("curl", "curl"),
    ("patch", "patch"),
    ("xz", "xz-utils"),
    ("pkg-config", "pkg-config"),
    ("grub-mkrescue", "grub-common"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
    ("mcopy", "mtools"),
    ("/usr/sbin/mkfs.vfat", "dosfstools"),
    ("/usr/sbin/fsck.vfat", "dosfstools"),
    ("/usr/lib/grub/i386-pc/multiboot2.mod", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi/multiboot2.mod", "grub-efi-amd64-bin"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "ovmf"),
    ("tclsh", "tcl"),
    ("sqlite3", "sqlite3"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.vfat", "dosfstools"),
    ("dpkg-deb", "dpkg"),
    ("wrk", "wrk"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];

/// The package of a program.
pub fn package_of(program: &str) -> &str {
    PACKAGES.iter().find(|(p, _)| *p == program).map_or(program, |(_, package)| package)
}

/// The programs and files among `programs` that are not installed.
pub fn missing<'a>(programs: &[&'a str]) -> Vec<&'a str> {
    let there =
        |p: &str| if p.starts_with('/') { std::path::Path::new(p).exists() } else { command::find(p).is_some() };
    programs.iter().copied().filter(|p| !there(p)).collect()
}

/// Makes sure that the programs are there: installs their packages, after asking on a terminal. `yes` or `CI=true`
/// does not ask.
pub fn ensure(programs: &[&str], yes: bool) -> Result<()> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|p| package_of(p)).collect();
    packages.sort_unstable();
    packages.dedup();
    let names = missing.join(", ");
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
    let unasked = yes || std::env::var_os("CI").is_some_and(|v| v == "true");
    if !unasked && !std::io::stdin().is_terminal() {
        bail!("these programs are needed and not installed: {names}. Run this, or give --yes:\n  {shown}");
    }
    eprintln!("{names}: not installed. This installs what is missing:\n  {shown}");
    if !unasked && !confirmed()? {
        bail!("nothing was installed");
    }
    // Indexes of a fresh machine are empty or old; a failure shows in the installation.
    let _ = apt(root).arg("update").arg("-q").stdout(std::io::stderr()).status();
    let mut command = apt(root);
    command.args(["install", "--yes", "--no-install-recommends"]).args(&packages).stdout(std::io::stderr());
    let status = command.status().context("cannot run apt-get")?;
    if !status.success() {
        bail!("the installation failed ({status}): {shown}");
    }
    match self::missing(programs) {
        still if still.is_empty() => Ok(()),
        still => bail!("still not installed: {}", still.join(", ")),
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

fn confirmed() -> Result<bool> {
    eprint!("Continue? [Y/n] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes") && !answer.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(package_of("ld"), "binutils");
        assert_eq!(missing(&["sh", "no-such-program-here"]), ["no-such-program-here"]);
    }
}
