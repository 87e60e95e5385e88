//! The QEMU command line.

use super::accel::Accel;
use super::machine::{Bus, Machine};
use crate::disk::{self, Disk};
use crate::run::net::{Net, Publish};
use crate::run::share::Share;
use anyhow::{Result, bail};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use unibody_proto::{IMAGE_FILE, port};

/// What is to be started.
pub struct Spec<'a> {
    /// `-name`.
    pub name: &'a str,
    /// The image.
    pub image: &'a Path,
    /// Archive with parameters and overlaid files.
    pub initrd: &'a Path,
    /// Bytes of memory.
    pub memory: u64,
    /// Processors.
    pub smp: u32,
    /// Machine type.
    pub machine: &'a Machine,
    /// Accelerator.
    pub accel: Accel,
    /// Network.
    pub net: &'a Net,
    /// Network address of the guest's card.
    pub mac: &'a str,
    /// Forwarded ports.
    pub publish: &'a [Publish],
    /// Folders of this machine.
    pub shares: &'a [Share],
    /// Disks.
    pub disks: &'a [Disk],
}

/// Where the streams go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// To sockets that QEMU inherits with the numbers of [`fd`].
    Inherited,
    /// Where a command line that people start has its own. QEMU closes its standard streams, output included, at the end
    /// of its input; so what has no terminal to read from gets no input at all.
    ByHand {
        /// Whether the input is a terminal.
        input: bool,
    },
}

/// Numbers of the sockets that QEMU inherits.
pub mod fd {
    /// Standard input and output.
    pub const STDIO: i32 = 3;
    /// Standard error.
    pub const STDERR: i32 = 4;
    /// Control protocol.
    pub const CONTROL: i32 = 5;
    /// Kernel log.
    pub const SERIAL: i32 = 6;
    /// QEMU's own monitor.
    pub const QMP: i32 = 7;
}

/// QEMU's name.
pub const NAME: &str = "qemu-system-x86_64";
/// Names another program to start in its place.
const VARIABLE: &str = "UNIBODY_QEMU";

/// Whether the user named the program to start.
pub fn chosen_by_hand() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|path| !path.is_empty())
}

/// Finds QEMU: `UNIBODY_QEMU`, else in `PATH`.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    match crate::command::find(NAME) {
        Some(file) => Ok(file),
        None => bail!("{NAME} is not installed (not in PATH); {VARIABLE} can name it"),
    }
}

/// The arguments for QEMU.
pub fn arguments(spec: &Spec, streams: Streams) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    let machine = spec.machine;
    add(&["-name", spec.name, "-accel", spec.accel.name(), "-cpu", "max"]);
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    add(&["-M", &machine.0, "-smp", &spec.smp.to_string(), "-m", &format!("{}K", spec.memory.div_ceil(1024))]);
    if machine.bus() == Bus::Mmio {
        add(&["-global", "virtio-mmio.force-legacy=false"]);
    }
    for (id, number) in [("stdio", fd::STDIO), ("stderr", fd::STDERR), ("control", fd::CONTROL), ("log", fd::SERIAL)] {
        let device = match (streams, id) {
            (Streams::Inherited, _) => format!("socket,id={id},fd={number}"),
            (Streams::ByHand { input: true }, "stdio") => "stdio,id=stdio,signal=off".to_owned(),
            (Streams::ByHand { .. }, "stdio") => "file,id=stdio,path=/dev/stdout,append=on".to_owned(),
            (Streams::ByHand { .. }, "control") => "null,id=control".to_owned(),
            (Streams::ByHand { .. }, _) => format!("file,id={id},path=/dev/stderr,append=on"),
        };
        add(&["-chardev", &device]);
    }
    add(&["-serial", "chardev:log"]);
    add(&["-device", &format!("{},id=ports,max_ports=4", machine.virtio("serial"))]);
    for (number, id, name) in [(1, "stdio", port::STDIO), (2, "stderr", port::STDERR), (3, "control", port::CONTROL)] {
        add(&["-device", &format!("virtserialport,bus=ports.0,nr={number},chardev={id},name={name}")]);
    }
    add(&["-device", &machine.virtio("rng")]);
    for (number, one) in spec.disks.iter().enumerate() {
        add(&disk_words(machine, number, &one.file, one.read_only).each_ref().map(String::as_str));
    }
    if let Some(netdev) = spec.net.netdev(spec.publish) {
        // Without a ROM the firmware does not spend time on booting from the network.
        let rom = if machine.bus() == Bus::Pci { ",romfile=" } else { "" };
        add(&["-netdev", &netdev]);
        add(&["-device", &format!("{},netdev=net,mac={}{rom}", machine.virtio("net"), spec.mac)]);
    }
    if streams == Streams::Inherited {
        add(&["-chardev", &format!("socket,id=qmp,fd={}", fd::QMP), "-mon", "chardev=qmp,mode=control"]);
    }
    for (number, share) in spec.shares.iter().enumerate() {
        let tag = Share::tag(number);
        args.extend(["-fsdev".into(), share.fsdev(number)]);
        args.extend(["-device".into(), format!("{},fsdev={tag},mount_tag={tag}", machine.virtio("9p")).into()]);
    }
    // For the program to read: of the kernel it gets the segments only.
    let file = [format!("name={IMAGE_FILE},file=").as_bytes(), &value(spec.image.as_os_str())].concat();
    args.extend(["-fw_cfg".into(), OsString::from_vec(file)]);
    args.extend(["-kernel".into(), spec.image.into(), "-initrd".into(), spec.initrd.into()]);
    args
}

/// The text as the value of an option with several: QEMU's parser takes a doubled comma for one.
pub fn value(text: &OsStr) -> Vec<u8> {
    let mut value = Vec::new();
    for &byte in text.as_bytes() {
        value.extend_from_slice(if byte == b',' { b",," } else { std::slice::from_ref(&byte) });
    }
    value
}

/// The arguments for disk `number`.
pub fn disk_words(machine: &Machine, number: usize, file: &Path, read_only: bool) -> [String; 4] {
    let id = disk::serial(number);
    let file = file.display().to_string().replace(',', ",,");
    let ro = if read_only { ",read-only=on" } else { "" };
    let node =
        format!("driver=raw,node-name={id},discard=unmap{ro},file.driver=file,file.discard=unmap,file.filename={file}");
    // Otherwise QEMU stops a machine without a word when this one's disk is full.
    let errors = "werror=report,rerror=report";
    let device = format!("{},drive={id},serial={id},{errors}", machine.virtio("blk"));
    ["-blockdev".to_owned(), node, "-device".to_owned(), device]
}

/// A command line as a shell takes it.
pub fn shell_line(program: &Path, args: &[OsString]) -> String {
    let words = std::iter::once(program.as_os_str()).chain(args.iter().map(OsString::as_os_str));
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./=:,+@%".contains(&b);
        if !word.is_empty() && word.bytes().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(machine: &str, streams: Streams) -> String {
        let machine = machine.parse().unwrap();
        let shares = [Share::parse("/my,dir:/data:ro".into()).unwrap()];
        let publish = ["8080:80".parse().unwrap(), "0.0.0.0:53:5353/udp".parse().unwrap()];
        let spec = Spec {
            name: "it's",
            image: Path::new("/a b/x.img"),
            initrd: Path::new("/p.cpio"),
            memory: 64 << 20,
            smp: 2,
            machine: &machine,
            accel: Accel::Tcg,
            net: &Net::User { guest: None },
            mac: "52:54:00:00:00:01",
            publish: &publish,
            shares: &shares,
            disks: &[],
        };
        shell_line(Path::new("qemu"), &arguments(&spec, streams))
    }

    #[test]
    fn q35() {
        let line = line("q35", Streams::Inherited);
        for part in [
            "qemu -name 'it'\\''s' -accel tcg -cpu max",
            "-M q35 -smp 2 -m 65536K",
            "-chardev socket,id=stdio,fd=3",
            "-device virtio-serial-pci,id=ports,max_ports=4",
            "-device virtserialport,bus=ports.0,nr=3,chardev=control,name=org.unibody.control",
            "hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:0.0.0.0:53-:5353",
            "-fsdev local,id=share0,path=/my,,dir,security_model=none,multidevs=remap,readonly=on",
            "-device virtio-9p-pci,fsdev=share0,mount_tag=share0",
            "-device virtio-net-pci,netdev=net,mac=52:54:00:00:00:01,romfile=",
            "-fw_cfg 'name=opt/org.unibody/image,file=/a b/x.img' -kernel '/a b/x.img' -initrd /p.cpio",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn microvm_by_hand() {
        let line = line("microvm,acpi=off", Streams::ByHand { input: true });
        assert!(line.contains("virtio-rng-device") && !line.contains("pci") && !line.contains("fd="), "{line}");
        assert!(line.contains("stdio,id=stdio,signal=off"), "{line}");
        assert!(self::line("pc", Streams::ByHand { input: false }).contains("file,id=stdio,path=/dev/stdout"));
    }
}
