//! Files that the user supplied stay as they are: the kernel creates files of `/etc` only where there are none, and
//! never through a mount.

use super::case::{Case, Tally};
use super::context::Context;
use super::process::{self, Finished};
use anyhow::{Context as _, Result, ensure};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("brought/nothing", nothing));
    all.push(Case::new("brought/volume", volume));
    all.push(Case::new("brought/rootfs", rootfs));
    all.push(Case::new("brought/image", image));
    all.push(Case::new("brought/without-sockets", without_sockets));
}

/// The content of these files of `/etc` in a VM with the user network, as `share.c` prints it, and the tool's messages.
fn etc(context: &Context, image: &Path, options: &[&OsStr], files: &[&str]) -> Result<Finished> {
    let mut command = context.unibody(["run", "--accel", "tcg", "-m", "64M"]);
    command.args(options).arg(image).arg("--");
    for file in files {
        command.args(["text", file]);
    }
    process::run(&mut command, b"", Duration::from_secs(60))?.expect(0)
}

fn same(done: &Finished, text: &str) -> Result<()> {
    ensure!(done.out() == text, "expected\n{text}{}", done.report());
    Ok(())
}

const RESOLVED: &str = "nameserver 192.0.2.1\noptions ndots:3\n";

/// With no files supplied, their contents follow the options.
fn nothing(context: &Context) -> Result<Tally> {
    let image = context.program("share")?;
    let all = ["/etc/resolv.conf", "/etc/hostname"];
    same(&etc(context, &image, &[], &all)?, "nameserver 10.0.2.3\nunibody\n")?;
    let options = ["--dns", "192.0.2.7", "--dns", "2001:db8::1", "--dns-search", "corp.example", "--dns-search", "lan"];
    let options: Vec<_> = options.iter().chain(&["--hostname", "web"]).map(OsStr::new).collect();
    let done = etc(context, &image, &options, &all)?;
    same(&done, "search corp.example lan\nnameserver 192.0.2.7\nnameserver 2001:db8::1\nweb\n")?;
    ensure!(!done.err().contains("left alone"), "a warning about nothing\n{}", done.report());
    Ok(Tally::pass(""))
}

/// A folder of this machine over `/etc`, with and without the files: nothing in it is changed or added.
fn volume(context: &Context) -> Result<Tally> {
    let (image, dir) = (context.program("share")?, context.scratch("etc")?);
    let volume = format!("{}:/etc", dir.display());
    let options = ["-v", &volume, "--dns", "192.0.2.9", "--hostname", "web"].map(OsStr::new);
    let done = etc(context, &image, &options, &["/etc/resolv.conf"])?;
    same(&done, "ENOENT\n")?;
    ensure!(fs::read_dir(&dir)?.next().is_none(), "a file came into the folder");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (name, text) in [("resolv.conf", RESOLVED), ("hostname", "mine\n"), ("hosts", "192.0.2.2 mine\n")] {
        fs::write(dir.join(name), text)?;
        fs::File::open(dir.join(name))?.set_modified(old)?;
    }
    let done = etc(context, &image, &options, &["/etc/resolv.conf", "/etc/hostname", "/etc/hosts"])?;
    same(&done, &format!("{RESOLVED}mine\n192.0.2.2 mine\n"))?;
    for option in ["--dns", "--hostname"] {
        let said = done.err().lines().any(|line| line.contains(option) && line.contains("left alone"));
        ensure!(said, "nothing is said of {option}\n{}", done.report());
    }
    ensure!(fs::read_to_string(dir.join("resolv.conf"))? == RESOLVED, "this machine's file was changed");
    for entry in fs::read_dir(&dir)? {
        ensure!(entry?.metadata()?.modified()? == old, "a file of this machine was touched");
    }
    ensure!(fs::read_dir(&dir)?.count() == 3, "a file came into the folder");
    Ok(Tally::pass(""))
}

/// Files from `--rootfs`, dangling links included, take precedence over all that the tool and the kernel would create.
fn rootfs(context: &Context) -> Result<Tally> {
    let (image, dir) = (context.program("share")?, context.scratch("root")?);
    fs::create_dir_all(dir.join("etc"))?;
    fs::create_dir_all(dir.join("usr/share/zoneinfo"))?;
    fs::write(dir.join("etc/resolv.conf"), RESOLVED)?;
    fs::write(dir.join("etc/hostname"), "mine\n")?;
    fs::write(dir.join("usr/share/zoneinfo/UTC"), "my zone\n")?;
    let options = ["--rootfs".as_ref(), dir.as_os_str(), "-e".as_ref(), "TZ=UTC".as_ref()];
    let files = ["/etc/resolv.conf", "/etc/hostname", "/usr/share/zoneinfo/UTC"];
    let done = etc(context, &image, &options, &files)?;
    same(&done, &format!("{RESOLVED}mine\nmy zone\n"))?;
    ensure!(!done.err().contains("left alone"), "a warning that nobody asked for\n{}", done.report());
    fs::remove_file(dir.join("etc/resolv.conf"))?;
    std::os::unix::fs::symlink("../run/resolver/resolv.conf", dir.join("etc/resolv.conf"))?;
    let done = etc(context, &image, &options, &["/etc/resolv.conf", "/run/resolver"])?;
    same(&done, "ENOENT\nENOENT\n")?;
    Ok(Tally::pass(""))
}

/// A program that opens no sockets gets no name servers, and a user who names some is told so.
fn without_sockets(context: &Context) -> Result<Tally> {
    let dir = context.scratch("plain")?;
    let (source, image) = (dir.join("plain.c"), dir.join("plain.img"));
    let program = r#"
        #include <stdio.h>
        #include <sys/stat.h>
        #include <fcntl.h>
        int main(void)
        {
            static const char *const names[] = { "/etc/resolv.conf", "/etc/hosts" };
            for (int i = 0; i < 2; i++) puts(open(names[i], O_RDONLY) < 0 ? "none" : "there");
            return 0;
        }
    "#;
    fs::write(&source, program)?;
    let mut gcc = Command::new(context.bin()?.join("x86_64-unikernel-gcc"));
    gcc.arg("-o").arg(&image).arg(&source);
    process::run(&mut gcc, b"", Duration::from_secs(120))?.expect(0).context("building the image")?;
    let done = etc(context, &image, &["--dns", "192.0.2.7"].map(OsStr::new), &[])?;
    same(&done, "none\nthere\n")?;
    ensure!(done.err().contains("--dns"), "nothing is said of --dns\n{}", done.report());
    Ok(Tally::pass(""))
}

/// The image's own file.
fn image(context: &Context) -> Result<Tally> {
    let dir = context.scratch("root")?;
    fs::create_dir_all(dir.join("root/etc"))?;
    fs::write(dir.join("root/etc/resolv.conf"), RESOLVED)?;
    let image = dir.join("share.img");
    let mut gcc = Command::new(context.bin()?.join("x86_64-unikernel-gcc"));
    gcc.env("UNIBODY_ROOTFS", dir.join("root"))
        .arg("-o")
        .arg(&image)
        .arg(context.project.join("tests/programs/share.c"));
    process::run(&mut gcc, b"", Duration::from_secs(120))?.expect(0).context("building the image")?;
    let options = ["--dns-search", "lan"].map(OsStr::new);
    let done = etc(context, &image, &options, &["/etc/resolv.conf"])?;
    same(&done, RESOLVED)?;
    ensure!(done.err().contains("--dns-search"), "nothing is said of --dns-search\n{}", done.report());
    Ok(Tally::pass(""))
}
