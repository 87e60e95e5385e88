//! From options to everything needed to start a VM, with every check that can be made beforehand.

use super::brought;
use super::initrd;
use super::net::{Net, Publish, random_mac};
use super::options::RunArgs;
use super::share::{self, Share};
use crate::disk::{self, Disk};
use crate::failure::usage;
use crate::image::Image;
use crate::state::{self, Record, record};
use crate::vmm::accel::{self, Accel};
use crate::vmm::{self, Backend, Board, Card, Machine, Port, Stream, USER_IP};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;
use unibody_proto::net::Ip4;
use unibody_proto::params::key;
use unibody_proto::{IMAGE_FILE, note, port};

/// A VM that can be started.
pub struct Prepared {
    /// Its record; the name may still be empty.
    pub record: Record,
    /// The base of a generated name, if none was given.
    pub stem: String,
    /// Contents of the initrd.
    pub initrd: Vec<u8>,
    pub net: Net,
    pub publish: Vec<Publish>,
    /// The VMM.
    pub vmm: Box<dyn Backend>,
    accel: Accel,
    mac: String,
    /// The image's file.
    pub image: PathBuf,
    args: RunArgs,
    /// Locked for as long as this lives.
    disks: Vec<Disk>,
}

/// Checks and computes everything. `say` gets messages for the user.
pub fn prepare(args: &RunArgs, image: &Image, say: &mut dyn FnMut(&str)) -> Result<Prepared> {
    let vmm = vmm::find(&args.vmm)?;
    let ip = args.ip.as_deref().unwrap_or(if args.net == "user" { USER_IP } else { "dhcp" });
    let net = Net::new(&args.net, &Ip4::parse(ip).unwrap_or(Ip4::Dhcp))?;
    if !args.publish.is_empty() && !matches!(net, Net::User { .. }) {
        return Err(usage(format!(
            "-p forwards ports of the user network; with --net {net} the guest {}",
            if net == Net::None { "has no network" } else { "is reached at its own address" }
        )));
    }
    if !args.disk.is_empty() && !image.has(note::DISK) {
        bail!("{} cannot use disks: it opens no files, or was built without them", args.image.display());
    }
    share::check_disks(&args.volume, &args.disk)?;
    let disks = disk::open_all(&args.disk, args.disk_size, say)?;
    if !args.volume.is_empty() && !image.has(note::SHARE) {
        bail!(
            "{} cannot use folders of this machine: it opens no files, or was built without them",
            args.image.display()
        );
    }
    share::check(&args.volume)?;
    brought::left_alone(args, image)?.iter().for_each(|line| say(line));
    let initrd = initrd::build(args, image, &net, &disks)?;
    check_memory(args.memory, image, &args.machine, &args.image, initrd.len() as u64)?;
    let publish = reserve(args, image, &net, say)?;
    let (accel, note) = accel::choose(args.accel)?;
    if let Some(note) = note {
        say(&note);
    }
    let mac = match &args.mac {
        Some(mac) => mac.clone(),
        None => random_mac()?,
    };
    let path = std::path::absolute(&image.path)?;
    let record = Record {
        name: args.name.clone().unwrap_or_default(),
        image: path.display().to_string(),
        args: args.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect(),
        machine: args.machine.0.clone(),
        accel: accel.name().to_owned(),
        memory: args.memory,
        smp: args.smp,
        net: net.to_string(),
        mac: (net != Net::None).then(|| mac.clone()),
        publish: publish.iter().map(Publish::to_string).collect(),
        disks: disks.iter().map(|disk| disk.file.display().to_string()).collect(),
        detached: args.detach,
        supervisor: std::process::id(),
        vmm: 0,
        started: record::now(),
        ended: None,
    };
    // The name that the user typed: a port's image has some other name in the cache.
    let stem = args.image.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Prepared { record, stem, initrd, net, publish, vmm, accel, mac, image: path, args: args.clone(), disks })
}

impl Prepared {
    /// Whether the program's streams are the user's terminal.
    pub fn on_terminal(&self) -> bool {
        self.args.terminal.is_some()
    }

    /// How long the program may take to end when asked to.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.args.stop_timeout)
    }

    /// The machine, once the name and the initrd's path are known.
    pub fn machine(&self, initrd: &Path) -> Machine {
        let name = if self.record.name.is_empty() { &self.stem } else { &self.record.name };
        let port = |name, stream| Port { name: Some(name), stream };
        let disk =
            |disk: &Disk| vmm::Disk { file: disk.file.clone(), serial: disk.serial.clone(), read_only: disk.read_only };
        let share = |(number, share): (usize, &Share)| vmm::Share {
            dir: share.dir.clone(),
            tag: Share::tag(number),
            read_only: share.read_only,
        };
        Machine {
            name: name.clone(),
            board: self.args.machine.clone(),
            accel: self.accel,
            without: &[],
            processors: self.args.smp,
            memory: self.args.memory,
            kernel: self.image.clone(),
            initrd: initrd.to_owned(),
            command_line: String::new(),
            // So that the program can read the file: only its segments are loaded as the kernel.
            firmware: vec![(IMAGE_FILE.to_owned(), self.image.clone())],
            ports: vec![
                port(port::STDIO, Stream::Stdio),
                port(port::STDERR, Stream::Stderr),
                port(port::CONTROL, Stream::Control),
            ],
            disks: self.disks.iter().map(disk).collect(),
            card: self.net.network(&self.publish).map(|network| Card { mac: self.mac.clone(), network }),
            shares: self.args.volume.iter().enumerate().map(share).collect(),
        }
    }
}

/// What `.note.unibody` allows for the archive of parameters.
const PARAMETERS: u64 = 4096;

/// Refuses sizes with which the VMM would hang or die silently.
fn check_memory(memory: u64, image: &Image, board: &Board, shown: &Path, initrd: u64) -> Result<()> {
    const MIB: u64 = 1 << 20;
    // Parameters alone fit into the note's slack; an overlay is added.
    let overlay = initrd.saturating_sub(PARAMETERS);
    let needed = image.min_memory.saturating_add(overlay + board.firmware_memory());
    if memory < needed {
        let least = needed.div_ceil(MIB);
        let given =
            if memory.is_multiple_of(MIB) { format!("{}M", memory / MIB) } else { format!("{}K", memory / 1024) };
        let with = if overlay >= MIB { " with its --rootfs" } else { "" };
        bail!("-m {given} is too little: {}{with} needs at least {least}M", shown.display());
    }
    Ok(())
}

/// The forwarded ports, checked to be free. Those that the image itself asks for are replaced by a free port if taken.
fn reserve(args: &RunArgs, image: &Image, net: &Net, say: &mut dyn FnMut(&str)) -> Result<Vec<Publish>> {
    let mut publish = args.publish.clone();
    for (number, one) in publish.iter_mut().enumerate() {
        if args.publish[..number].iter().any(|other| other.host == one.host && other.transport == one.transport)
            && one.host.port() != 0
        {
            return Err(usage(format!("-p: {} is given twice", one.host)));
        }
        take(one)?;
    }
    if publish.is_empty() && matches!(net, Net::User { .. }) {
        for value in image.default_list(key::TOOL_PUBLISH)? {
            let text = String::from_utf8_lossy(&value);
            let Ok(mut one) = text.parse::<Publish>() else {
                bail!("{}: the image asks for a strange port '{text}'", image.path.display());
            };
            let wanted = one.host.port();
            if take(&mut one).is_err() {
                one.host.set_port(0);
                take(&mut one)?;
                say(&format!("port {wanted} is in use: using {} instead", one.host.port()));
            }
            publish.push(one);
        }
    }
    Ok(publish)
}

/// The VM of ours that has this port, if any: one that is just starting does not listen yet.
fn held_by(publish: &Publish) -> Option<String> {
    let others = state::list().unwrap_or_default().into_iter().filter(|entry| entry.running);
    let holds = |other: &str| {
        let other = other.parse::<Publish>().ok()?;
        let (a, b) = (*other.host.ip(), *publish.host.ip());
        let overlap = a == b || a.is_unspecified() || b.is_unspecified();
        Some(overlap && other.host.port() == publish.host.port() && other.transport == publish.transport)
    };
    let mut holders = others.filter(|entry| entry.record.publish.iter().any(|one| holds(one).unwrap_or(false)));
    Some(holders.next()?.record.name)
}

/// Takes a port if it is free; port 0 becomes a free one.
fn take(publish: &mut Publish) -> Result<()> {
    if publish.host.port() != 0
        && let Some(name) = held_by(publish)
    {
        let port = publish.host.port();
        bail!("-p {publish}: port {port} is in use by the VM '{name}'; choose another, or `unibody stop {name}`");
    }
    publish.reserve().map_err(|error| busy(publish, &error))
}

/// The failure for a port that is taken, with the holder's name if known.
fn busy(publish: &Publish, error: &std::io::Error) -> anyhow::Error {
    let port = publish.host.port();
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let holder = super::holder::of(publish.transport, port).unwrap_or_else(|| "by another process".into());
            anyhow::anyhow!("-p {publish}: port {port} is in use {holder}; choose another")
        }
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("-p {publish}: an ordinary user may not listen on port {port}; choose one from 1024 up")
        }
        std::io::ErrorKind::AddrNotAvailable => {
            anyhow::anyhow!("-p {publish}: this machine does not have the address {}", publish.host.ip())
        }
        _ => anyhow::anyhow!("-p {publish}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::fake_image;

    #[test]
    fn memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.img");
        std::fs::write(&path, fake_image((4 << 20) + 1)).unwrap();
        let image = Image::open(&path).unwrap();
        let check = |memory, board: &str, initrd| {
            let done = check_memory(memory, &image, &board.parse().unwrap(), Path::new("x"), initrd);
            done.map_err(|error| error.to_string())
        };
        assert!(check(5 << 20, "q35", 4096).is_ok());
        let error = check(2 << 20, "microvm", 4096).unwrap_err();
        assert!(error.starts_with("-m 2M is too little") && error.ends_with("needs at least 5M"), "{error}");
        let error = check(5 << 20, "microvm", 3 << 20).unwrap_err();
        assert!(error.ends_with("with its --rootfs needs at least 7M"), "{error}");
        let error = check(5 << 20, "pc", 3 << 20).unwrap_err();
        assert!(error.ends_with("needs at least 8M"), "{error}");
    }
}
