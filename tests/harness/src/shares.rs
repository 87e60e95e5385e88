//! Folders of this machine (`-v`): what the guest does there, what this machine does there, and whether both agree.

use super::case::{Case, Need, Tally};
use super::context::Context;
use super::nginx::{Site, content, get};
use super::process::{self, Finished};
use super::qemu::{self, Change};
use super::vm::Vm;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Programs that work on a scratch folder and print the same there as in a folder of Linux. (Not among them: `files_dirs`,
/// which makes a FIFO, and `files_rw`, which allocates space. Linux refuses both on 9p, too.)
const PROGRAMS: &[&str] = &[
    "cred_share",
    "files_at",
    "files_dup",
    "files_links",
    "files_open",
    "files_stat",
    "files_stdio",
    "mmap_file",
    "mmap_truncate",
    "share",
];

/// Machines and changes of the command line.
const MACHINES: &[(&str, Option<Change>)] = &[
    ("microvm", None),
    ("microvm,acpi=off", None),
    ("microvm", Some(Change::LegacyMmio)),
    ("pc", None),
    ("pc", Some(Change::LegacyPci)),
    ("q35", Some(Change::RootPorts)),
];

pub fn cases(all: &mut Vec<Case>) {
    for name in PROGRAMS {
        all.push(Case::new(format!("shares/program-{name}"), move |context| program(context, name)));
    }
    all.push(Case::new("shares/content-both-ways", both_ways));
    all.push(Case::new("shares/large-folder", large_folder));
    all.push(Case::new("shares/changes-on-this-side", changes));
    all.push(Case::new("shares/removed-while-appending", removed));
    all.push(Case::new("shares/read-only", read_only));
    all.push(Case::new("shares/rights", rights).needs(&[Need::Toolchain, Need::Setpriv]));
    all.push(Case::new("shares/names-and-places", places));
    all.push(Case::new("shares/machines", machines));
    all.push(Case::new("shares/killed", killed));
    all.push(Case::new("shares/usage", usage));
    all.push(Case::new("shares/nginx", nginx).needs(&[Need::Toolchain, Need::Nginx]));
}

/// `-v DIR:/data[:ro]`, then the words.
fn run(context: &Context, dir: &Path, end: &str, words: &[&str]) -> Command {
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "-m", "64M", "-v"]);
    command.arg(format!("{}:/data{end}", dir.display())).args(words);
    command
}

/// `share` with these arguments.
fn share(context: &Context, dir: &Path, end: &str, words: &[&str]) -> Result<Finished> {
    let mut command = run(context, dir, end, &[]);
    command.arg(context.program("share")?).arg("--").args(words);
    process::run(&mut command, b"", Duration::from_secs(120))?.expect(0)
}

fn program(context: &Context, name: &str) -> Result<Tally> {
    if name.starts_with("cred_") && !nix::unistd::geteuid().is_root() {
        return Ok(Tally::skip("the Linux process must begin as root, and QEMU be able to give files away"));
    }
    let image = context.program(name)?;
    let dir = context.scratch(name)?;
    let mut hosted = process::command(&image, std::iter::empty::<&str>());
    let linux = process::run(hosted.env("TEST_SCRATCH", &dir), b"", Duration::from_secs(60))?.expect(0)?;
    let mut vm = run(context, &dir, "", &["-e", "TEST_SCRATCH=/data"]);
    let vm = process::run(vm.arg(&image), b"", Duration::from_secs(120))?.expect(0)?;
    if let Some((linux, here)) = linux.out().lines().zip(vm.out().lines()).find(|(a, b)| a != b) {
        bail!("in a folder of Linux: {linux}\nin the VM:            {here}\n{}", vm.report());
    }
    ensure!(linux.stdout == vm.stdout, "one printed more\n{}\n{}", vm.report(), linux.report());
    Ok(Tally::pass(format!("VM {:.2} s", vm.took.as_secs_f32())))
}

/// The same as `sum` in share.c.
fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |h, &b| (h ^ u32::from(b)).wrapping_mul(16_777_619))
}

fn shown(bytes: &[u8]) -> String {
    format!("{} bytes {:08x} mapped too\n", bytes.len(), sum(bytes))
}

/// Either side writes and the other reads, also through mappings, in two runs.
fn both_ways(context: &Context) -> Result<Tally> {
    let dir = context.scratch("share")?;
    let data = content(3_000_001);
    fs::write(dir.join("in"), &data)?;
    let words = ["fill", "/data/out", "show", "/data/in", "show", "/data/out"];
    let done = share(context, &dir, "", &words)?;
    ensure!(done.out() == shown(&data).repeat(2), "the guest reads something else\n{}", done.report());
    ensure!(fs::read(dir.join("out"))? == data, "what the guest wrote is something else here");
    ensure!(fs::metadata(dir.join("out"))?.mode() & 0o777 == 0o640, "the mode did not arrive");
    fs::remove_file(dir.join("out"))?;
    let mut hosted = context.unibody(["run", "--hosted", "-v"]);
    hosted.arg(format!("{}:/data", dir.display())).arg(context.program("share")?).arg("--").args(words);
    let hosted = process::run(&mut hosted, b"", Duration::from_secs(60))?.expect(0)?;
    ensure!(hosted.stdout == done.stdout, "--hosted differs\n{}", hosted.report());
    Ok(Tally::pass(format!("{:.2} s", done.took.as_secs_f32())))
}

/// 10,000 entries: each is listed once, positions stay valid, and all can be removed while they are read.
fn large_folder(context: &Context) -> Result<Tally> {
    let dir = context.scratch("large")?;
    let many = dir.join("many");
    fs::create_dir(&many)?;
    let mut total = 0u32;
    for n in 0..10_000 {
        let name = format!("a file of a large folder, number {n}");
        total = total.wrapping_add(sum(name.as_bytes()));
        fs::write(many.join(name), "")?;
    }
    let line = format!("10000 names {total:08x}, 0 wrong\n");
    let done = share(context, &dir, "", &["list", "/data/many", "remove", "/data/many"])?;
    // 3,000 of 10,000 and the two dot entries precede the position, wherever the dots come.
    let out = done.out();
    let behind = (7000..=7002).any(|n| out == format!("{line}{n} behind\n10002 again\n{line}"));
    ensure!(behind, "expected {line}\n{}", done.report());
    ensure!(fs::read_dir(&many)?.count() == 0, "something is left");
    Ok(Tally::pass(format!("{:.2} s", done.took.as_secs_f32())))
}

/// Whatever this machine writes, replaces and removes is seen at the next open.
fn changes(context: &Context) -> Result<Tally> {
    let dir = context.scratch("changes")?;
    let file = dir.join("f");
    fs::write(&file, "first")?;
    let image = context.program("share")?;
    let volume = format!("{}:/data", dir.display());
    let words = ["--net", "none", "-v", &volume, &image.to_string_lossy(), "--", "watch", "/data/f"];
    let vm = Vm::start(context, words)?;
    let seen = |text: &str| {
        process::eventually(Duration::from_secs(20), || {
            let logs = vm.logs();
            if logs.lines().any(|line| line == text) { Ok(()) } else { bail!("'{text}' was not seen\n{logs}") }
        })
    };
    seen("first")?;
    // The same length, and maybe within the same second.
    fs::write(&file, "other")?;
    seen("other")?;
    fs::write(dir.join("new"), "replaced")?;
    fs::rename(dir.join("new"), &file)?;
    seen("replaced")?;
    fs::remove_file(&file)?;
    seen("ENOENT")?;
    fs::create_dir(&file)?;
    seen("EISDIR")?;
    fs::remove_dir(&file)?;
    fs::write(dir.join("target"), "by a link")?;
    symlink("target", &file)?;
    seen("by a link")?;
    fs::write(dir.join("target"), "end")?;
    seen("end")?;
    Ok(Tally::pass(""))
}

/// This machine removes the name of a file to which the guest appends: its lines are kept.
fn removed(context: &Context) -> Result<Tally> {
    let dir = context.scratch("removed")?;
    let image = context.program("share")?;
    let volume = format!("{}:/data", dir.display());
    let words =
        ["--net", "none", "-v", &volume, &image.to_string_lossy(), "--", "append", "/data/f", "append", "/data/g"];
    let vm = Vm::start(context, words)?;
    for (name, lines) in [("f", 1), ("g", 2)] {
        let seen = |text: &str, times: usize| {
            process::eventually(Duration::from_secs(30), || {
                let logs = vm.logs();
                ensure!(logs.lines().filter(|line| *line == text).count() >= times, "'{text}' is missing in\n{logs}");
                Ok(())
            })
        };
        seen("appending", lines)?;
        let file = dir.join(name);
        process::eventually(Duration::from_secs(20), || {
            ensure!(fs::metadata(&file)?.len() > 800, "too little is here");
            Ok(())
        })?;
        if name == "f" {
            fs::remove_file(&file)?;
        } else {
            // As in log rotation.
            fs::rename(&file, dir.join("g.1"))?;
            fs::write(&file, "another file")?;
        }
        fs::write(dir.join(format!("{name}.gone")), "")?;
        seen("st.st_size == lines * 8L: yes", lines)?;
        seen("wrong = 0", lines)?;
    }
    ensure!(fs::read(dir.join("g"))? == b"another file", "the other file of that name was changed");
    Ok(Tally::pass(""))
}

/// Nothing changes, and every attempt is EROFS; QEMU does not allow it either.
fn read_only(context: &Context) -> Result<Tally> {
    let dir = context.scratch("ro")?;
    fs::write(dir.join("f"), "as it was")?;
    let done = share(context, &dir, ":ro", &["refused", "/data"])?;
    let out = done.out();
    let refused = out.lines().filter(|line| line.ends_with("= -1 EROFS")).count();
    ensure!(refused == 11, "{refused} of 11 were refused\n{}", done.report());
    ensure!(out.ends_with(&shown(b"as it was")), "it cannot be read\n{}", done.report());
    let line =
        context.tool(["run", "--dry-run", "-v"].map(str::to_owned).into_iter().chain([
            format!("{}:/data:ro", dir.display()),
            context.program("share")?.to_string_lossy().into_owned(),
        ]))?;
    ensure!(line.out().contains("security_model=none,multidevs=remap,readonly=on"), "{}", line.report());
    ensure!(fs::read_dir(&dir)?.count() == 1 && fs::read(dir.join("f"))? == b"as it was");
    Ok(Tally::pass(""))
}

/// Without root's privileges the host's errors reach the program. If we are root, QEMU gives them up.
fn rights(context: &Context) -> Result<Tally> {
    let dir = context.scratch("rights")?;
    for folder in ["closed", "locked"] {
        fs::create_dir(dir.join(folder))?;
    }
    for (file, mode) in [("secret", 0o000), ("fixed", 0o444), ("closed/inner", 0o644), ("locked/f", 0o644)] {
        fs::write(dir.join(file), "x")?;
        fs::set_permissions(dir.join(file), fs::Permissions::from_mode(mode))?;
    }
    nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::from_bits_truncate(0o644))?;
    for (folder, mode) in [("closed", 0o000), ("locked", 0o555)] {
        fs::set_permissions(dir.join(folder), fs::Permissions::from_mode(mode))?;
    }
    let mut command = run(context, &dir, "", &[]);
    command.arg(context.program("share")?).args(["--", "rights", "/data"]);
    if nix::unistd::geteuid().is_root() {
        const DROP: &str = "exec setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all";
        let tried =
            process::run(&mut process::command("sh", ["-c", &format!("{DROP} true")]), b"", Duration::from_secs(10))?;
        if tried.status != 0 {
            return Ok(Tally::skip("root may not give its privileges up here (setpriv)"));
        }
        let script = context.scratch("qemu")?.join("qemu");
        fs::write(&script, format!("#!/bin/sh\n{DROP} qemu-system-x86_64 \"$@\"\n"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        command.env("UNIBODY_QEMU", script);
    }
    let done = process::run(&mut command, b"", Duration::from_secs(60))?;
    // Make everything removable.
    for folder in ["closed", "locked"] {
        fs::set_permissions(dir.join(folder), fs::Permissions::from_mode(0o755))?;
    }
    let done = done.expect(0)?;
    let expected = "open(\"secret\", O_RDONLY) = -1 EACCES\n\
        open(\"fixed\", O_RDWR) = -1 EACCES\n\
        open(\"fixed\", O_RDONLY) >= 0 = 1\n\
        open(\"closed/inner\", O_RDONLY) = -1 EACCES\n\
        unlink(\"locked/f\") = -1 EACCES\n\
        open(\"locked/new\", O_CREAT | O_WRONLY, 0600) = -1 EACCES\n\
        mkfifo(\"fifo\", 0600) = -1 EPERM\n\
        mknod(\"null\", S_IFCHR | 0600, 0x103) = -1 EPERM\n\
        bind(s, (void *)&a, sizeof a) = -1 EPERM\n\
        open(\"pipe\", O_RDONLY | O_NONBLOCK) = -1 ENXIO\n\
        setxattr(\"fixed\", \"user.a\", \"b\", 1, 0) = -1 EOPNOTSUPP\n\
        write(fd, \"x\", 1) = 1\n\
        open(\"mine\", O_RDONLY) = -1 EACCES\n\
        chmod(\"mine\", 0600) = 0\n\
        open(\"mine\", O_RDONLY) >= 0 = 1\n";
    ensure!(done.out() == expected, "expected\n{expected}\n{}", done.report());
    ensure!(fs::read(dir.join("mine"))? == b"x" && fs::metadata(dir.join("mine"))?.mode() & 0o777 == 0o600);
    Ok(Tally::pass(""))
}

/// Folders with odd names, relative ones, one inside the other, reached through a link; file names of any bytes.
fn places(context: &Context) -> Result<Tally> {
    let base = context.scratch("places")?;
    let odd = base.join("odd, name:with 'quotes' ü=");
    let inner = base.join("inner");
    for dir in [&odd, &inner] {
        fs::create_dir(dir)?;
    }
    let name = std::ffi::OsString::from_vec(b"\xff\x01 \n*".to_vec());
    fs::write(odd.join(&name), "")?;
    fs::write(inner.join("i"), "inner")?;
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
    // The inner one comes first: the order does not matter.
    command.args(["-v", "inner:/var/run/deep/er:ro", "-v"]).arg(format!("{}:/run/deep/", odd.display()));
    command.arg(context.program("share")?).args(["--", "list", "/run/deep", "show", "/run/deep/er/i"]);
    let done = process::run(command.current_dir(&base), b"", Duration::from_secs(60))?.expect(0)?;
    let both = sum(name.as_bytes()).wrapping_add(sum(b"er"));
    // A mount point is listed with the inode number of the folder below it, as everywhere, so one may be "wrong".
    let out = done.out();
    let right = out.starts_with(&format!("2 names {both:08x}, ")) && out.ends_with(&shown(b"inner"));
    ensure!(right, "something else is there\n{}", done.report());
    Ok(Tally::pass(""))
}

/// With every way to attach the device.
fn machines(context: &Context) -> Result<Tally> {
    let dir = context.scratch("machines")?;
    let data = content(3_000_001);
    for (machine, change) in MACHINES {
        let mut command = run(context, &dir, "", &["--machine", machine, "--smp", "2"]);
        if let Some(change) = change {
            command.env("UNIBODY_QEMU", qemu::script(&context.scratch("qemu")?, *change)?);
        }
        command.arg(context.program("share")?).args(["--", "fill", "/data/f", "show", "/data/f"]);
        let done = process::run(&mut command, b"", Duration::from_secs(90))?.expect(0)?;
        ensure!(done.out() == shown(&data), "{machine} {change:?}\n{}", done.report());
        ensure!(fs::read(dir.join("f"))? == data, "{machine} {change:?}: damaged here");
        fs::remove_file(dir.join("f"))?;
    }
    Ok(Tally::pass(format!("{} machines", MACHINES.len())))
}

/// Data for which `write` returned is on this machine even if the VM is killed.
fn killed(context: &Context) -> Result<Tally> {
    let dir = context.scratch("killed")?;
    fs::write(dir.join("w"), "on")?;
    let image = context.program("share")?;
    let volume = format!("{}:/data", dir.display());
    let words = ["--net", "none", "-v", &volume, &image.to_string_lossy(), "--", "fill", "/data/f", "watch", "/data/w"];
    let vm = Vm::start(context, words)?;
    process::eventually(Duration::from_secs(20), || ensure_contains(&vm.logs(), "on"))?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(vm.vmm()?.try_into()?), nix::sys::signal::Signal::SIGKILL)?;
    ensure!(fs::read(dir.join("f"))? == content(3_000_001), "bytes are missing");
    Ok(Tally::pass(""))
}

fn ensure_contains(text: &str, part: &str) -> Result<()> {
    ensure!(text.lines().any(|line| line == part), "'{part}' is missing in\n{text}");
    Ok(())
}

/// Options that are refused before a VM starts.
fn usage(context: &Context) -> Result<Tally> {
    let image = context.program("share")?;
    let image = image.to_string_lossy();
    let hello = context.program("hello")?;
    let hello = hello.to_string_lossy();
    let rows: &[(&[&str], i32, &str)] = &[
        (&["-v", "/no/such/folder:/data", &image], 1, "no such folder"),
        (&["-v", "/etc/hostname:/data", &image], 1, "not a folder"),
        (&["-v", "/tmp", &image], 2, "DIR:/path[:ro]"),
        (&["-v", "/tmp:data", &image], 2, "DIR:/path[:ro]"),
        (&["-v", "/tmp:/a/../b", &image], 2, "'..'"),
        (&["-v", "/tmp:/", &image], 2, "--rootfs"),
        (&["-v", "/tmp:/a", "-v", "/etc:/a/", &image], 2, "twice"),
        (&["-v", "/tmp:/a", &hello], 1, "opens no files"),
        (&["--hosted", "-v", "/no/such/folder:/data", &image], 1, "no such folder"),
    ];
    for (words, status, part) in rows {
        let done = context.tool(["run"].iter().chain(*words))?.expect(*status)?;
        ensure!(done.err().contains(part), "'{part}' is not in the message\n{}", done.report());
    }
    Ok(Tally::pass(format!("{} lines", rows.len())))
}

/// A site edited while it is being served.
fn nginx(context: &Context) -> Result<Tally> {
    let site = Site::new(context)?;
    let dir = context.scratch("html")?;
    fs::write(dir.join("index.html"), "first\n")?;
    fs::write(dir.join("large"), content(3_000_000))?;
    let volume = format!("{}:/usr/share/nginx/html:ro", dir.display());
    let (vm, guest) = site.vm(context, &["-v", &volume], |_| {})?;
    for page in ["first\n", "other\n", "a longer page\n"] {
        fs::write(dir.join("index.html"), page)?;
        let response = get(guest, "/").with_context(|| vm.logs())?;
        ensure!(response.body == page.as_bytes(), "'{page}' was expected: {response:?}");
    }
    let response = get(guest, "/large").with_context(|| vm.logs())?;
    ensure!(response.body == content(3_000_000), "the large page is damaged");
    fs::remove_file(dir.join("large"))?;
    let response = get(guest, "/large").with_context(|| vm.logs())?;
    ensure!(response.status == 404, "status {} for a page that is gone", response.status);
    Ok(Tally::pass(""))
}
