//! Programs of this machine that cases need, and the Debian packages that contain them.

use super::case::Need;
use unibody::packages::{self, Program};
use unibody_support::{netns, redis, wrk};

const GRUB: &[Program] = &[
    ("grub-mkrescue", "grub-common"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
    ("/usr/lib/grub/i386-pc/multiboot2.mod", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi/multiboot2.mod", "grub-efi-amd64-bin"),
    (FIRMWARE, "ovmf"),
];
const LOAD: &[Program] = &[wrk::TOOL, netns::TOOLS[0], netns::TOOLS[1], netns::TOOLS[2], netns::TOOLS[3]];
const DISK: &[Program] =
    &[("/usr/sbin/mkfs.vfat", "dosfstools"), ("/usr/sbin/fsck.vfat", "dosfstools"), ("mcopy", "mtools")];

/// UEFI firmware for QEMU.
pub const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE.fd";

/// The programs for a need.
fn of(need: Need) -> &'static [Program<'static>] {
    match need {
        Need::Grub => GRUB,
        Need::Load => LOAD,
        Need::Disk => DISK,
        Need::LinuxSqlite => &[("sqlite3", "sqlite3")],
        Need::RedisClients => &[redis::CLI, redis::BENCHMARK],
        Need::Tcl => &[("tclsh", "tcl")],
        Need::Setpriv => &[("setpriv", "util-linux")],
        Need::Strace => &[("strace", "strace")],
        Need::Toolchain | Need::Nginx | Need::Sqlite => &[],
    }
}

/// Installs what these needs require. Returns those whose programs are unavailable, and why.
pub fn ensure(needs: &[Need], yes: bool) -> Vec<(Need, String)> {
    let lacking = |need: &Need| Some((*need, format!("{:#}", packages::ensure_these(of(*need), yes).err()?)));
    needs.iter().filter_map(lacking).collect()
}

/// The result of a case whose programs are unavailable: `Ok` skips it, `Err` fails it. CI must not turn green by
/// testing less.
pub fn absent(reason: &str, ci: bool) -> Result<String, String> {
    if ci { Err(reason.to_owned()) } else { Ok(reason.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_skips_nothing_for_want_of_a_program() {
        assert_eq!(absent("no wrk", false), Ok("no wrk".to_owned()));
        assert_eq!(absent("no wrk", true), Err("no wrk".to_owned()));
    }
}
