//! `unibody doctor`.

use crate::output;
use crate::vmm::accel;
use crate::{command, packages, paths, state};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;
use std::process::Command;

/// Show what this machine has and lacks
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  unibody doctor\n  unibody doctor --json\n\n\
    Ends with 1 when something is lacking that building or running needs.")]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Finding {
    what: &'static str,
    /// What it is for.
    purpose: &'static str,
    present: bool,
    needed: bool,
    /// The version, or what to do.
    detail: String,
}

impl Doctor {
    pub fn run(self) -> Result<u8> {
        let findings = findings();
        if self.json {
            output::json(&findings)?;
        } else {
            let rows: Vec<_> = findings.iter().map(row).collect();
            output::text(&output::table(&rows))?;
        }
        Ok(findings.iter().any(|finding| finding.needed && !finding.present).into())
    }
}

fn row(finding: &Finding) -> Vec<String> {
    let mark = match (finding.present, finding.needed) {
        (true, _) => "ok",
        (false, true) => "MISSING",
        (false, false) => "no",
    };
    [mark, finding.what, finding.purpose, &finding.detail].map(str::to_owned).to_vec()
}

fn findings() -> Vec<Finding> {
    let mut all: Vec<_> = [
        ("qemu-system-x86_64", "running VMs", true),
        ("gcc", "building", true),
        ("ld", "building", true),
        ("make", "building", true),
        ("cargo", "building the kernel", true),
        ("dpkg-source", "unpacking sources", true),
        ("apt-get", "fetching sources and installing what is missing", false),
        ("curl", "trying servers", false),
    ]
    .into_iter()
    .map(|(name, purpose, needed)| program(name, purpose, needed))
    .collect();
    let kvm = accel::probe().map(|()| "a trial VM works".to_owned());
    let probe = Command::new(std::env::current_exe().unwrap_or_default()).arg(crate::hosted::enter::PROBE).output();
    let spaces = match probe {
        Ok(output) if output.status.success() => Ok("usable".to_owned()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let tun = if Path::new("/dev/net/tun").exists() { Ok(String::new()) } else { Err(String::new()) };
    let folder = state::folder().map(|dir| dir.display().to_string()).map_err(|error| format!("{error:#}"));
    let sysroot = paths::default_sysroot().ok().filter(|dir| dir.join("share/unibody/stamp").is_file());
    let sysroot = sysroot.map(|dir| dir.display().to_string()).ok_or_else(|| "made when it is needed".to_owned());
    all.extend([
        finding("KVM", "fast VMs; TCG works without", false, kvm),
        finding("mount namespaces", "run --hosted", false, spaces),
        finding("/dev/net/tun", "--net tap=NAME", false, tun),
        finding("state folder", "ps, logs and the like", true, folder),
        finding("toolchain", "building", false, sysroot),
    ]);
    all
}

/// `detail`: present, with this version; or missing, and what to do.
fn finding(what: &'static str, purpose: &'static str, needed: bool, detail: Result<String, String>) -> Finding {
    Finding { what, purpose, present: detail.is_ok(), needed, detail: detail.unwrap_or_else(|what| what) }
}

fn program(name: &'static str, purpose: &'static str, needed: bool) -> Finding {
    let version = |path| {
        let output = Command::new(path).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    let found = command::find(name).map(|path| version(path).unwrap_or_default());
    finding(name, purpose, needed, found.ok_or_else(|| format!("package {}", packages::package_of(name))))
}
