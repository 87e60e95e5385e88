//! `unibody uninstall`.

use crate::output;
use crate::{files, packages, paths, state};
use anyhow::{Result, bail, ensure};
use std::io::IsTerminal;
use std::path::PathBuf;

/// Remove everything that unibody keeps on this machine; disks and images stay
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody uninstall\n  unibody uninstall --yes\n\n\
    What is removed is listed first. Folders made with `unibody toolchain --prefix DIR` are yours and stay.")]
pub struct Uninstall {}

impl Uninstall {
    pub fn run(self, yes: bool) -> Result<u8> {
        let running: Vec<_> = state::list()?.into_iter().filter(|entry| entry.running).collect();
        if let Some(entry) = running.first() {
            bail!("the VM '{0}' is running; `unibody stop {0}` first", entry.record.name);
        }
        let mut all = vec![(paths::cache()?, "toolchain, sources and builds"), (state::folder()?, "logs of ended VMs")];
        all.extend(installed()?.map(|file| (file, "the command itself")));
        all.retain(|(path, _)| path.exists());
        for (path, what) in &all {
            output::line(&format!("{}  ({what})", path.display()))?;
        }
        ensure!(yes || confirmed()?, "nothing was removed");
        for (path, _) in &all {
            files::remove(path)?;
        }
        Ok(0)
    }
}

/// The command, where `cargo install` put it. One in a clone's target folder belongs to the clone.
fn installed() -> Result<Option<PathBuf>> {
    let exe = std::env::current_exe()?;
    let by_cargo = exe.parent().and_then(|bin| bin.parent()).is_some_and(|root| root.join(".crates.toml").is_file());
    Ok(by_cargo.then_some(exe))
}

fn confirmed() -> Result<bool> {
    ensure!(std::io::stdin().is_terminal(), "nobody can be asked here: give --yes to remove these");
    packages::confirmed("Remove all of this? [y/N]", &["y", "yes"])
}
