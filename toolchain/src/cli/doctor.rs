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
    let kvm = accel::probe();
    all.push(Finding {
        what: "KVM",
        purpose: "fast VMs; TCG works without",
        present: kvm.is_ok(),
        needed: false,
        detail: kvm.err().unwrap_or_else(|| "a trial VM works".to_owned()),
    });
    let spaces = Command::new(std::env::current_exe().unwrap_or_default()).arg(crate::hosted::enter::PROBE).output();
    let refused = match spaces {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    all.push(Finding {
        what: "mount namespaces",
        purpose: "run --hosted",
        present: refused.is_none(),
        needed: false,
        detail: refused.unwrap_or_else(|| "usable".to_owned()),
    });
    let tun = Path::new("/dev/net/tun");
    all.push(Finding {
        what: "/dev/net/tun",
        purpose: "--net tap=NAME",
        present: tun.exists(),
        needed: false,
        detail: String::new(),
    });
    let folder = state::folder();
    all.push(Finding {
        what: "state folder",
        purpose: "ps, logs and the like",
        present: folder.is_ok(),
        needed: true,
        detail: folder.map_or_else(|error| format!("{error:#}"), |dir| dir.display().to_string()),
    });
    let sysroot = paths::default_sysroot().ok().filter(|dir| dir.join("share/unibody/stamp").is_file());
    all.push(Finding {
        what: "toolchain",
        purpose: "building",
        present: sysroot.is_some(),
        needed: false,
        detail: sysroot.map_or_else(|| "made when it is needed".to_owned(), |dir| dir.display().to_string()),
    });
    all
}

fn program(name: &'static str, purpose: &'static str, needed: bool) -> Finding {
    let found = command::find(name);
    let version = |path| {
        let output = Command::new(path).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    let detail = match &found {
        Some(path) => version(path).unwrap_or_default(),
        None => format!("package {}", packages::package_of(name)),
    };
    Finding { what: name, purpose, present: found.is_some(), needed, detail }
}
