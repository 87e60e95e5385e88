//! Thousands of connections: how many a small machine holds, what a request costs among them, what is left of those that
//! have ended.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::netns::{GUEST4, Netns, TAP, bare};
use super::process;
use super::qemu::write_script;
use super::vm::Vm;
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;
use unibody_bench::counters::Counters;

/// Connections to nginx, and how many of them are in use.
const CONNECTIONS: u32 = 10_000;
const ACTIVE: u32 = 1_000;
const REQUESTS: u32 = 1_000;
/// How much more a request may cost among so many.
const DEARER: f64 = 1.3;
/// Bytes that an idle connection may take, with its socket, descriptor and place in an epoll.
const IDLE: i64 = 3_200;
/// KiB that may be missing after all connections have ended: TIME-WAIT, and what the kernel keeps for the next ones.
const LEFT: i64 = 2_048;

pub fn cases(all: &mut Vec<Case>, full: bool) {
    let needs = &[Need::Toolchain, Need::Nginx, Need::Load];
    all.push(Case::new("crowd/ten-thousand", ten_thousand).needs(needs).alone().limit(400));
    let limit = if full { 600 } else { 200 };
    all.push(Case::new("crowd/come-and-go", come_and_go).needs(&[Need::Toolchain, Need::Load]).alone().limit(limit));
}

fn guest() -> &'static str {
    bare(GUEST4)
}

/// The number behind a word at the beginning of a line.
fn number(said: &str, word: &str) -> Result<i64> {
    let line =
        said.lines().find_map(|line| line.strip_prefix(word)).with_context(|| format!("no {word:?} in {said}"))?;
    line.trim().parse().with_context(|| format!("{line:?} is no number"))
}

/// What a busy machine needs more of than nginx gives a client by default.
const PATIENT: &str = "\nkeepalive_timeout 600s;\nclient_header_timeout 600s;\naccess_log off;\n";

/// nginx with the port's own `nginx.conf` serves 10,000 connections in 128 MiB, and a request costs what it costs at
/// ten.
fn ten_thousand(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let folder = context.scratch("crowd")?;
    let version =
        process::run(&mut process::command("qemu-system-x86_64", ["--version"]), b"", Duration::from_secs(10))?;
    let counters = Counters::new(&version.expect(0)?.out(), &folder)?;
    let body = format!("exec qemu-system-x86_64 \"$@\" -plugin '{},exits=off'\n", counters.argument());
    let script = write_script(&folder, "qemu-counting", &body)?;
    let site = std::fs::read_to_string(context.project.join("ports/nginx/rootfs/etc/nginx/site.conf"))?;
    std::fs::create_dir_all(folder.join("root/etc/nginx"))?;
    std::fs::write(folder.join("root/etc/nginx/site.conf"), site + PATIENT)?;
    let (image, net, root) = (context.nginx()?, format!("tap={TAP}"), folder.join("root"));
    let [image, root] = [&image, &root].map(|path| path.to_string_lossy());
    let vm =
        Vm::start_with(context, ["-m", "128M", "--net", &net, "--ip", GUEST4, "--rootfs", &root, &image], |command| {
            command.env("UNIBODY_QEMU", &script);
            *command = netns.inside(command);
        })?;
    let [connections, active, requests] = [CONNECTIONS, ACTIVE, REQUESTS].map(|n| n.to_string());
    let file = counters.file().to_str().context("a file with an odd name")?;
    let words = [guest(), "80", "stay", &connections, &active, &requests, file];
    let mut crowd = netns.command(context.net_program("crowd")?, words);
    let said = process::run(&mut crowd, b"", Duration::from_secs(350))?.expect(0).with_context(|| vm.logs())?.out();
    let costs = said.lines().find_map(|line| line.strip_prefix("instructions: ")?.split_once(' '));
    let (few, many) = costs.with_context(|| format!("no costs in {said}"))?;
    let (few, many): (f64, f64) = (few.parse()?, many.parse()?);
    ensure!(
        many <= DEARER * few,
        "a request takes {many} instructions among {CONNECTIONS} connections, {few} among ten"
    );
    Ok(Tally::pass(format!("a request is {few} instructions at ten connections, {many} at {CONNECTIONS}")))
}

/// Connections that come and go, half of them by a reset, leave nothing.
fn come_and_go(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let (image, net) = (context.net_program("serve")?, format!("tap={TAP}"));
    let image = image.to_str().context("an image with an odd name")?;
    let vm = Vm::start_with(context, ["-m", "64M", "--net", &net, "--ip", GUEST4, image], |command| {
        *command = netns.inside(command);
    })?;
    let count = if context.full { "100000" } else { "25000" };
    let mut crowd = netns.command(context.net_program("crowd")?, [guest(), "7080", "come-and-go", count]);
    let said = process::run(&mut crowd, b"", Duration::from_secs(500))?.expect(0).with_context(|| vm.logs())?.out();
    let open: Vec<_> = said.lines().find_map(|line| line.strip_prefix("descriptors: ")).into_iter().collect();
    let open: Vec<_> = open.iter().flat_map(|line| line.split(' ')).collect();
    ensure!(matches!(open[..], [before, _, after] if before == after), "descriptors stay open\n{said}");
    let (idle, left) = (number(&said, "bytes of an idle connection:")?, number(&said, "KiB less than before:")?);
    ensure!(idle > 0 && idle <= IDLE, "an idle connection takes {idle} bytes, {IDLE} at most\n{said}");
    ensure!(left <= LEFT, "{left} KiB are gone, {LEFT} at most\n{said}");
    Ok(Tally::pass(format!("{count} connections; an idle one takes {idle} bytes; {left} KiB are kept")))
}
