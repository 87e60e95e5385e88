//! Oracle cases: a program is compiled once, runs as a Linux process and as a VM, and must behave the same in both
//! lives.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::directives::{self, Directives};
use super::process::{self, Finished};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Every program: its name and its source.
pub fn sources() -> Result<Vec<(String, String)>> {
    let folder = unibody::paths::project(None)?.join("tests/programs");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let file = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = file.strip_suffix(".c") {
            all.push((name.to_owned(), std::fs::read_to_string(folder.join(&file))?));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// One case for each file in `tests/programs`.
pub fn cases(all: &mut Vec<Case>) -> Result<()> {
    for (name, source) in sources()? {
        let directives = directives::parse(&source);
        let disk = directives.is_ok_and(|d| d.disk.is_some());
        let case = Case::new(format!("program/{name}"), move |context| both(context, &name));
        all.push(if disk { case.needs(&[Need::Toolchain, Need::Disk]) } else { case });
    }
    Ok(())
}

fn both(context: &Context, name: &str) -> Result<Tally> {
    let source = context.project.join("tests/programs").join(format!("{name}.c"));
    let directives = directives::parse(&std::fs::read_to_string(source)?)?;
    if directives.root && !nix::unistd::geteuid().is_root() {
        return Ok(Tally::skip("the Linux process must begin as root"));
    }
    let image = context.program(name)?;
    let place = if directives.disk.is_some() { Some(context.scratch(name)?) } else { None };
    let mut took = compare(context, &image, &directives, place.as_deref())?;
    if let Some(args) = directives.again.clone() {
        let again = Directives { args, status: 0, ..directives };
        took += compare(context, &image, &again, place.as_deref()).context("the second run")?;
    }
    if let Some(place) = place {
        std::fs::remove_dir_all(place)?;
    }
    Ok(Tally::pass(format!("VM {:.2} s", took.as_secs_f32())))
}

/// Runs it once in each life; returns how long the VM took. `place`: a folder for the disk and for the Linux process's
/// files in its stead.
fn compare(context: &Context, image: &Path, directives: &Directives, place: Option<&Path>) -> Result<Duration> {
    let hosted = if directives.hosted { Some(hosted(context, image, directives, place)?) } else { None };
    let vm = vm(context, image, directives, place)?;
    if let Some(hosted) = &hosted {
        agree(hosted, &vm)?;
    }
    if let Some(hosted) = hosted {
        hosted.expect(directives.status)?;
    }
    Ok(vm.expect(directives.status)?.took)
}

/// As a Linux process.
fn hosted(context: &Context, image: &Path, directives: &Directives, place: Option<&Path>) -> Result<Finished> {
    let limit = Duration::from_secs(directives.timeout);
    process::run(&mut linux(context, image, directives, place)?, directives.stdin.as_bytes(), limit)
}

/// The command for that.
pub fn linux(context: &Context, image: &Path, directives: &Directives, place: Option<&Path>) -> Result<Command> {
    let mut command = if directives.own_root {
        let mut command = context.unibody(["run", "--hosted"]);
        for variable in &directives.env {
            command.arg("-e").arg(variable);
        }
        command.arg(image).arg("--");
        command
    } else {
        let mut command = process::command(image, std::iter::empty::<&str>());
        command.envs(directives.env.iter().filter_map(|variable| variable.split_once('=')));
        if let Some(place) = place {
            let folder = place.join("linux");
            std::fs::create_dir_all(&folder)?;
            command.env("TEST_SCRATCH", folder);
        }
        command
    };
    command.args(&directives.args);
    Ok(if directives.own_network { in_network(&command) } else { command })
}

/// The same command in a network namespace of its own, in which everybody may have ping sockets, as in the VM.
fn in_network(command: &Command) -> Command {
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let script = "ip link set lo up && echo 0 0 >/proc/sys/net/ipv4/ping_group_range && exec \"$0\" \"$@\"";
    let mut inside = process::command("unshare", user);
    inside.args(["--net", "sh", "-c", script]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(key, value),
            None => inside.env_remove(key),
        };
    }
    inside
}

/// As a VM.
fn vm(context: &Context, image: &Path, directives: &Directives, place: Option<&Path>) -> Result<Finished> {
    let mut command = context.unibody(["run", "--accel", "tcg", "-m", &directives.memory, "--net", "none"]);
    command.args(["--smp", &directives.smp.to_string()]);
    for variable in &directives.env {
        command.arg("-e").arg(variable);
    }
    let disk = place.map(|folder| folder.join("disk.img"));
    if let (Some(file), Some(size)) = (&disk, &directives.disk) {
        command.arg("--disk").arg(format!("{}:/data", file.display()));
        command.args(["-e", "TEST_SCRATCH=/data"]);
        if !file.exists() {
            command.args(["--disk-size", size]);
        }
    }
    command.arg(image).arg("--").args(&directives.args);
    let done = process::run(&mut command, directives.stdin.as_bytes(), Duration::from_secs(directives.timeout))?;
    if let Some(file) = disk.filter(|_| !done.timed_out) {
        super::disk::clean(&file).with_context(|| done.report())?;
    }
    Ok(done)
}

/// Compares byte for byte; shows the first line that differs.
fn agree(hosted: &Finished, vm: &Finished) -> Result<()> {
    if hosted.timed_out {
        bail!("the Linux process did not end\n{}", hosted.report());
    }
    if vm.timed_out {
        bail!("the VM did not end\n{}\nthe Linux process printed\n{}", vm.report(), hosted.report());
    }
    if hosted.stdout == vm.stdout && hosted.status == vm.status {
        return Ok(());
    }
    let (one, two) = (hosted.out(), vm.out());
    let mut lines = one.lines().zip(two.lines()).enumerate();
    let difference = match lines.find(|(_, (a, b))| a != b) {
        Some((n, (a, b))) => format!("line {}:\n  Linux: {a}\n  VM:    {b}", n + 1),
        None if hosted.stdout == vm.stdout => "the output is the same".to_owned(),
        None => format!("Linux printed {} bytes, the VM {}, one begins with the other", one.len(), two.len()),
    };
    let statuses = format!("status: Linux {}, VM {}", hosted.status, vm.status);
    bail!("the two lives differ\n{statuses}\n{difference}\n{}\n{}", vm.report(), hosted.report());
}
