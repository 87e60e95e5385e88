//! The QEMU command line.

use super::fd;
use crate::vmm::board::{Board, Bus};
use crate::vmm::{Disk, Forward, Machine, Network, Share, Stream};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Where the streams go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// To sockets that QEMU inherits with the numbers of [`fd`].
    Inherited,
    /// To the standard streams of a command line that people start by hand. QEMU closes these, output included, at the
    /// end of its input, so without a terminal to read from it gets no input at all.
    ByHand {
        /// Whether the input is a terminal.
        input: bool,
    },
}

/// The arguments for QEMU.
pub fn arguments(machine: &Machine, streams: Streams) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    let board = &machine.board;
    // QEMU splits the name at commas.
    add(&["-name", &machine.name.replace(',', "-"), "-accel", machine.accel.name(), "-cpu", &processor(machine)]);
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    let memory = format!("{}K", machine.memory.div_ceil(1024));
    add(&["-M", &board.0, "-smp", &machine.processors.to_string(), "-m", &memory]);
    if board.bus() == Bus::Mmio {
        add(&["-global", "virtio-mmio.force-legacy=false"]);
    }
    for port in &machine.ports {
        add(&["-chardev", &chardev(port.stream, streams)]);
    }
    let log = match streams {
        Streams::Inherited => format!("socket,id=log,fd={}", fd::SERIAL),
        Streams::ByHand { .. } => "file,id=log,path=/dev/stderr,append=on".to_owned(),
    };
    add(&["-chardev", &log, "-serial", "chardev:log"]);
    // Number 0 is the console proper.
    add(&["-device", &format!("{},id=ports,max_ports={}", virtio(board, "serial"), machine.ports.len() + 1)]);
    for (number, port) in (1..).zip(&machine.ports) {
        let id = id(port.stream);
        add(&[
            "-device",
            &match port.name {
                Some(name) => format!("virtserialport,bus=ports.0,nr={number},chardev={id},name={name}"),
                None => format!("virtconsole,bus=ports.0,nr=0,chardev={id}"),
            },
        ]);
    }
    add(&["-device", &virtio(board, "rng")]);
    for one in &machine.disks {
        add(&disk(board, one).each_ref().map(String::as_str));
    }
    if let Some(card) = &machine.card {
        // Without a ROM the firmware spends no time trying to boot from the network.
        let rom = if board.bus() == Bus::Pci { ",romfile=" } else { "" };
        add(&["-netdev", &netdev(&card.network)]);
        add(&["-device", &format!("{},netdev=net,mac={}{rom}", virtio(board, "net"), card.mac)]);
    }
    if streams == Streams::Inherited {
        add(&["-chardev", &format!("socket,id=qmp,fd={}", fd::QMP), "-mon", "chardev=qmp,mode=control"]);
    }
    for share in &machine.shares {
        let tag = &share.tag;
        args.extend(["-fsdev".into(), fsdev(share)]);
        args.extend(["-device".into(), format!("{},fsdev={tag},mount_tag={tag}", virtio(board, "9p")).into()]);
    }
    for (name, file) in &machine.firmware {
        let file = [format!("name={name},file=").as_bytes(), &value(file.as_os_str())].concat();
        args.extend(["-fw_cfg".into(), OsString::from_vec(file)]);
    }
    args.extend(["-kernel".into(), machine.kernel.clone().into(), "-initrd".into(), machine.initrd.clone().into()]);
    if !machine.command_line.is_empty() {
        args.extend(["-append".into(), machine.command_line.clone().into()]);
    }
    args
}

/// Every feature of the accelerator except those left out.
fn processor(machine: &Machine) -> String {
    machine.without.iter().fold("max".to_owned(), |text, feature| format!("{text},-{feature}"))
}

/// QEMU's name of a virtio device on this board: `virtio-net-pci` or `virtio-net-device`.
fn virtio(board: &Board, device: &str) -> String {
    match board.bus() {
        Bus::Pci => format!("virtio-{device}-pci"),
        Bus::Mmio => format!("virtio-{device}-device"),
    }
}

fn id(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdio => "stdio",
        Stream::Stderr => "stderr",
        Stream::Control => "control",
    }
}

fn chardev(stream: Stream, streams: Streams) -> String {
    let id = id(stream);
    match (streams, stream) {
        (Streams::Inherited, Stream::Stdio) => format!("socket,id={id},fd={}", fd::STDIO),
        (Streams::Inherited, Stream::Stderr) => format!("socket,id={id},fd={}", fd::STDERR),
        (Streams::Inherited, Stream::Control) => format!("socket,id={id},fd={}", fd::CONTROL),
        (Streams::ByHand { input: true }, Stream::Stdio) => format!("stdio,id={id},signal=off"),
        (Streams::ByHand { .. }, Stream::Stdio) => format!("file,id={id},path=/dev/stdout,append=on"),
        (Streams::ByHand { .. }, Stream::Stderr) => format!("file,id={id},path=/dev/stderr,append=on"),
        (Streams::ByHand { .. }, Stream::Control) => format!("null,id={id}"),
    }
}

fn disk(board: &Board, disk: &Disk) -> [String; 4] {
    let id = &disk.serial;
    let file = disk.file.display().to_string().replace(',', ",,");
    let ro = if disk.read_only { ",read-only=on" } else { "" };
    let node =
        format!("driver=raw,node-name={id},discard=unmap{ro},file.driver=file,file.discard=unmap,file.filename={file}");
    // Otherwise QEMU silently stops the machine when the host's disk is full.
    let errors = "werror=report,rerror=report";
    let device = format!("{},drive={id},serial={id},{errors}", virtio(board, "blk"));
    ["-blockdev".to_owned(), node, "-device".to_owned(), device]
}

fn netdev(network: &Network) -> String {
    let (guest, forwards) = match network {
        Network::Tap(name) => return format!("tap,id=net,ifname={name},script=no,downscript=no"),
        Network::User { guest, forwards } => (guest, forwards),
    };
    let mut text = "user,id=net".to_owned();
    let mut target = String::new();
    if let Some((addr, prefix, gateway)) = *guest {
        text += &format!(",net={addr}/{prefix}");
        // QEMU's own end of the network answers as the guest's configured gateway.
        text += &gateway.map(|gateway| format!(",host={gateway}")).unwrap_or_default();
        target = addr.to_string();
    }
    for Forward { transport, host, guest } in forwards {
        text += &format!(",hostfwd={}:{host}-{target}:{guest}", transport.name());
    }
    text
}

/// `security_model=none`: files here have the same modes, links and names as in the guest, with this user's rights;
/// nothing is hidden in extended attributes, and no privilege is needed. `multidevs=remap`: inode numbers stay distinct
/// when other file systems are mounted below the folder.
fn fsdev(share: &Share) -> OsString {
    let mut text = format!("local,id={},path=", share.tag).into_bytes();
    text.extend_from_slice(&value(&share.dir));
    text.extend_from_slice(b",security_model=none,multidevs=remap");
    if share.read_only {
        text.extend_from_slice(b",readonly=on");
    }
    OsString::from_vec(text)
}

/// The text escaped as one of an option's values: QEMU's parser takes a doubled comma for a literal one.
fn value(text: &OsStr) -> Vec<u8> {
    let mut value = Vec::new();
    for &byte in text.as_bytes() {
        value.extend_from_slice(if byte == b',' { b",," } else { std::slice::from_ref(&byte) });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;
    use crate::vmm::accel::Accel;
    use crate::vmm::{Card, Port};
    use std::process::Command;
    use unibody_proto::control::Transport;

    fn machine(board: &str) -> Machine {
        let forward = |transport, host: &str, guest| Forward { transport, host: host.parse().unwrap(), guest };
        let forwards = vec![forward(Transport::Tcp, "127.0.0.1:8080", 80), forward(Transport::Udp, "0.0.0.0:53", 5353)];
        Machine {
            name: "it's".into(),
            board: board.parse().unwrap(),
            accel: Accel::Tcg,
            without: &[],
            processors: 2,
            memory: 64 << 20,
            kernel: "/a b/x.img".into(),
            initrd: "/p.cpio".into(),
            command_line: String::new(),
            firmware: vec![("opt/x".into(), "/a b/x,img".into())],
            ports: vec![
                Port { name: Some("first"), stream: Stream::Stdio },
                Port { name: Some("second"), stream: Stream::Control },
            ],
            disks: vec![Disk { file: "/d,1".into(), serial: "disk0".into(), read_only: true }],
            card: Some(Card { mac: "52:54:00:00:00:01".into(), network: Network::User { guest: None, forwards } }),
            shares: vec![Share { dir: "/my,dir".into(), tag: "share0".into(), read_only: true }],
        }
    }

    fn line(machine: &Machine, streams: Streams) -> String {
        command::line(Command::new("qemu").args(arguments(machine, streams)))
    }

    #[test]
    fn q35() {
        let line = line(&machine("q35"), Streams::Inherited);
        for part in [
            "qemu -name 'it'\\''s' -accel tcg -cpu max -nodefaults",
            "-M q35 -smp 2 -m 65536K",
            "-chardev socket,id=stdio,fd=3 -chardev socket,id=control,fd=5 -chardev socket,id=log,fd=6 -serial chardev:log",
            "-device virtio-serial-pci,id=ports,max_ports=3",
            "-device virtserialport,bus=ports.0,nr=2,chardev=control,name=second",
            "-blockdev driver=raw,node-name=disk0,discard=unmap,read-only=on,file.driver=file,file.discard=unmap,file.filename=/d,,1",
            "-device virtio-blk-pci,drive=disk0,serial=disk0,werror=report,rerror=report",
            "-netdev user,id=net,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:0.0.0.0:53-:5353",
            "-device virtio-net-pci,netdev=net,mac=52:54:00:00:00:01,romfile=",
            "-chardev socket,id=qmp,fd=7 -mon chardev=qmp,mode=control",
            "-fsdev local,id=share0,path=/my,,dir,security_model=none,multidevs=remap,readonly=on",
            "-device virtio-9p-pci,fsdev=share0,mount_tag=share0",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(line.ends_with("-fw_cfg 'name=opt/x,file=/a b/x,,img' -kernel '/a b/x.img' -initrd /p.cpio"), "{line}");
    }

    #[test]
    fn microvm_by_hand() {
        let microvm = line(&machine("microvm,acpi=off"), Streams::ByHand { input: true });
        assert!(
            microvm.contains("virtio-rng-device") && !microvm.contains("pci") && !microvm.contains("fd="),
            "{microvm}"
        );
        assert!(microvm.contains("stdio,id=stdio,signal=off"), "{microvm}");
        let pc = line(&machine("pc"), Streams::ByHand { input: false });
        assert!(pc.contains("file,id=stdio,path=/dev/stdout") && pc.contains("null,id=control"), "{pc}");
    }

    #[test]
    fn a_console_and_a_command_line() {
        let ports = vec![Port { name: None, stream: Stream::Stdio }];
        let machine =
            Machine { ports, without: &["erms", "rdrand"], command_line: "quiet -- x".into(), ..machine("q35") };
        let line = line(&machine, Streams::Inherited);
        assert!(line.contains("-cpu max,-erms,-rdrand ") && line.contains("-append 'quiet -- x'"), "{line}");
        assert!(line.contains("max_ports=2 -device virtconsole,bus=ports.0,nr=0,chardev=stdio"), "{line}");
    }

    #[test]
    fn networks() {
        let guest = Some(("192.168.5.9".parse().unwrap(), 24, Some("192.168.5.1".parse().unwrap())));
        let forwards = vec![Forward { transport: Transport::Tcp, host: "127.0.0.1:8080".parse().unwrap(), guest: 80 }];
        assert_eq!(
            netdev(&Network::User { guest, forwards }),
            "user,id=net,net=192.168.5.9/24,host=192.168.5.1,hostfwd=tcp:127.0.0.1:8080-192.168.5.9:80"
        );
        assert_eq!(netdev(&Network::Tap("tap0".into())), "tap,id=net,ifname=tap0,script=no,downscript=no");
    }
}
