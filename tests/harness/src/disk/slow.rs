//! A slow disk blocks no other thread, and a file larger than memory leaves memory for others.

use super::work::disk;
use super::{drive, image};
use crate::case::{Case, Need, Tally};
use crate::context::Context;
use crate::process;
use crate::vm::Vm;
use anyhow::{Context as _, Result, ensure};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

pub fn cases(all: &mut Vec<Case>, full: bool) {
    const NEEDS: &[Need] = &[Need::Toolchain, Need::Disk];
    all.push(Case::new("disk/slow", slow).needs(NEEDS));
    let rows: &[(&str, u64)] = if full { &[("32M", 128), ("64M", 512)] } else { &[("32M", 128)] };
    for (memory, megabytes) in rows {
        let body = move |context: &Context| copy(context, memory, *megabytes);
        all.push(Case::new(format!("disk/copy-{megabytes}M-with-{memory}"), body).needs(NEEDS).limit(900));
    }
}

/// Ten requests per second: timers and the network keep working.
fn slow(context: &Context) -> Result<Tally> {
    let folder = context.scratch("slow")?;
    let file = folder.join("disk.img");
    image::make(&file, 16 << 20, 16, 4)?;
    let script = drive::script(&folder, &file, &drive::Special::Slow(10))?;
    let (mount, program) = (disk(&file, "/data"), context.disk_program("slow")?);
    let program = program.to_string_lossy();
    let words = ["-p", "0:7000", "--disk", &mount, &program, "--", "/data", "10"];
    let vm = Vm::start_with(context, words, |command| {
        command.env("UNIBODY_QEMU", &script);
    })?;
    let mut stream = process::eventually(Duration::from_secs(60), || {
        let entry = vm.entry()?;
        let publish = entry["publish"][0].as_str().context("no port")?.to_owned();
        let port = publish.rsplit_once(':').context("no port")?.0.to_owned();
        let mut stream =
            std::net::TcpStream::connect(if port.contains(':') { port } else { format!("127.0.0.1:{port}") })?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        echo(&mut stream)?;
        Ok(stream)
    })?;
    stream.set_nodelay(true)?;
    let (mut answers, mut slowest, end) = (0, Duration::ZERO, Instant::now() + Duration::from_secs(6));
    while Instant::now() < end {
        let start = Instant::now();
        echo(&mut stream).with_context(|| format!("after {answers} answers\n{}", vm.logs()))?;
        slowest = slowest.max(start.elapsed());
        answers += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = vm.status(Duration::from_secs(90))?;
    let logs = vm.logs();
    ensure!(status == 0 && logs.contains("end\n"), "status {status}\n{logs}");
    let line = logs.lines().find(|line| line.contains("short sleeps")).context("no figures")?;
    let late: u64 =
        line.rsplit("by ").next().and_then(|text| text.split(' ').next()?.parse().ok()).context("no figure")?;
    ensure!(late < 500 && slowest < Duration::from_millis(1000), "answers took up to {slowest:?}; {line}");
    image::clean(&file)?;
    Ok(Tally::pass(format!("{answers} answers, the slowest {} ms; {line}", slowest.as_millis())))
}

fn echo(stream: &mut std::net::TcpStream) -> Result<()> {
    stream.write_all(b"hello")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    ensure!(&answer == b"hello", "another answer");
    Ok(())
}

/// Writes, copies, reads and maps a file several times as large as memory.
fn copy(context: &Context, memory: &str, megabytes: u64) -> Result<Tally> {
    let file = context.scratch("copy")?.join("disk.img");
    image::make(&file, (megabytes * 2 + 64) << 20, 32, 8)?;
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "-m", memory]);
    command.arg("--disk").arg(disk(&file, "/data")).arg(context.disk_program("copy")?);
    command.args(["--", "/data", &megabytes.to_string()]);
    let done = process::run(&mut command, b"", Duration::from_secs(800))?.expect(0)?;
    let out = done.out();
    ensure!(out.starts_with("0 of ") && out.contains("\n0 mapped words are wrong\n"), "{}", done.report());
    image::clean(&file)?;
    std::fs::remove_file(&file)?;
    let figures = out.lines().find(|line| line.starts_with("file ")).unwrap_or_default().to_owned();
    Ok(Tally::pass(format!("{figures}, {:.1} s", done.took.as_secs_f32())))
}
