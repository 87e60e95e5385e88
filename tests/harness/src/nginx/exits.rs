//! How often a request under load leaves the guest: writes to the interrupt controller and notifications of devices,
//! as QEMU traces them.

use super::super::case::{Case, Need, Tally};
use super::super::context::Context;
use super::super::netns::{GUEST4, Netns, TAP, bare};
use super::super::process;
use super::super::qemu;
use super::site::Site;
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::time::Duration;
use unibody_support::wrk;

/// Most of them for a request at 16 connections, kept alive or not. It takes about half of that; with a timer interrupt
/// for every timer of a connection it takes as many, and with an interrupt and a switch to another thread for every frame
/// several times as many.
const MOST: [(&str, f64); 2] = [("keep-alive", 0.8), ("close", 2.2)];

pub fn cases(all: &mut Vec<Case>) {
    let needs = &[Need::Toolchain, Need::Nginx, Need::Load];
    all.push(Case::new("nginx/exits", exits).needs(needs).alone().limit(120));
}

fn lines(file: &Path) -> Result<f64> {
    let bytes = std::fs::read(file).context("QEMU wrote no trace")?;
    Ok(bytes.iter().filter(|&&byte| byte == b'\n').count() as f64)
}

fn exits(context: &Context) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let folder = context.scratch("exits")?;
    let trace = folder.join("trace");
    let body = format!(
        "exec qemu-system-x86_64 \"$@\" -trace virtio_queue_notify -trace apic_mem_writel -D '{}'\n",
        trace.display()
    );
    let script = qemu::write_script(&folder, "qemu-traced", &body)?;
    let net = format!("tap={TAP}");
    let vm = Site::lean(context)?.start(context, &["--net", &net, "--ip", GUEST4], |command| {
        command.env("UNIBODY_QEMU", &script);
        *command = netns.inside(command);
    })?;
    let url = format!("http://{}/", bare(GUEST4));
    process::eventually(Duration::from_secs(20), || {
        let mut curl = netns.command("curl", ["-s", "-f", "-m", "5", "-o", "/dev/null", &url]);
        process::run(&mut curl, b"", Duration::from_secs(10))?.expect(0).map(drop)
    })
    .with_context(|| vm.logs())?;
    let mut notes = Vec::new();
    for (connection, most) in MOST {
        let mut wrk = netns.command("wrk", wrk::words(16, 2, connection == "close", &[], &url));
        let before = lines(&trace)?;
        let requests = wrk::run(&mut wrk)?.requests;
        let each = (lines(&trace)? - before) / requests;
        ensure!(each > 0.0, "QEMU traces nothing");
        ensure!(each <= most, "{connection}: {each:.2} exits a request, {most} at most, in {requests} requests");
        notes.push(format!("{connection} {each:.2}"));
    }
    Ok(Tally::pass(format!("exits a request: {}", notes.join(", "))))
}
