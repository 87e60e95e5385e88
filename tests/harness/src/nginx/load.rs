//! nginx under load: no error, no timeout, and the last round as fast as the first.

use super::super::case::{Case, Need, Tally};
use super::super::context::Context;
use super::super::netns::{GUEST4, GUEST6, Netns, TAP, bare};
use super::super::process;
use super::super::qemu::{self, Change};
use super::super::vm::Vm;
use super::http;
use super::site::Site;
use anyhow::{Context as _, Result, ensure};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};
use unibody_support::{usage, wrk};

/// Rounds of wrk on one boot.
const ROUNDS: usize = 10;
/// The fraction of the first rounds' speed that the last ones must keep: the rest is the noise of a shared machine.
const KEEPS: f64 = 0.6;

/// Over user networking and over TAP, with and without event index.
pub fn cases(all: &mut Vec<Case>, full: bool) {
    const NEEDS: &[Need] = &[Need::Toolchain, Need::Nginx, Need::Load];
    let mut add = |name: &str, body: fn(&Context) -> Result<Tally>| {
        let limit = if full { 7200 } else { 400 };
        all.push(Case::new(format!("nginx/load-{name}"), body).needs(NEEDS).alone().limit(limit));
    };
    add("user", |context| user(context, None));
    add("user-no-event-index", |context| user(context, Some(Change::NoEventIndex)));
    add("tap", |context| tap(context, None));
    add("tap-no-event-index", |context| tap(context, Some(Change::NoEventIndex)));
}

/// Seconds per round.
fn seconds(context: &Context) -> u32 {
    if context.full { 20 } else { 1 }
}

/// What was measured in a round.
#[derive(Clone, Copy)]
struct Round {
    /// Requests per second.
    rate: f64,
    /// Seconds of processor time that the VM used per request.
    cost: f64,
    /// The idle fraction of this machine's processor time, 0 to 1.
    idle: f64,
    /// How fast this machine was, before and after.
    speed: f64,
}

/// How much of a fixed kind of work a processor gets done: on a shared machine this can vary by a factor of two.
fn speed() -> f64 {
    let (start, mut steps, mut x) = (Instant::now(), 0u32, 1u64);
    while start.elapsed() < Duration::from_millis(30) {
        for _ in 0..10_000 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) ^ 0x55);
        }
        steps += 1;
    }
    f64::from(steps) / start.elapsed().as_secs_f64()
}

/// Ticks of all processors: idle ones, and all.
fn machine() -> Result<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let numbers: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    ensure!(numbers.len() == 8, "/proc/stat is odd");
    Ok((numbers[3] + numbers[4], numbers.iter().sum()))
}

fn measure(wrk: &mut Command, pid: u32) -> Result<Round> {
    let before = speed();
    let (used, (idle, all)) = (usage::seconds(pid)?, machine()?);
    let load = wrk::run(wrk)?;
    let (used, (idle_after, all_after)) = (usage::seconds(pid)? - used, machine()?);
    let idle = (idle_after - idle) / (all_after - all).max(1.0);
    Ok(Round { rate: load.rate, cost: used / load.requests, idle, speed: (before + speed()) / 2.0 })
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut sorted: Vec<f64> = rounds.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Whether the last rounds are as good as the first, measured by what the machine could do at the time. If it has no
/// idle time left, the rate only shows how busy it is with other things; then the processor time per request counts.
fn kept(rounds: &[Round]) -> bool {
    let (first, last) = (&rounds[..3], &rounds[rounds.len() - 3..]);
    let fast = median(last, |r| r.rate / r.speed) > KEEPS * median(first, |r| r.rate / r.speed);
    let busy = median(last, |r| r.idle) < 0.1;
    fast || (busy && median(last, |r| r.cost * r.speed) * KEEPS < median(first, |r| r.cost * r.speed))
}

/// All pages and modes on one server; `command` builds wrk's from its last arguments.
fn rounds(seconds: u32, url: &str, pid: u32, command: impl Fn(&[String]) -> Command) -> Result<String> {
    let mut notes = Vec::new();
    for page in ["/", "/64k"] {
        for close in [false, true] {
            let words = wrk::words(64, seconds, close, &[], &format!("{url}{page}"));
            let name = if close { "close" } else { "keep-alive" };
            let mut all: Vec<Round> = Vec::new();
            while all.len() < ROUNDS || (all.len() < ROUNDS + 6 && !kept(&all)) {
                let measured = measure(&mut command(&words), pid);
                all.push(measured.with_context(|| format!("{page} {name}, round {}", all.len() + 1))?);
            }
            let rates: Vec<f64> = all.iter().map(|round| round.rate).collect();
            ensure!(kept(&all), "{page} {name}: it gets slower, requests/s round by round: {rates:.0?}");
            let (first, last) = (median(&all[..3], |r| r.rate), median(&all[all.len() - 3..], |r| r.rate));
            notes.push(format!("{page}{} {first:.0}->{last:.0}", if close { " close" } else { "" }));
        }
    }
    Ok(format!("requests/s {}", notes.join(", ")))
}

fn with_change(context: &Context, change: Option<Change>) -> Result<Option<std::path::PathBuf>> {
    change.map(|change| qemu::script(&context.scratch("load")?, change)).transpose()
}

/// nginx on the user network, and its address.
pub fn start_on_user<'a>(
    context: &'a Context,
    site: &Site,
    change: Option<Change>,
    options: &[&str],
) -> Result<(Vm<'a>, SocketAddr)> {
    let script = with_change(context, change)?;
    site.vm(context, options, |command| {
        if let Some(script) = &script {
            command.env("UNIBODY_QEMU", script);
        }
    })
}

fn user(context: &Context, change: Option<Change>) -> Result<Tally> {
    let (vm, address) = start_on_user(context, &Site::lean(context)?, change, &[])?;
    let note =
        rounds(seconds(context), &format!("http://{address}"), vm.vmm()?, |words| process::command("wrk", words));
    Ok(Tally::pass(note.with_context(|| vm.logs())?))
}

/// nginx on a TAP device.
pub fn start_on_tap<'a>(
    context: &'a Context,
    site: &Site,
    netns: &Netns,
    change: Option<Change>,
    options: &[&str],
) -> Result<Vm<'a>> {
    let script = with_change(context, change)?;
    let net = format!("tap={TAP}");
    let words = [&["--net", &net, "--ip", GUEST4, "--ip6", GUEST6], options].concat();
    site.start(context, &words, |command| {
        if let Some(script) = &script {
            command.env("UNIBODY_QEMU", script);
        }
        *command = netns.inside(command);
    })
}

fn tap(context: &Context, change: Option<Change>) -> Result<Tally> {
    let netns = match Netns::new() {
        Ok(netns) => netns,
        Err(error) => return Ok(Tally::skip(format!("no TAP device: {error:#}"))),
    };
    let site = Site::lean(context)?;
    let vm = start_on_tap(context, &site, &netns, change, &[])?;
    let guest4 = bare(GUEST4);
    let guest6 = bare(GUEST6);
    let four = format!("http://{guest4}");
    let six = format!("http://[{guest6}]");
    for url in [&four, &six] {
        process::eventually(Duration::from_secs(20), || {
            let mut curl = netns.command(
                "curl",
                ["-s", "-f", "-m", "5", "-g", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", url],
            );
            let done = process::run(&mut curl, b"", Duration::from_secs(10))?.expect(0)?;
            ensure!(done.out() == "200 612", "{url}: {}", done.out());
            Ok(())
        })
        .with_context(|| format!("{url}\n{}", vm.logs()))?;
    }
    let note =
        rounds(seconds(context), &four, vm.vmm()?, |words| netns.command("wrk", words)).with_context(|| vm.logs())?;
    let mut six_wrk = netns.command("wrk", ["-t1", "-c16", "-d1s", &six]);
    let rate = measure(&mut six_wrk, vm.vmm()?).context("IPv6")?.rate;
    Ok(Tally::pass(format!("{note}, IPv6 {rate:.0}")))
}

/// From starting QEMU to the first HTTP 200, on microvm with a static address.
pub fn first_answer(context: &Context) -> Result<Tally> {
    let site = Site::lean(context)?;
    std::fs::write(site.root.join("usr/share/nginx/html/large"), "")?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let image = site.image(context)?;
        let publish = format!("{port}:80");
        let mut run = context.unibody(["run", "--accel", "tcg", "--machine", "microvm", "-p", &publish, "--rootfs"]);
        run.arg(&site.root).arg(&image).args(["--", "-c", "/etc/nginx/test.conf"]);
        let start = Instant::now();
        let mut running = process::start(&mut run, b"")?;
        process::eventually(Duration::from_secs(20), || {
            ensure!(running.alive(), "it has ended");
            // QEMU accepts connections before the guest is up, and retries only seconds later.
            let mut connection = http::Connection::patient(address, Duration::from_millis(50))?;
            connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")?;
            ensure!(connection.receive(true)?.status == 200, "no page");
            Ok(())
        })?;
        best = best.min(start.elapsed());
        running.terminate(Duration::from_secs(5))?.expect(0)?;
    }
    // The goal is 0.25 s on an idle machine; this limit only catches real problems.
    ensure!(best < Duration::from_secs(2), "the first page took {best:?}");
    Ok(Tally::pass(format!("best of five: {:.3} s", best.as_secs_f32())))
}
