//! The same program as a Linux process and as a VM at the end of a TAP device, and what somebody at the other end sees.

use super::context::Context;
use super::netns::{GUEST4, GUEST6, HOST4, Netns, TAP, bare};
use super::process;
use super::vm::Vm;
use anyhow::{Context as _, Result};
use std::path::Path;
use std::time::Duration;

/// The VM's Ethernet address.
pub const MAC: &str = "02:00:00:00:00:77";

/// Starts a program of `tests/net` as a VM on the TAP device.
pub fn start<'a>(context: &'a Context, netns: &Netns, program: &Path, options: &[&str]) -> Result<Vm<'a>> {
    let net = format!("tap={TAP}");
    let program = program.to_str().context("an image with an odd name")?;
    let fixed = ["--net", &net, "--ip", GUEST4, "--ip6", GUEST6, "--mac", MAC];
    let words = fixed.iter().chain(options).chain([&program]);
    Vm::start_with(context, words, |command| *command = netns.inside(command))
}

/// What `observer`, another program of `tests/net`, prints about the program as a Linux process and as a VM.
pub fn both(
    context: &Context,
    netns: &Netns,
    (program, options): (&str, &[&str]),
    observer: &str,
    patience: Duration,
) -> Result<(String, String)> {
    let (observer, program) = (context.net_program(observer)?, context.net_program(program)?);
    let observe = |words: [&str; 4]| -> Result<String> {
        Ok(process::run(&mut netns.command(&observer, words), b"", patience)?.expect(0)?.out())
    };
    let mac = netns.mac()?;
    let hosted = process::start(&mut netns.command(&program, std::iter::empty::<&str>()), b"")?;
    let linux = observe(["tap", TAP, bare(HOST4), &mac])?;
    drop(hosted);
    let vm = start(context, netns, &program, options)?;
    let here = observe(["wire", TAP, bare(GUEST4), MAC]).with_context(|| vm.logs())?;
    Ok((linux, here))
}
