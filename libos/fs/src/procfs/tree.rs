//! The table of `/proc`.

use super::Node::{self, *};
use super::{process as p, system as s};
use crate::facts::facts;
use crate::process::process;

pub(super) const ROOT: &[(&str, Node)] = &[
    ("cmdline", File(s::cmdline)),
    ("cpuinfo", File(s::cpuinfo)),
    ("filesystems", File(s::filesystems)),
    ("loadavg", File(s::loadavg)),
    ("meminfo", File(s::meminfo)),
    ("mounts", Link(|| b"self/mounts".to_vec())),
    ("self", Link(p::self_link)),
    ("stat", File(s::stat)),
    ("sys", Dir(SYS)),
    ("thread-self", Link(p::thread_self_link)),
    ("uptime", File(s::uptime)),
    ("version", File(s::version)),
];

const SYS: &[(&str, Node)] = &[
    (
        "fs",
        Dir(&[
            ("file-max", File(s::file_max)),
            ("file-nr", File(s::file_nr)),
            (
                "inotify",
                Dir(&[
                    ("max_queued_events", File(|| s::number(crate::inotify::MAX_EVENTS))),
                    ("max_user_watches", File(|| s::number(crate::inotify::MAX_WATCHES))),
                ]),
            ),
            ("nr_open", File(s::nr_open)),
            ("pipe-max-size", File(s::pipe_max_size)),
        ]),
    ),
    (
        "kernel",
        Dir(&[
            ("hostname", File(s::hostname)),
            ("osrelease", File(s::osrelease)),
            ("ostype", File(|| b"Linux\n".to_vec())),
            ("pid_max", File(|| b"4194304\n".to_vec())),
            ("random", Dir(&[("boot_id", File(s::boot_id)), ("uuid", File(s::uuid))])),
            ("version", File(s::kernel_version)),
        ]),
    ),
    ("net", Dir(&[("core", Dir(&[("somaxconn", File(|| b"4096\n".to_vec()))]))])),
    (
        "vm",
        Dir(&[
            ("mmap_min_addr", File(|| b"65536\n".to_vec())),
            ("overcommit_memory", Setting(|| facts().overcommit().into(), |mode| facts().set_overcommit(mode))),
        ]),
    ),
];

pub(super) const PROCESS: &[(&str, Node)] = &[
    ("cmdline", File(p::cmdline)),
    ("comm", Comm),
    ("cwd", Object(|| process().cwd())),
    ("environ", Private(p::environ)),
    ("exe", Link(p::exe)),
    ("fd", Fds),
    ("limits", File(p::limits)),
    ("maps", File(p::maps)),
    ("mounts", File(s::mounts)),
    ("root", Object(|| process().root())),
    ("stat", Thread(p::stat)),
    ("statm", File(p::statm)),
    ("status", Thread(p::status)),
    ("task", Tasks),
];

pub(super) const TASK: &[(&str, Node)] =
    &[("comm", Comm), ("fd", Fds), ("maps", File(p::maps)), ("stat", Thread(p::stat)), ("status", Thread(p::status))];
