//! What the guest gets besides the image: parameters and overlaid files, as one archive.

use super::brought;
use super::env;
use super::net::Net;
use super::options::RunArgs;
use super::{pump, share};
use crate::disk::Disk;
use crate::image::Image;
use crate::image::tree::{Purpose, Tree};
use crate::vmm::{USER_DNS, USER_IP, USER_IP6};
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use unibody_proto::params::{self, Encoder, key};

/// The archive for these options.
pub fn build(args: &RunArgs, image: &Image, net: &Net, disks: &[Disk]) -> Result<Vec<u8>> {
    let env = env::collect(&args.env_file, &args.env)?;
    let mut tree = overlay(args, image, &env)?;
    tree.file(params::FILE, 0o600, parameters(args, image, net, disks, &env)?);
    let mut archive = Vec::new();
    tree.write(&mut archive)?;
    Ok(archive)
}

/// What the options lay over the image's root.
pub fn overlay(args: &RunArgs, image: &Image, env: &[Vec<u8>]) -> Result<Tree> {
    let mut tree = Tree::default();
    if let Some(dir) = &args.rootfs {
        tree.folder(dir, Purpose::Overlay).context("--rootfs")?;
    }
    if let Some(zone) = env::value(env, "TZ") {
        let brought = |file: &str| Ok(brought::whose(args, image, file)?.is_some());
        add_zone(&mut tree, zone, Path::new("/usr/share/zoneinfo"), brought)?;
    }
    Ok(tree)
}

/// The parameter file.
fn parameters(args: &RunArgs, image: &Image, net: &Net, disks: &[Disk], env: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut params = Encoder::default();
    let mut push = |key: &[u8], value: &[u8]| {
        let shown = || format!("{} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        params.push(key, value).map_err(anyhow::Error::msg).with_context(shown)
    };
    if !image.defaults()?.iter().any(|param| param.key == key::ARGV0) {
        push(key::ARGV0, args.image.as_os_str().as_bytes())?;
    }
    push(key::IMAGE_SIZE, image.bytes.len().to_string().as_bytes())?;
    for arg in &args.args {
        push(key::ARG, arg.as_bytes())?;
    }
    for entry in env {
        push(key::ENV, entry)?;
    }
    if let Some(terminal) = &args.terminal {
        push(key::TTY, terminal.as_bytes())?;
        // The settings are of little use without the type of terminal.
        if let Some(kind) = std::env::var_os("TERM").filter(|_| env::value(env, "TERM").is_none()) {
            push(key::ENV, &[b"TERM=", kind.as_bytes()].concat())?;
        }
    }
    // Not for a detached VM, whose output goes to its log, nor for a printed line, which may be run anywhere.
    if !args.detach && !args.dry_run {
        for (stream, fd) in [(1, std::io::stdout().as_fd()), (2, std::io::stderr().as_fd())] {
            if let Some(errno) = pump::unwritable(fd) {
                push(key::OUTPUT_FAILED, format!("{stream} {errno}").as_bytes())?;
            }
        }
    }
    for disk in disks {
        push(key::DISK, disk.parameter.as_bytes())?;
    }
    for (number, share) in share::in_order(&args.volume) {
        push(key::SHARE, &share.parameter(number))?;
    }
    if let Some(dir) = &args.workdir {
        push(key::CWD, dir.as_os_str().as_bytes())?;
    }
    if let Some(name) = &args.hostname {
        push(key::HOSTNAME, name.as_bytes())?;
    }
    for setting in args.sysctl.iter().filter_map(|text| text.split_once('=')) {
        push(&[b"sysctl.", setting.0.as_bytes()].concat(), setting.1.as_bytes())?;
    }
    for limit in &args.ulimit {
        push(key::RLIMIT, limit.as_bytes())?;
    }
    if *net != Net::None {
        let user = matches!(net, Net::User { .. });
        let ip = args.ip.as_deref().unwrap_or(if user { USER_IP } else { "dhcp" });
        push(key::IP, ip.as_bytes())?;
        // Even if the user chose the network, the VMM's IPv6 prefix is unchanged.
        push(key::IP6, args.ip6.as_deref().unwrap_or(if user { USER_IP6 } else { "auto" }).as_bytes())?;
        for server in &args.dns {
            push(key::DNS, server.to_string().as_bytes())?;
        }
        for domain in &args.dns_search {
            push(key::DNS_SEARCH, domain.as_bytes())?;
        }
        if args.dns.is_empty() && ip == USER_IP {
            push(key::DNS, USER_DNS.as_bytes())?;
        }
    }
    // When the printed line is run by hand nothing listens on the control port, and the guest would wait for that.
    if !args.dry_run {
        push(key::CONTROL, b"1")?;
    }
    Ok(params.finish())
}

/// `TZ=Area/City` needs that zone's file, unless the user supplied one. A POSIX rule (`CET-1CEST`) needs none, and we
/// cannot tell which was meant, so a zone that this machine lacks is silently left out.
fn add_zone(tree: &mut Tree, zone: &OsStr, from: &Path, brought: impl Fn(&str) -> Result<bool>) -> Result<()> {
    let Some(zone) = zone.to_str().map(|zone| zone.trim_start_matches(':')) else { return Ok(()) };
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
    let file = format!("usr/share/zoneinfo/{zone}");
    if zone.split('/').all(plain)
        && let Ok(bytes) = std::fs::read(from.join(zone))
        && !brought(&file)?
    {
        tree.file(&file, 0o644, bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tests::fake_image;
    use clap::Parser;
    use unibody_proto::cpio;
    use unibody_proto::net::Ip4;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        run: RunArgs,
    }

    fn params_of(words: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.img");
        std::fs::write(&path, fake_image(1 << 20)).unwrap();
        let args = Cli::parse_from(["run", "x.img"].iter().chain(words)).run;
        let net = Net::new(&args.net, &Ip4::Dhcp).unwrap();
        let archive = build(&args, &Image::open(&path).unwrap(), &net, &[]).unwrap();
        let file = cpio::entries(&archive).map(Result::unwrap).find(|e| e.name == params::FILE.as_bytes()).unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        params::records(file.data).map(|param| format!("{}={}", text(param.key), text(param.value))).collect()
    }

    #[test]
    fn defaults() {
        let size = format!("image-size={}", fake_image(1 << 20).len());
        assert_eq!(
            params_of(&[]),
            [
                "argv0=x.img",
                &size,
                "ip=10.0.2.15/24,gw=10.0.2.2",
                "ip6=fec0::15/64,gw=fec0::2",
                "dns=10.0.2.3",
                "control=1"
            ]
        );
        assert_eq!(params_of(&["--net", "none"]), ["argv0=x.img", &size, "control=1"]);
    }

    #[test]
    fn everything_arrives_unchanged() {
        let size = format!("image-size={}", fake_image(1 << 20).len());
        let long = "é\"' \\ ".repeat(4000);
        let words = [
            "-e",
            "A=b c",
            "--ip=dhcp",
            "--ip6=none",
            "--dns=1.1.1.1",
            "--dns-search=corp.example",
            "--dns-search=lan",
            "-w/tmp",
            "--hostname=h",
            "--sysctl=vm.overcommit_memory=2",
            "--ulimit=nofile=10000",
            "--ulimit=core=0:unlimited",
            "--",
            "-x",
            "",
            &long,
        ];
        assert_eq!(
            params_of(&words),
            [
                "argv0=x.img",
                &size,
                "arg=-x",
                "arg=",
                &format!("arg={long}"),
                "env=A=b c",
                "cwd=/tmp",
                "hostname=h",
                "sysctl.vm.overcommit_memory=2",
                "rlimit=7:10000:10000",
                "rlimit=4:0:18446744073709551615",
                "ip=dhcp",
                "ip6=none",
                "dns=1.1.1.1",
                "dns-search=corp.example",
                "dns-search=lan",
                "control=1"
            ]
        );
    }

    #[test]
    fn zones() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("Europe")).unwrap();
        std::fs::write(dir.path().join("Europe/Berlin"), "TZif").unwrap();
        std::fs::write(dir.path().join("Europe/Oslo"), "TZif").unwrap();
        let names = |zone: &str| {
            let mut tree = Tree::default();
            add_zone(&mut tree, OsStr::new(zone), dir.path(), |file| Ok(file.ends_with("/Oslo"))).unwrap();
            let mut archive = Vec::new();
            tree.write(&mut archive).unwrap();
            cpio::entries(&archive).count()
        };
        assert_eq!(names(":Europe/Berlin"), 5);
        assert_eq!(names("Europe/Oslo"), 0);
        assert_eq!(names("CET-1CEST"), 0);
        assert_eq!(names("../Europe/Berlin"), 0);
        assert_eq!(names("/etc/passwd"), 0);
    }
}
