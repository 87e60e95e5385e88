//! What `run` knows about its guest: when it is ready and when it does not answer; and that it never outlives the tool.

use super::case::{Case, Tally};
use super::context::Context;
use super::process::{self, Running};
use super::vm::Vm;
use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub fn cases(all: &mut Vec<Case>) {
    all.push(Case::new("cli/ready-when-it-waits", ready_when_it_waits));
    all.push(Case::new("cli/interrupts-off", interrupts_off));
}

/// Like many servers, it checks the flag that its handler sets only after the next event. It works for a second between
/// listening and waiting.
const SERVER: &str = "#include <poll.h>\n#include <signal.h>\n#include <stdio.h>\n#include <sys/socket.h>\n\
    #include <netinet/in.h>\n#include <time.h>\n\
    static volatile sig_atomic_t noted;\n\
    static void note(int signal) { noted = signal; }\n\
    int main(void) {\n\
        signal(SIGHUP, note);\n\
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7000)};\n\
        int fd = socket(AF_INET, SOCK_STREAM, 0);\n\
        if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 5))\n\
            return 1;\n\
        struct timespec now, end;\n\
        clock_gettime(CLOCK_MONOTONIC, &end);\n\
        do\n\
            clock_gettime(CLOCK_MONOTONIC, &now);\n\
        while (now.tv_sec - end.tv_sec + (now.tv_nsec - end.tv_nsec) / 1e9 < 1);\n\
        for (struct pollfd p = {fd, POLLIN, 0};;) {\n\
            poll(&p, 1, -1);\n\
            if (noted)\n\
                return 7;\n\
        }\n\
    }\n";

/// A signal sent right after `run -d` returned reaches a program that waits for one.
fn ready_when_it_waits(context: &Context) -> Result<Tally> {
    let folder = context.scratch("server")?;
    let (source, image) = (folder.join("server.c"), folder.join("server.img"));
    std::fs::write(&source, SERVER)?;
    context.compile(&source, &image, &[])?;
    for smp in ["1", "2"] {
        let vm = Vm::start(context, ["--smp", smp, "-p", "0:7000", &image.to_string_lossy()])?;
        vm.kill("HUP")?;
        let status = vm.status(Duration::from_secs(20)).context("the signal came before it waited")?;
        ensure!(status == 7, "exit status {status}\n{}", vm.logs());
    }
    Ok(Tally::pass(""))
}

/// Runs only in a VM: elsewhere `cli` would crash it, so it exits instead. Signals are blocked, since one may come
/// between the file's creation and the loop. The file is removed once it has contents: before that `open` may still be
/// looking up what it created.
const SPIN: &str = "#include <fcntl.h>\n#include <signal.h>\n#include <unistd.h>\n\
    int main(void) {\n\
        unsigned short cs;\n\
        sigset_t all;\n\
        sigfillset(&all);\n\
        sigprocmask(SIG_BLOCK, &all, 0);\n\
        __asm__(\"mov %%cs, %0\" : \"=r\"(cs));\n\
        int fd = open(\"/out/spins\", O_CREAT | O_WRONLY, 0600);\n\
        if (cs & 3 || write(fd, \"x\", 1) != 1)\n\
            return 1;\n\
        __asm__ volatile(\"cli\\n1: jmp 1b\");\n\
    }\n";

/// How long the guest is given here, and what a slow machine may take on top of that.
const GIVEN: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(10);

/// A processor that takes no interrupts gets no signal.
fn interrupts_off(context: &Context) -> Result<Tally> {
    let folder = context.scratch("spin")?;
    let (source, image) = (folder.join("spin.c"), folder.join("spin.img"));
    std::fs::write(&source, SPIN)?;
    context.compile(&source, &image, &[])?;
    let image = image.to_string_lossy();
    let (spins, volume) = (folder.join("spins"), format!("{}:/out", folder.display()));
    let spinning = || {
        process::eventually(Duration::from_secs(30), || {
            let written = std::fs::read(&spins).is_ok_and(|text| !text.is_empty());
            ensure!(written, "the program does not come to its loop");
            Ok(std::fs::remove_file(&spins)?)
        })
    };
    let given = GIVEN.as_secs().to_string();
    for smp in ["1", "2"] {
        let vm = Vm::start(context, ["--smp", smp, "--net", "none", "-v", &volume, &image])?;
        spinning()?;
        let start = Instant::now();
        let done = context.tool(["stop", "-t", &given, &vm.name])?.expect(0)?;
        said(&done.err(), start.elapsed())?;
        let status = vm.status(SLACK)?;
        ensure!(status == 137, "exit status {status} after `stop`\n{}", vm.logs());
    }
    let begin = || -> Result<(Running, u32)> {
        let mut run = context.unibody(["run", "--accel", "tcg", "--net", "none", "--stop-timeout", &given]);
        let running = process::start(run.args(["-v", &volume, &image]), b"")?;
        spinning()?;
        let vmm = vmm(context, running.id())?;
        Ok((running, vmm))
    };
    let signal = |to: &Running, signal| kill(Pid::from_raw(to.id().cast_signed()), signal).context("cannot signal it");
    let (running, vmm) = begin()?;
    let start = Instant::now();
    let done = running.terminate(GIVEN + SLACK)?.expect(143)?;
    said(&done.err(), start.elapsed())?;
    gone(vmm)?;
    // A second signal ends it without waiting. It differs from the first, as two of the same kind may count as one.
    let (running, vmm) = begin()?;
    signal(&running, Signal::SIGINT)?;
    signal(&running, Signal::SIGTERM)?;
    let done = running.wait(SLACK)?.expect(143)?;
    ensure!(!done.err().contains("did not end"), "it waited\n{}", done.report());
    gone(vmm)?;
    // Nor does the VM outlive the tool.
    let (running, vmm) = begin()?;
    signal(&running, Signal::SIGKILL)?;
    gone(vmm)?;
    Ok(Tally::pass(""))
}

/// Checks the message about the forced end, and its time.
fn said(text: &str, took: Duration) -> Result<()> {
    ensure!(took >= GIVEN && took < GIVEN + SLACK, "it took {took:?}");
    for part in ["did not end within 2 s of SIGTERM", "runs with interrupts off, in main+0x"] {
        ensure!(text.contains(part), "'{part}' is not in {text:?}");
    }
    Ok(())
}

/// The process of the VMM that this command supervises.
fn vmm(context: &Context, supervisor: u32) -> Result<u32> {
    let listed = context.tool(["ps", "--json"])?.expect(0)?;
    let all: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    let mut entries = all.as_array().into_iter().flatten();
    let entry = entries.find(|entry| entry["supervisor"] == supervisor).context("`unibody ps` does not list it")?;
    Ok(u32::try_from(entry["vmm"].as_u64().context("`unibody ps --json` names no VMM")?)?)
}

/// Checks that the process ends within a second or two.
fn gone(process: u32) -> Result<()> {
    process::eventually(Duration::from_secs(5), || match std::fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) if !stat.contains(") Z ") => bail!("the VMM, process {process}, outlives what started it"),
        _ => Ok(()),
    })
}
