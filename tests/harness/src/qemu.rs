//! Other machines from the same command line: scripts that stand in for QEMU, change its arguments, and start it.

use super::tools::FIRMWARE;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// A change of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Every virtio device behind its own PCI Express root port, modern only, as libvirt does.
    RootPorts,
    /// virtio-mmio devices of version 1.
    LegacyMmio,
    /// Legacy-only PCI devices.
    LegacyPci,
    /// A network device without event index.
    NoEventIndex,
    /// GRUB, started by the BIOS, loads the image from a CD with multiboot2.
    GrubBios,
    /// The same, started by UEFI.
    GrubUefi,
    /// No random number device and a processor without RDRAND.
    NoEntropy,
}

/// Writes the script.
pub fn script(folder: &Path, change: Change) -> Result<PathBuf> {
    let body = match change {
        Change::RootPorts => rewrite(
            "virtio-*-pci|virtio-*-pci,*) n=$((n + 1)); \
             set -- \"$@\" \"pcie-root-port,id=rp$n,chassis=$n,slot=$n\" -device \"$a,bus=rp$n,disable-legacy=on,disable-modern=off\" ;;",
        ),
        Change::LegacyPci => {
            rewrite("virtio-*-pci|virtio-*-pci,*) set -- \"$@\" \"$a,disable-modern=on,disable-legacy=off\" ;;")
        }
        Change::LegacyMmio => rewrite("virtio-mmio.force-legacy=*) set -- \"$@\" virtio-mmio.force-legacy=true ;;"),
        Change::NoEventIndex => rewrite("virtio-net-*) set -- \"$@\" \"$a,event_idx=off\" ;;"),
        Change::NoEntropy => {
            rewrite("max) set -- \"$@\" max,-rdrand,-rdseed ;; virtio-rng-*) set -- \"$@\" pci-testdev ;;")
        }
        Change::GrubBios => grub(""),
        Change::GrubUefi => grub(&format!("-drive if=pflash,format=raw,readonly=on,file={FIRMWARE}")),
    };
    write_script(folder, &format!("qemu-{change:?}"), &body)
}

/// Writes a script with this body.
pub fn write_script(folder: &Path, name: &str, body: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let text = format!("#!/bin/sh\n# Stands in for QEMU: changes the arguments, then starts it.\n{body}");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// A script that passes the arguments through branches of a `case`, then starts QEMU.
pub fn rewrite(patterns: &str) -> String {
    format!(
        "n=0\nfor a do\n  shift\n  case $a in\n  {patterns}\n  *) set -- \"$@\" \"$a\" ;;\n  esac\ndone\nexec qemu-system-x86_64 \"$@\"\n"
    )
}

/// Removes `-kernel` and `-initrd` from the arguments and puts both files onto a CD that starts GRUB.
fn grub(firmware: &str) -> String {
    format!(
        r#"here=$(dirname "$0")/cd.$$
mkdir -p "$here/tree/boot/grub"
next=
for a do
  shift
  case $next in
  kernel) cp "$a" "$here/tree/boot/image"; next=; continue ;;
  initrd) cp "$a" "$here/tree/boot/initrd"; next=; continue ;;
  esac
  case $a in
  -kernel) next=kernel ;;
  -initrd) next=initrd ;;
  *) set -- "$@" "$a" ;;
  esac
done
printf 'set timeout=0\nmenuentry unibody {{\n multiboot2 /boot/image\n module2 /boot/initrd\n}}\n' > "$here/tree/boot/grub/grub.cfg"
grub-mkrescue -o "$here/cd.iso" "$here/tree" > "$here/log" 2>&1 || {{ cat "$here/log" >&2; exit 1; }}
rm -r "$here/tree"
exec qemu-system-x86_64 "$@" {firmware} -cdrom "$here/cd.iso" -boot d
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Runs the script with `echo` instead of QEMU.
    fn rewritten(change: Change, words: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let script = script(dir.path(), change).unwrap();
        let fake = dir.path().join("qemu-system-x86_64");
        std::fs::write(&fake, "#!/bin/sh\necho \"$@\"\n").unwrap();
        assert!(Command::new("chmod").arg("755").arg(&fake).status().unwrap().success());
        let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
        let out = Command::new(&script).args(words).env("PATH", path).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn root_ports() {
        let got = rewritten(
            Change::RootPorts,
            &["-device", "virtio-net-pci,netdev=net", "-m", "1", "-device", "virtio-rng-pci"],
        );
        assert_eq!(
            got,
            "-device pcie-root-port,id=rp1,chassis=1,slot=1 -device virtio-net-pci,netdev=net,bus=rp1,disable-legacy=on,\
             disable-modern=off -m 1 -device pcie-root-port,id=rp2,chassis=2,slot=2 -device \
             virtio-rng-pci,bus=rp2,disable-legacy=on,disable-modern=off"
        );
    }

    #[test]
    fn event_index() {
        assert_eq!(
            rewritten(Change::NoEventIndex, &["-device", "virtio-net-device,netdev=n"]),
            "-device virtio-net-device,netdev=n,event_idx=off"
        );
    }
}
