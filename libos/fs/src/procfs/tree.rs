//! The table of `/proc`.

use super::Node::{self, *};
use super::{process as p, system as s};
use crate::files::files;
use crate::{fdtable, kernel_info, root};
use libos_base::cred::cap;
use libos_base::limits::NOFILE_MAX;

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
            ("file-max", File(|| s::number(fdtable::file_max() as usize))),
            ("file-nr", File(s::file_nr)),
            (
                "inotify",
                Dir(&[
                    ("max_queued_events", File(|| s::number(crate::inotify::MAX_EVENTS))),
                    ("max_user_watches", File(|| s::number(crate::inotify::MAX_WATCHES))),
                ]),
            ),
            ("nr_open", File(|| s::number(NOFILE_MAX as usize))),
            ("pipe-max-size", File(|| s::number(crate::pipe::MAX_SIZE))),
            // The rules of `permission`.
            ("protected_fifos", File(|| s::number(0))),
            ("protected_hardlinks", File(|| s::number(1))),
            ("protected_regular", File(|| s::number(0))),
            ("protected_symlinks", File(|| s::number(0))),
        ]),
    ),
    (
        "kernel",
        Dir(&[
            ("cap_last_cap", File(|| s::number(cap::LAST as usize))),
            ("hostname", File(|| s::line(root::hostname()))),
            ("osrelease", File(|| s::line(kernel_info::RELEASE))),
            ("ngroups_max", File(|| b"65536\n".to_vec())),
            ("ostype", File(|| b"Linux\n".to_vec())),
            ("pid_max", File(|| b"4194304\n".to_vec())),
            ("random", Dir(&[("boot_id", File(s::boot_id)), ("uuid", File(s::uuid))])),
            ("version", File(|| s::line(kernel_info::VERSION))),
        ]),
    ),
    (
        "net",
        Dir(&[
            ("core", Dir(&[("somaxconn", File(|| b"4096\n".to_vec()))])),
            ("ipv4", Dir(&[("ip_unprivileged_port_start", File(|| s::number(1024)))])),
        ]),
    ),
    (
        "vm",
        Dir(&[
            ("mmap_min_addr", File(|| b"65536\n".to_vec())),
            ("overcommit_memory", Setting(|| kernel_info::overcommit().into(), kernel_info::set_overcommit)),
        ]),
    ),
];

pub(super) const PROCESS: &[(&str, Node)] = &[
    ("cmdline", File(kernel_info::command_line)),
    ("comm", Comm),
    ("cwd", Object(|| files().cwd())),
    ("environ", Private(kernel_info::environment)),
    ("exe", Link(kernel_info::exe)),
    ("fd", Fds),
    ("limits", File(p::limits)),
    ("maps", File(kernel_info::maps)),
    ("mounts", File(s::mounts)),
    ("root", Object(|| files().root())),
    ("stat", Thread(p::stat)),
    ("statm", File(p::statm)),
    ("status", Thread(p::status)),
    ("task", Tasks),
];

pub(super) const TASK: &[(&str, Node)] = &[
    ("comm", Comm),
    ("fd", Fds),
    ("maps", File(kernel_info::maps)),
    ("stat", Thread(p::stat)),
    ("status", Thread(p::status)),
];
