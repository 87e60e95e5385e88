//! The clock compared with the host's, also after a machine was stopped or restored from a snapshot. `clock_now`
//! answers each line with nanoseconds of the wall clock and of the monotonic one, and with random bytes.

use super::case::{Case, Tally};
use super::context::Context;
use super::process;
use super::qemu::write_script;
use anyhow::{Context as _, Result, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn cases(all: &mut Vec<Case>) {
    for machine in ["q35", "pc", "microvm"] {
        all.push(Case::new(format!("clock/boot-{machine}"), move |context| boot(context, machine, "1")));
    }
    for smp in ["2", "4"] {
        all.push(Case::new(format!("clock/boot-smp-{smp}"), move |context| boot(context, "q35", smp)));
    }
    all.push(Case::new("clock/stopped-and-continued", stopped));
    all.push(Case::new("clock/snapshot-restored-twice", restored_twice));
}

/// How far the clock may be off, beyond the interval between the host's times before and after asking.
const OFF: i64 = 50_000_000;
/// Within this time a machine that was continued has checked the clock.
const NOTICED: Duration = Duration::from_millis(300);

fn host_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64
}

/// A VM that can be asked for the time.
struct Asked {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    qmp: PathBuf,
}

/// One answer.
struct Answer {
    /// By how much the clock is certainly wrong: 0 if it is between the host's times before and after.
    wrong: i64,
    monotonic: i64,
    /// How far the wall clock is ahead of the monotonic one.
    ahead: i64,
    random: String,
}

impl Asked {
    /// Starts it; `more` are arguments for QEMU.
    fn start(context: &Context, folder: &Path, name: &str, options: &[&str], more: &str) -> Result<Self> {
        let qmp = folder.join(format!("{name}.qmp"));
        let body = format!("exec qemu-system-x86_64 \"$@\" -qmp unix:{},server=on,wait=off {more}\n", qmp.display());
        let script = write_script(folder, name, &body)?;
        let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
        command.args(options).arg(context.program("clock_now")?).env("UNIBODY_QEMU", script);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take().context("no input")?, child.stdout.take().context("no output")?);
        Ok(Self { child, input, output: BufReader::new(output), qmp })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.ends_with('\n'), "the VM ended");
        Ok(line.trim_end().to_owned())
    }

    /// Waits for the program; returns how far the wall clock was ahead of the monotonic one at its start.
    fn ready(&mut self) -> Result<i64> {
        let line = self.line()?;
        let words: Vec<_> = line.split(' ').collect();
        let ["ready", wall, monotonic] = words[..] else { bail!("a strange beginning: {line}") };
        Ok(wall.parse::<i64>()? - monotonic.parse::<i64>()?)
    }

    fn ask(&mut self) -> Result<Answer> {
        let before = host_ns();
        self.input.write_all(b"\n")?;
        let line = self.line()?;
        let after = host_ns();
        let words: Vec<_> = line.split(' ').collect();
        let [wall, monotonic, random] = words[..] else { bail!("a strange answer: {line}") };
        let (wall, monotonic) = (wall.parse::<i64>()?, monotonic.parse::<i64>()?);
        let wrong = if wall < before { wall - before } else { (wall - after).max(0) };
        Ok(Answer { wrong, monotonic, ahead: wall - monotonic, random: random.to_owned() })
    }

    /// Runs commands of QEMU's monitor, one after the other.
    fn monitor(&self, commands: &[&str]) -> Result<Vec<String>> {
        let mut stream = process::eventually(Duration::from_secs(10), || Ok(UnixStream::connect(&self.qmp)?))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let mut answers = Vec::new();
        for command in std::iter::once(&"{'execute': 'qmp_capabilities'}").chain(commands) {
            stream.write_all(command.replace('\'', "\"").as_bytes())?;
            loop {
                let line = lines.next().context("the monitor is closed")??;
                ensure!(!line.starts_with("{\"error\""), "{command}: {line}");
                if line.starts_with("{\"return\"") {
                    answers.push(line);
                    break;
                }
            }
        }
        Ok(answers)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // QEMU ends with the tool.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn right(answer: &Answer, when: &str) -> Result<()> {
    ensure!(answer.wrong.abs() <= OFF, "the clock is {} ms off {when}", answer.wrong / 1_000_000);
    Ok(())
}

/// The program sees the right time from its first moment, and the clock runs at the right rate.
fn boot(context: &Context, machine: &str, smp: &str) -> Result<Tally> {
    let options = ["--machine", machine, "--smp", smp];
    let mut vm = Asked::start(context, &context.scratch("clock")?, "qemu", &options, "")?;
    let begin = vm.ready()?;
    let first = vm.ask()?;
    // A clock corrected only now would have made a step. The host's answer is off by half of the time that it took.
    let step = first.ahead - begin;
    ensure!(step.abs() <= 2 * OFF, "the clock was {} ms off at the program's start", step / 1_000_000);
    right(&first, "at boot")?;
    std::thread::sleep(Duration::from_secs(3));
    right(&vm.ask()?, "after three seconds")?;
    Ok(Tally::pass(format!("{:.1} ms off at boot", first.wrong as f64 / 1e6)))
}

fn stopped(context: &Context) -> Result<Tally> {
    let mut vm = Asked::start(context, &context.scratch("clock")?, "qemu", &[], "")?;
    vm.ready()?;
    let first = vm.ask()?;
    vm.monitor(&["{'execute': 'stop'}"])?;
    std::thread::sleep(Duration::from_secs(4));
    vm.monitor(&["{'execute': 'cont'}"])?;
    let late = vm.ask()?;
    ensure!(late.monotonic > first.monotonic, "the monotonic clock went back");
    std::thread::sleep(NOTICED);
    // The first check notices the pause, to the second; the host then provides the exact time.
    vm.ask()?;
    std::thread::sleep(NOTICED);
    right(&vm.ask()?, "after a pause")?;
    Ok(Tally::pass(""))
}

/// Two machines restored from the same snapshot draw different random bytes and have the right time.
fn restored_twice(context: &Context) -> Result<Tally> {
    let folder = context.scratch("snapshot")?;
    let file = folder.join("snapshot");
    let mut first = Asked::start(context, &folder, "first", &[], "")?;
    first.ready()?;
    first.ask()?;
    first.monitor(&[
        "{'execute': 'stop'}",
        &format!("{{'execute': 'migrate', 'arguments': {{'uri': 'exec:cat > {}'}}}}", file.display()),
    ])?;
    process::eventually(Duration::from_secs(60), || {
        let state = first.monitor(&["{'execute': 'query-migrate'}"])?.pop().unwrap_or_default();
        if state.contains("\"completed\"") { Ok(()) } else { bail!("no snapshot: {state}") }
    })?;
    drop(first);
    // A pause of less than a second is noticed only once the machine's clock, which has whole seconds, shows it.
    std::thread::sleep(Duration::from_secs(2));
    let mut random = Vec::new();
    for name in ["second", "third"] {
        let mut vm = Asked::start(context, &folder, name, &[], &format!("-incoming 'exec:cat {}'", file.display()))?;
        // It was saved while stopped, so it waits for this.
        process::eventually(Duration::from_secs(30), || {
            let state = vm.monitor(&["{'execute': 'query-status'}"])?.pop().unwrap_or_default();
            if state.contains("inmigrate") { bail!("still being restored") } else { Ok(()) }
        })?;
        vm.monitor(&["{'execute': 'cont'}"])?;
        random.push(vm.ask()?.random);
        std::thread::sleep(NOTICED);
        vm.ask()?;
        std::thread::sleep(NOTICED);
        right(&vm.ask()?, "in a restored machine")?;
    }
    ensure!(random[0].len() == 64 && random[0] != random[1], "both drew {}", random[0]);
    Ok(Tally::pass(""))
}
