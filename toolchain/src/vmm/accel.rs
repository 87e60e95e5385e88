//! Which accelerator: KVM if it really works, else QEMU's translator (TCG).

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// `--accel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Wanted {
    /// KVM if it really works, else TCG with one line saying so.
    Auto,
    /// KVM or nothing.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// The accelerator in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    /// As QEMU spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// Chooses; the text, if any, is a message for the user.
pub fn choose(wanted: Wanted) -> Result<(Accel, Option<String>)> {
    match wanted {
        Wanted::Tcg => Ok((Accel::Tcg, None)),
        Wanted::Kvm => match probe() {
            Ok(()) => Ok((Accel::Kvm, None)),
            Err(why) => bail!("KVM does not work here: {why}; --accel tcg works without it"),
        },
        Wanted::Auto => match probe() {
            Ok(()) => Ok((Accel::Kvm, None)),
            Err(why) => Ok((Accel::Tcg, Some(format!("no KVM ({why}): using TCG, much slower")))),
        },
    }
}

/// Whether KVM works; if not, why.
pub fn probe() -> Result<(), String> {
    // A /dev/kvm on a processor that shows neither Intel's nor AMD's virtualisation is some sandbox's stand-in: it may
    // create VMs and then run them wrongly. Hardware KVM never comes without the flag.
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !std::path::Path::new("/dev/kvm").exists() {
        return Err("/dev/kvm does not exist".to_owned());
    }
    if !has_virtualisation(&cpuinfo) {
        return Err("the processor shows neither vmx nor svm".to_owned());
    }
    // Often the node exists but the module refuses: only a VM with a processor proves that it works.
    let attempt = || kvm_ioctls::Kvm::new()?.create_vm()?.create_vcpu(0).map(drop);
    attempt().map_err(|error| match error.errno() {
        nix::libc::EACCES | nix::libc::EPERM => "no permission to use /dev/kvm".to_owned(),
        _ => format!("a trial VM failed: {error}"),
    })
}

fn has_virtualisation(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_ascii_whitespace().any(|flag| matches!(flag, "vmx" | "svm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags() {
        assert!(has_virtualisation("model : x\nflags\t\t: fpu svm sse\n"));
        assert!(has_virtualisation("flags : vmx"));
        assert!(!has_virtualisation("flags\t\t: fpu hypervisor svml\nbugs : vmx"));
        assert!(!has_virtualisation(""));
    }

    #[test]
    fn asked_for_tcg_means_tcg() {
        assert_eq!(choose(Wanted::Tcg).unwrap(), (Accel::Tcg, None));
    }
}
