//! Files of `/proc` about the machine.

use crate::dentry::Path;
use crate::fdtable;
use crate::files::files;
use crate::kernel_info;
use crate::mount;
use crate::util::Text;
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::time::{NS, monotonic_ns};

pub(super) fn cmdline() -> Vec<u8> {
    let mut line = kernel_info::command_line();
    for c in &mut line {
        if *c == 0 {
            *c = b' ';
        }
    }
    Text(line).s("\n").0
}

pub(super) fn cpuinfo() -> Vec<u8> {
    let about = kernel_info::cpu_description();
    (0..kernel_info::cpus().len() as u64)
        .fold(Text::new(), |t, cpu| t.s("processor\t: ").n(cpu).s("\n").s(&about).s("\n"))
        .0
}

/// The numbers of the devices there are (proc_devices(5)).
pub(super) fn devices() -> Vec<u8> {
    b"Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n\nBlock devices:\n".to_vec()
}

pub(super) fn filesystems() -> Vec<u8> {
    let mut t = Text::new().s("nodev\tsysfs\nnodev\tramfs\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\n");
    // A file system is linked, and so known, where one is mounted.
    for m in crate::mount::list() {
        let (name, nodev) = (m.fs.name(), if m.fs.name() == "vfat" { "" } else { "nodev" });
        let line = Text::new().s(nodev).s("\t").s(name).s("\n").0;
        if !t.0.windows(line.len()).any(|w| w == line) {
            t = t.s(&line);
        }
    }
    t.0
}

pub(super) fn loadavg() -> Vec<u8> {
    let threads = kernel_info::threads();
    let running = threads.iter().filter(|t| t.state == b'R').count() as u64;
    let all = threads.len() as u64;
    let load = |t: Text, l: u64| t.n(l / 100).s(".").pad(l % 100, 2, b'0').s(" ");
    kernel_info::load()
        .into_iter()
        .fold(Text::new(), load)
        .n(running)
        .s("/")
        .n(all)
        .s(" ")
        .n(u64::from(kernel_info::PID))
        .s("\n")
        .0
}

/// The root first, then the others in the order they were made.
pub(super) fn all_mounts() -> impl Iterator<Item = Arc<mount::Mount>> {
    let root = files().root().ok().map(|r| r.mount);
    root.into_iter().chain(mount::list())
}

/// Where it is.
fn place(m: &Arc<mount::Mount>) -> Vec<u8> {
    Path { dentry: m.root.clone(), mount: Arc::clone(m) }.text(None).unwrap_or_default()
}

/// Numbers, root in the file system, place, options, file system (proc_pid_mountinfo(5)).
pub(super) fn mountinfo() -> Vec<u8> {
    all_mounts()
        .fold(Text::new(), |t, m| {
            let (major, minor) = crate::device::split(m.fs.dev());
            let parent = m.place().map_or(0, |on| mount::number(&on.mount));
            let t = t.n(mount::number(&m)).s(" ").n(parent).s(" ").n(major).s(":").n(minor).s(" / ").s(place(&m));
            let access = if m.read_only { "ro" } else { "rw" };
            let t = t.s(" ").s(access).s(",relatime - ").s(m.fs.name()).s(" ").s(&m.source);
            t.s(" ").s(access).s("\n")
        })
        .0
}

pub(super) fn mounts() -> Vec<u8> {
    all_mounts()
        .fold(Text::new(), |t, m| {
            let at = place(&m);
            let access = if m.read_only { " ro" } else { " rw" };
            t.s(&m.source).s(" ").s(at).s(" ").s(m.fs.name()).s(access).s(",relatime 0 0\n")
        })
        .0
}

/// Clock ticks (USER_HZ) in nanoseconds.
pub(super) fn ticks(ns: u64) -> u64 {
    ns / (NS / 100)
}

pub(super) fn stat() -> Vec<u8> {
    let cpus = kernel_info::cpus();
    let line = |t: Text, busy: u64, idle: u64| t.s(" ").n(ticks(busy)).s(" 0 0 ").n(ticks(idle)).s(" 0 0 0 0 0 0\n");
    let sum = |f: fn(&crate::kernel_info::CpuTime) -> u64| cpus.iter().map(f).sum();
    let mut t = line(Text::new().s("cpu "), sum(|c| c.busy), sum(|c| c.idle));
    for (i, c) in cpus.iter().enumerate() {
        t = line(t.s("cpu").n(i as u64), c.busy, c.idle);
    }
    let boot = libos_base::time::realtime_ns().saturating_sub(monotonic_ns()) / NS;
    let switches = kernel_info::switches();
    let running = kernel_info::threads().iter().filter(|t| t.state == b'R').count() as u64;
    t.s("ctxt ")
        .n(switches)
        .s("\nbtime ")
        .n(boot)
        .s("\nprocesses 1\nprocs_running ")
        .n(running)
        .s("\nprocs_blocked 0\n")
        .0
}

pub(super) fn uptime() -> Vec<u8> {
    let idle: u64 = kernel_info::cpus().iter().map(|c| c.idle).sum();
    let seconds = |t: Text, ns: u64| t.n(ns / NS).s(".").pad(ns % NS / (NS / 100), 2, b'0');
    seconds(seconds(Text::new(), monotonic_ns()).s(" "), idle).s("\n").0
}

pub(super) fn version() -> Vec<u8> {
    Text::new().s("Linux version ").s(kernel_info::RELEASE).s(" (unibody) ").s(kernel_info::VERSION).s("\n").0
}
pub(super) fn line(text: impl AsRef<[u8]>) -> Vec<u8> {
    Text::new().s(text).s("\n").0
}
/// Used, free (always 0, as on Linux), and the maximum.
pub(super) fn file_nr() -> Vec<u8> {
    Text::new().n(files().fds.used() as u64).s("\t0\t").n(fdtable::file_max()).s("\n").0
}
pub(super) fn number(n: usize) -> Vec<u8> {
    Text::new().n(n as u64).s("\n").0
}

/// A random UUID (RFC 9562, version 4), a new one at each reading.
pub(super) fn uuid() -> Vec<u8> {
    let mut b = [0; 16];
    libos_base::random::fill(&mut b);
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let mut t = Vec::with_capacity(37);
    for (i, byte) in b.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            t.push(b'-');
        }
        let hex = b"0123456789abcdef";
        t.push(hex[usize::from(byte >> 4)]);
        t.push(hex[usize::from(byte & 15)]);
    }
    t.push(b'\n');
    t
}

/// A UUID that stays the same until the next boot.
pub(super) fn boot_id() -> Vec<u8> {
    static ID: libos_base::sync::Once<Vec<u8>> = libos_base::sync::Once::new();
    ID.set(uuid).clone()
}
