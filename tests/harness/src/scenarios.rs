//! The command line as people use and misuse it: each command's messages and exit status.

use super::case::{Case, Tally};
use super::context::Context;
use super::output::output_fails;
use super::process::{self, Finished};
use super::vm::Vm;
use anyhow::{Context as _, Result, bail, ensure};
use std::net::TcpListener;
use std::time::Duration;

type Scenario = fn(&Context) -> Result<Tally>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("bad-usage", bad_usage),
    ("missing-file", missing_file),
    ("foreign-file", foreign_file),
    ("port-in-use", port_in_use),
    ("duplicate-name", duplicate_name),
    ("no-qemu", no_qemu),
    ("too-little-memory", too_little_memory),
    ("dry-run", dry_run),
    ("arguments-unchanged", arguments_unchanged),
    ("streams-apart", streams_apart),
    ("output-fails", output_fails),
    ("own-file", own_file),
    ("two-at-once", two_at_once),
    ("udp-forwarding", udp_forwarding),
    ("detached", detached),
    ("stop-and-signals", stop_and_signals),
    ("rootfs-overlay", rootfs_overlay),
    ("ulimit", ulimit),
    ("link-errors", link_errors),
    ("outside-the-clone", outside_the_clone),
    ("inspect", inspect),
    ("plain-commands", plain_commands),
];

/// One case for each scenario.
pub fn cases(all: &mut Vec<Case>) {
    for (name, scenario) in SCENARIOS {
        all.push(Case::new(format!("cli/{name}"), scenario));
    }
}

/// Checks a refusal: the status, and words that must be in the message. No panic, nothing on standard output.
fn refused(done: Finished, status: i32, words: &[&str]) -> Result<()> {
    let done = done.expect(status)?;
    let text = done.err();
    for word in words {
        ensure!(text.contains(word), "'{word}' is not in the message\n{}", done.report());
    }
    ensure!(!text.contains("panicked"), "it panicked\n{}", done.report());
    ensure!(done.stdout.is_empty(), "a refusal belongs on standard error\n{}", done.report());
    Ok(())
}

fn bad_usage(context: &Context) -> Result<Tally> {
    let lines: &[&[&str]] = &[
        &["run"],
        &["no-such-command"],
        &["run", "x.img", "--no-such-option"],
        &["run", "x.img", "-p", "http"],
        &["run", "x.img", "-m", "lots"],
        &["run", "x.img", "--smp", "0"],
        &["run", "x.img", "--ip", "10.0.0.300/24"],
        &["run", "x.img", "--machine", "toaster"],
        &["kill", "x", "-s", "NOSUCH"],
        &["stop"],
        &["build"],
    ];
    for words in lines {
        refused(context.tool(*words)?, 2, &[])?;
    }
    Ok(Tally::pass(format!("{} lines", lines.len())))
}

fn missing_file(context: &Context) -> Result<Tally> {
    refused(context.tool(["run", "./no/such.img"])?, 1, &["no/such.img"])?;
    refused(context.tool(["run", "no-such-port"])?, 1, &["no-such-port"])?;
    refused(context.tool(["build", "no-such-port"])?, 1, &["no-such-port"])?;
    refused(context.tool(["logs", "no-such-vm"])?, 1, &["no-such-vm"])?;
    refused(context.tool(["stop", "no-such-vm"])?, 1, &["no-such-vm"])?;
    refused(context.tool(["inspect", "./no/such.img"])?, 1, &["no/such.img"])?;
    Ok(Tally::pass(""))
}

fn foreign_file(context: &Context) -> Result<Tally> {
    let folder = context.scratch("foreign")?;
    let text = folder.join("text.img");
    std::fs::write(&text, "just text\n")?;
    let short = folder.join("short.img");
    std::fs::write(&short, &std::fs::read(context.program("hello")?)?[..3000])?;
    for file in ["/bin/true", &text.to_string_lossy(), &short.to_string_lossy(), "/"] {
        refused(context.tool(["run", file])?, 1, &[file])?;
    }
    Ok(Tally::pass(""))
}

fn port_in_use(context: &Context) -> Result<Tally> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let image = context.program("hello")?;
    let publish = format!("{port}:80");
    let done = process::run(context.unibody(["run", "-p", &publish]).arg(image), b"", Duration::from_secs(30))?;
    refused(done, 1, &[&port.to_string(), "in use"])?;
    Ok(Tally::pass(""))
}

fn duplicate_name(context: &Context) -> Result<Tally> {
    let vm = Vm::start(context, [context.program("server")?])?;
    let image = context.program("hello")?;
    let done = process::run(context.unibody(["run", "--name", &vm.name]).arg(image), b"", Duration::from_secs(30))?;
    refused(done, 1, &[&vm.name])?;
    Ok(Tally::pass(""))
}

fn no_qemu(context: &Context) -> Result<Tally> {
    let image = context.program("hello")?;
    let done =
        process::run(context.unibody(["run"]).arg(image).env("PATH", "/nonexistent"), b"", Duration::from_secs(30))?;
    refused(done, 1, &["qemu-system-x86_64", "not installed"])?;
    Ok(Tally::pass(""))
}

fn too_little_memory(context: &Context) -> Result<Tally> {
    let image = context.program("hello")?;
    let mut command = context.unibody(["run", "-m", "2M"]);
    // A VMM that makes the test fail if it is started.
    command.env("UNIBODY_QEMU", "/bin/false");
    refused(process::run(command.arg(image), b"", Duration::from_secs(30))?, 1, &["2M", "at least"])?;
    Ok(Tally::pass(""))
}

fn dry_run(context: &Context) -> Result<Tally> {
    let image = context.program("args")?;
    let mut command = context.unibody(["run", "--dry-run", "--accel", "tcg", "--net", "none"]);
    let printed = process::run(command.arg(&image).args(["--", "a b"]), b"", Duration::from_secs(30))?.expect(0)?;
    let out = printed.out();
    ensure!(
        out.contains("qemu-system-x86_64") && out.lines().count() == 1,
        "one QEMU line was expected\n{}",
        printed.report()
    );
    // The line works when pasted.
    let pasted = process::run(&mut process::command("sh", ["-c", out.trim()]), b"", Duration::from_secs(60))?;
    ensure!(
        pasted.out().contains("argv[1] 3 bytes: 61 20 62  a b"),
        "the printed line does not work\n{}",
        pasted.report()
    );
    Ok(Tally::pass(""))
}

/// 32 KiB of arguments and environment in total, with spaces, quotes and UTF-8.
fn arguments_unchanged(context: &Context) -> Result<Tally> {
    let image = context.program("echo_args")?;
    let mut args: Vec<String> =
        ["", " ", "two words", "'\"\\`$HOME", "żółć 日本 🚀", "--", "-h", "a\nb\tc", "key=value", " -- "]
            .map(String::from)
            .to_vec();
    args.extend((0..100).map(|i| format!("argument number {i} {}", "x'\"é ".repeat(20))));
    let environment: Vec<String> =
        (0..60).map(|i| format!("VARIABLE_{i}={}", "value \"with\" 'quotes' ".repeat(8))).collect();
    let total: usize = args.iter().chain(&environment).map(|text| text.len() + 1).sum();
    ensure!(total > 24 * 1024 && total < 32 * 1024, "the test has {total} bytes");
    let mut expected: Vec<u8> = Vec::new();
    for word in &args {
        expected.extend(word.as_bytes());
        expected.push(0);
    }
    let mut variables = environment.clone();
    variables.sort_unstable();
    for word in &variables {
        expected.extend(word.as_bytes());
        expected.push(0);
    }
    for hosted in [false, true] {
        let mut command = if hosted {
            context.unibody(["run", "--hosted"])
        } else {
            context.unibody(["run", "--accel", "tcg", "--net", "none"])
        };
        for variable in &environment {
            command.arg("-e").arg(variable);
        }
        let done = process::run(command.arg(&image).arg("--").args(&args), b"", Duration::from_secs(60))?.expect(0)?;
        ensure!(done.stdout == expected, "arguments or environment changed (hosted: {hosted})\n{}", done.report());
    }
    Ok(Tally::pass(format!("{total} bytes")))
}

/// Standard output is the program's and nothing else, whatever the kernel logs.
fn streams_apart(context: &Context) -> Result<Tally> {
    let image = context.program("refused")?;
    let done = process::run(context.unibody(["run", "--accel", "tcg"]).arg(&image), b"", Duration::from_secs(60))?
        .expect(0)?;
    ensure!(done.out().starts_with("fork() = -1 ENOSYS\n"), "something else is on standard output\n{}", done.report());
    let said = done.err().matches("fork()").count();
    ensure!(said >= 1, "nobody said who called fork\n{}", done.report());
    let image = context.program("stdout")?;
    let done = process::run(context.unibody(["run", "--accel", "tcg"]).arg(&image), b"", Duration::from_secs(60))?
        .expect(0)?;
    let lines = done.err().lines().filter(|line| line.starts_with("thread ") && line.contains(" says ")).count();
    ensure!(lines == 400, "{lines} of 400 lines of the program's standard error arrived\n{}", done.report());
    Ok(Tally::pass(""))
}

fn two_at_once(context: &Context) -> Result<Tally> {
    let image = context.program("server")?;
    let vms = [
        Vm::start(context, ["-p", "0:7000", &image.to_string_lossy()])?,
        Vm::start(context, ["-p", "0:7000", &image.to_string_lossy()])?,
    ];
    for (i, vm) in vms.iter().enumerate() {
        let text = format!("hello {i}");
        let answer = process::eventually(Duration::from_secs(20), || ask(vm, text.as_bytes()))?;
        ensure!(answer == text.as_bytes(), "VM {i} answered {:?}", String::from_utf8_lossy(&answer));
    }
    ensure!(
        vms[0].entry()?["mac"] != vms[1].entry()?["mac"] || vms[0].entry()?["mac"].is_null(),
        "both have one MAC address"
    );
    Ok(Tally::pass(""))
}

/// Sends something to the echo server of a VM, through its forwarded port.
fn ask(vm: &Vm, text: &[u8]) -> Result<Vec<u8>> {
    use std::io::{Read, Write};
    let entry = vm.entry()?;
    let publish = entry["publish"][0].as_str().context("`unibody ps --json` names no published port")?.to_owned();
    let host = publish.rsplit_once(':').context("a published port is HOST:GUEST")?.0;
    let address = if host.contains(':') { host.to_owned() } else { format!("127.0.0.1:{host}") };
    let mut stream = std::net::TcpStream::connect(&address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(text)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(!answer.is_empty(), "no answer");
    Ok(answer)
}

fn udp_forwarding(context: &Context) -> Result<Tally> {
    let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let publish = format!("{port}:7000/udp");
    let image = context.program("udp_server")?;
    let vm = Vm::start(context, ["-p", &publish, &image.to_string_lossy()])?;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    let mut answer = [0; 2000];
    for size in [1, 100, 1400] {
        let message = vec![size as u8; size];
        // UDP: a message may be lost before the program is up.
        let n = process::eventually(Duration::from_secs(20), || {
            socket.send(&message)?;
            socket.recv(&mut answer).with_context(|| format!("no answer to {size} bytes\n{}", vm.logs()))
        })?;
        ensure!(answer[..n] == message, "{n} other bytes came back");
        // Discard answers to messages that were sent twice.
        while socket.recv(&mut answer).is_ok() {}
    }
    socket.send(b"end")?;
    let status = vm.status(Duration::from_secs(10))?;
    ensure!(status == 0, "exit status {status}\n{}", vm.logs());
    Ok(Tally::pass(""))
}

fn detached(context: &Context) -> Result<Tally> {
    let vm = Vm::start(context, [context.program("exit_return")?])?;
    let status = vm.status(Duration::from_secs(30))?;
    ensure!(status == 7, "exit status {status} instead of 7");
    let out = context.tool(["logs", &vm.name])?.expect(0)?;
    ensure!(out.out().contains("not ended by a newline"), "the log has no output\n{}", out.report());
    context.tool(["rm", &vm.name])?.expect(0)?;
    refused(context.tool(["logs", &vm.name])?, 1, &[&vm.name])?;
    Ok(Tally::pass(""))
}

fn stop_and_signals(context: &Context) -> Result<Tally> {
    let image = context.program("server")?;
    for machine in ["q35", "pc", "microvm"] {
        let vm = Vm::start(context, ["--machine", machine, &image.to_string_lossy()])?;
        process::eventually(Duration::from_secs(20), || {
            if vm.logs().contains("ready") { Ok(()) } else { bail!("not ready: {}", vm.logs()) }
        })?;
        vm.kill("HUP")?;
        process::eventually(Duration::from_secs(5), || {
            if vm.logs().contains("SIGHUP") { Ok(()) } else { bail!("no SIGHUP: {}", vm.logs()) }
        })?;
        let start = std::time::Instant::now();
        vm.stop()?;
        ensure!(start.elapsed() < Duration::from_secs(2), "stopping took {:?} on {machine}", start.elapsed());
        let status = vm.status(Duration::from_secs(5))?;
        ensure!(status == 0, "exit status {status} on {machine}: {}", vm.logs());
        ensure!(vm.logs().contains("SIGTERM"), "{}", vm.logs());
        // In the foreground Ctrl-C is SIGTERM to the program, and its exit status is the command's.
        let mut run = context.unibody(["run", "--accel", "tcg", "--machine", machine]);
        let running = process::start(run.arg(&image), b"")?;
        std::thread::sleep(Duration::from_secs(2));
        let done = running.terminate(Duration::from_secs(10))?.expect(0)?;
        ensure!(done.out().contains("SIGTERM"), "no SIGTERM on {machine}\n{}", done.report());
    }
    // The program does not catch it, and the status says so.
    let vm = Vm::start(context, [context.program("sleeper")?])?;
    process::eventually(Duration::from_secs(20), || {
        if vm.logs().contains("sleeping") { Ok(()) } else { bail!("not ready: {}", vm.logs()) }
    })?;
    vm.kill("USR1")?;
    let status = vm.status(Duration::from_secs(10))?;
    ensure!(status == 138, "exit status {status} instead of 138");
    Ok(Tally::pass(""))
}

fn rootfs_overlay(context: &Context) -> Result<Tally> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = context.scratch("overlay")?;
    std::fs::create_dir_all(folder.join("data/deep"))?;
    std::fs::write(folder.join("data/deep/file"), "overlaid\n")?;
    std::fs::set_permissions(folder.join("data/deep/file"), std::fs::Permissions::from_mode(0o640))?;
    std::fs::write(folder.join("data/large"), vec![b'L'; 3 << 20])?;
    std::fs::set_permissions(folder.join("data/large"), std::fs::Permissions::from_mode(0o644))?;
    symlink("deep/file", folder.join("data/link"))?;
    std::fs::hard_link(folder.join("data/deep/file"), folder.join("data/hard"))?;
    // Its second name is outside the folder: a file with one name in the folder has one in the guest.
    std::fs::hard_link(folder.join("data/large"), folder.with_extension("outside"))?;
    let sparse = std::fs::File::create(folder.join("data/sparse"))?;
    sparse.set_len(1 << 20)?;
    sparse.set_permissions(std::fs::Permissions::from_mode(0o400))?;
    std::fs::set_permissions(folder.join("data/deep"), std::fs::Permissions::from_mode(0o710))?;
    let changed = std::time::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    std::fs::File::open(folder.join("data/deep"))?.set_times(std::fs::FileTimes::new().set_modified(changed))?;
    let image = context.program("overlay")?;
    for words in [&["run", "--accel", "tcg", "--net", "none", "--rootfs"][..], &["run", "--hosted", "--rootfs"]] {
        let done = process::run(
            context.unibody(words).arg(&folder).args(["-w", "/data"]).arg(&image),
            b"",
            Duration::from_secs(60),
        )?
        .expect(0)?;
        let expected = "cwd /data\n\
            deep/file: mode 100640, 2 links, 9 bytes: overlaid\n\
            link: mode 100640, 2 links, 9 bytes: overlaid\n\
            hard: mode 100640, 2 links, 9 bytes: overlaid\n\
            large: mode 100644, 1 links, 3145728 bytes: LLLLLLLL\n\
            sparse: mode 100400, 1 links, 1048576 bytes: \n\
            deep: mode 40710, changed 1600000000\nlink -> deep/file\none file: yes\n";
        ensure!(done.out() == expected, "expected\n{expected}\n{}", done.report());
    }
    let done = context.tool(["run", "--rootfs", "/no/such/folder", &image.to_string_lossy()])?;
    refused(done, 1, &["/no/such/folder"])?;
    Ok(Tally::pass(""))
}

/// Resource limits that were asked for, in both lives.
fn ulimit(context: &Context) -> Result<Tally> {
    let image = context.program("descriptors")?;
    let limits = ["--ulimit", "nofile=300:4000", "--ulimit", "core=0", "--ulimit=stack=1048576:unlimited"];
    for life in [&["run", "--accel", "tcg", "--net", "none"][..], &["run", "--hosted"]] {
        let mut command = context.unibody(life);
        command.args(limits).arg(&image).args(["--", "show"]);
        let done = process::run(&mut command, b"", Duration::from_secs(60))?.expect(0)?;
        ensure!(done.out() == "300 4000\n0 0\n1048576 -1\n", "other limits\n{}", done.report());
        // It starts with its streams all the same.
        let mut command = context.unibody(life);
        command.args(["--ulimit", "nofile=0"]).arg(&image).args(["--", "show"]);
        let done = process::run(&mut command, b"", Duration::from_secs(60))?.expect(0)?;
        ensure!(done.out().starts_with("0 0\n"), "other limits\n{}", done.report());
    }
    let done = context.tool(["run", "--ulimit", "nofile=5000000", &image.to_string_lossy()])?;
    refused(done, 2, &["1048576"])?;
    Ok(Tally::pass(""))
}

/// What is appended to an image (an archive, say) can be read by the program, on every machine and in both lives.
fn own_file(context: &Context) -> Result<Tally> {
    let image = context.scratch("own, file")?.join("image,1");
    let mut bytes = std::fs::read(context.program("own_file")?)?;
    bytes.extend_from_slice(b"appended data");
    std::fs::write(&image, bytes)?;
    std::fs::set_permissions(&image, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let run = |words: &[&str]| {
        let mut command = context.unibody(words);
        process::run(command.arg(&image).args(["--", "appended data"]), b"", Duration::from_secs(60))?.expect(0)
    };
    let linux = run(&["run", "--hosted"])?;
    ensure!(linux.out().contains("appended: appended data\n"), "it does not see its end\n{}", linux.report());
    for machine in ["q35", "pc", "microvm"] {
        let here = run(&["run", "--accel", "tcg", "--net", "none", "--machine", machine])?;
        ensure!(here.stdout == linux.stdout, "{machine} differs\n{}\n{}", linux.report(), here.report());
    }
    Ok(Tally::pass(""))
}

/// Missing functions are a link error, all in one message.
fn link_errors(context: &Context) -> Result<Tally> {
    let folder = context.scratch("link")?;
    let source = folder.join("missing.c");
    std::fs::write(
        &source,
        "int no_such_function(int);\nint another_missing_one(void);\nint main(void) { return no_such_function(another_missing_one()); }\n",
    )?;
    let Err(error) = context.compile(&source, &folder.join("missing.img"), &[]) else { bail!("it linked") };
    let text = format!("{error:#}");
    for name in ["no_such_function", "another_missing_one"] {
        ensure!(text.contains(name), "'{name}' is not named\n{text}");
    }
    Ok(Tally::pass(""))
}

/// A program outside the clone, built as configure scripts and makefiles do: objects, an archive, a link.
fn outside_the_clone(context: &Context) -> Result<Tally> {
    let folder = context.scratch("elsewhere")?;
    std::fs::write(folder.join("part.c"), "#include <math.h>\ndouble part(double x) { return sqrt(x); }\n")?;
    std::fs::write(
        folder.join("main.c"),
        "#include <pthread.h>\n#include <stdio.h>\ndouble part(double);\nstatic void *f(void *a) { *(double *)a = part(2); return 0; }\n\
         int main(void) { pthread_t t; double d; pthread_create(&t, 0, f, &d); pthread_join(t, 0); printf(\"%.6f\\n\", d); return 4; }\n",
    )?;
    let bin = context.bin()?;
    let script = "set -e\n$CC -c -O2 part.c\n$CC -c main.c\n$AR rcs libpart.a part.o\n$RANLIB libpart.a\n$CC -o prog main.o -L. -lpart -lm -pthread\n\
                  $CC -dumpmachine\ncmake_file=$(ls -d \"$(dirname $CC)\"/../*/*/*.cmake \"$(dirname $CC)\"/../*/*.cmake 2>/dev/null | head -1)\necho cmake ${cmake_file:+there}";
    let mut sh = process::command("sh", ["-c", script]);
    for (key, tool) in [("CC", "gcc"), ("AR", "ar"), ("RANLIB", "ranlib")] {
        sh.env(key, bin.join(format!("x86_64-unikernel-{tool}")));
    }
    let made = process::run(sh.current_dir(&folder), b"", Duration::from_secs(120))?.expect(0)?;
    ensure!(made.out().contains("x86_64-linux-musl\n"), "the triple\n{}", made.report());
    let image = folder.join("prog");
    let hosted = process::run(&mut process::command(&image, [""; 0]), b"", Duration::from_secs(10))?.expect(4)?;
    let vm = process::run(
        context.unibody(["run", "--accel", "tcg"]).arg(&image).current_dir(&folder),
        b"",
        Duration::from_secs(60),
    )?
    .expect(4)?;
    ensure!(hosted.out() == "1.414214\n" && vm.stdout == hosted.stdout, "{}\n{}", hosted.report(), vm.report());
    Ok(Tally::pass(""))
}

fn inspect(context: &Context) -> Result<Tally> {
    let image = context.program("hello")?;
    let done = process::run(context.unibody(["inspect"]).arg(&image), b"", Duration::from_secs(30))?.expect(0)?;
    ensure!(done.out().lines().count() > 5, "{}", done.report());
    let done =
        process::run(context.unibody(["inspect", "--json"]).arg(&image), b"", Duration::from_secs(30))?.expect(0)?;
    serde_json::from_slice::<serde_json::Value>(&done.stdout).context("`inspect --json` printed no JSON")?;
    Ok(Tally::pass(""))
}

fn plain_commands(context: &Context) -> Result<Tally> {
    let version = context.tool(["--version"])?.expect(0)?;
    ensure!(version.out().starts_with("unibody "), "{}", version.report());
    let help = context.tool(["--help"])?.expect(0)?.out();
    for command in [
        "toolchain",
        "build",
        "run",
        "ps",
        "logs",
        "stop",
        "kill",
        "rm",
        "inspect",
        "ports",
        "test",
        "doctor",
        "clean",
        "completions",
    ] {
        ensure!(
            help.lines().any(|line| line.trim_start().starts_with(command)),
            "--help does not name {command}\n{help}"
        );
        let own = context.tool([command, "--help"])?.expect(0)?.out();
        ensure!(own.contains("Example"), "{command} --help has no example\n{own}");
    }
    context.tool(["ps"])?.expect(0)?;
    let ports = context.tool(["ports"])?.expect(0)?;
    for name in ["nginx", "nginx:lean"] {
        let named = ports.out().lines().any(|line| line.split(' ').next() == Some(name));
        ensure!(named, "no {name}\n{}", ports.report());
    }
    context.tool(["doctor"])?;
    for shell in ["bash", "zsh", "fish"] {
        ensure!(!context.tool(["completions", shell])?.expect(0)?.stdout.is_empty(), "no completions for {shell}");
    }
    Ok(Tally::pass(""))
}
