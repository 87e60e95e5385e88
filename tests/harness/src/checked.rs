//! The debug kernel: programs, disks and nginx behave as on the release kernel, and planted faults are caught.

use super::case::{Case, Tally};
use super::context::Context;
use super::{disk, nginx, process, programs, qemu};
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::Duration;

/// Prefix of these cases' names.
pub const PREFIX: &str = "checked/";

/// Cases that run without `--full`: some for each subsystem, none that takes long.
const SHORT: &[&str] = &[
    "program/disk_direct",
    "program/disk_mmap",
    "program/disk_mmap_race",
    "program/disk_mmap_truncate",
    "program/epoll_nested",
    "program/files_names",
    "program/files_space",
    "program/futex",
    "program/leaf_calls",
    "program/mmap_file",
    "program/mmap_large",
    "program/mmap_truncate",
    "program/netlink",
    "program/pipes",
    "program/signals_timers",
    "program/tcp_end",
    "program/tcp_faults",
    "program/threads_many",
    "program/unix_sockets",
    "disk/no-write-cache",
    "nginx/http",
    "nginx/http-microvm-16M",
    "nginx/unix-sockets",
];

/// Cases of other groups again, and the planted faults. `--full` takes all of them, in the form that they have without it:
/// their long forms repeat the same on other seeds, and the debug kernel takes several times as long.
pub fn cases(all: &mut Vec<Case>, full: bool) -> Result<()> {
    let mut again = Vec::new();
    programs::cases(&mut again)?;
    disk::cases(&mut again, false);
    nginx::cases(&mut again, false);
    // The debug kernel does not fit into the least memory of the release kernel.
    again.retain(|case| case.name != "nginx/http-microvm-4M");
    again.retain(|case| full || SHORT.contains(&case.name.as_str()));
    all.extend(again.into_iter().map(|case| {
        let body = case.body;
        Case {
            name: format!("{PREFIX}{}", case.name),
            limit: case.limit * 3,
            body: Box::new(move |context| body(context.checked()?)),
            ..case
        }
    }));
    for plant in PLANTS {
        all.push(Case::new(format!("{PREFIX}planted/{}", plant.name), |context| planted(context.checked()?, plant)));
    }
    all.push(Case::new(format!("{PREFIX}planted/release"), not_in_release));
    Ok(())
}

/// A fault that the debug kernel commits on request (`libos/src/crash/tests/plant.rs`).
struct Plant {
    name: &'static str,
    program: &'static str,
    says: &'static str,
    /// A function on the stack where the held lock was taken, and one on the stack of the fault.
    stacks: [&'static str; 2],
}

const PLANTS: &[Plant] = &[
    Plant { name: "inversion", program: "hello", says: "RENAME is taken at", stacks: ["hold_inner", "take_outer"] },
    Plant {
        name: "wait",
        program: "hello",
        says: "the thread may wait for RENAME",
        stacks: ["hold_spin", "take_outer"],
    },
    Plant {
        name: "copy",
        program: "hello",
        says: "program memory is touched under POLLEE",
        stacks: ["hold_spin", "touch"],
    },
    Plant {
        name: "fault",
        program: "hello",
        says: "program memory touched outside of a copy",
        stacks: ["hold_irq", "fault"],
    },
    Plant {
        name: "exit",
        program: "hello",
        says: "PIPE is held at the exit to the program",
        stacks: ["hold_at_exit", "libos_leaving"],
    },
    Plant {
        name: "interrupt",
        program: "preempt",
        says: "POLLEE is taken in an interrupt",
        stacks: ["hold_in_interrupt", "dispatch"],
    },
];

/// The fault is caught, with both stacks, on any number of processors; without one, nothing is reported.
fn planted(context: &Context, plant: &Plant) -> Result<Tally> {
    let folder = context.scratch(plant.name)?;
    let body = format!("exec qemu-system-x86_64 \"$@\" -append plant={}\n", plant.name);
    let script = qemu::write_script(&folder, "qemu-plant", &body)?;
    let image = context.program(plant.program)?;
    for smp in ["1", "2", "4"] {
        let run = |vmm: Option<&Path>| {
            let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none", "--smp", smp]);
            command.envs(vmm.map(|script| ("UNIBODY_QEMU", script)));
            process::run(command.arg(&image), b"", Duration::from_secs(60))
        };
        run(None)?.expect(0)?;
        let done = run(Some(&script))?;
        let said = done.err();
        ensure!(done.status != 0 && said.contains(plant.says), "--smp {smp}: it was not caught\n{}", done.report());
        for function in plant.stacks {
            ensure!(said.contains(function), "--smp {smp}: {function} is on no stack\n{}", done.report());
        }
    }
    Ok(Tally::pass(""))
}

/// The release kernel has no faults to plant.
fn not_in_release(context: &Context) -> Result<Tally> {
    let folder = context.scratch("release")?;
    let script = qemu::write_script(&folder, "qemu-plant", "exec qemu-system-x86_64 \"$@\" -append plant=inversion\n")?;
    let mut command = context.unibody(["run", "--accel", "tcg", "--net", "none"]);
    command.env("UNIBODY_QEMU", script).arg(context.program("hello")?);
    let done = process::run(&mut command, b"", Duration::from_secs(60))?.expect(0)?;
    ensure!(done.err().contains("boot parameter plant is not known"), "it knows the parameter\n{}", done.report());
    Ok(Tally::pass(""))
}
