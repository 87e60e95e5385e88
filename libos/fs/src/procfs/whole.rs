//! The whole of `/proc` and `/sys` (proc(5), sysfs(5)): what tools and libraries read there about the process and the
//! machine.
//!
//! What is not known is not there, rather than 0: Linux, too, leaves out what it was built without, so programs expect
//! that.

use super::Node::{self, *};
use super::{Tables, fdinfo, memory as m, process as p, sysfs, system as s, tree};
use crate::files::files;
use crate::{fdtable, kernel_info, root};
use libos_base::cred::cap;
use libos_base::limits::NOFILE_MAX;

/// From now on, all of it is there.
pub fn provide() {
    super::WHOLE.provide(&TABLES);
}

static TABLES: Tables = Tables { root: ROOT, process: PROCESS, task: TASK, system: sysfs::root };

const ROOT: &[(&str, Node)] = &[
    ("cgroups", File(|| b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n".to_vec())),
    ("cmdline", File(s::cmdline)),
    ("cpuinfo", File(s::cpuinfo)),
    ("devices", File(s::devices)),
    ("filesystems", File(s::filesystems)),
    ("loadavg", File(s::loadavg)),
    ("meminfo", File(m::meminfo)),
    // Nothing can be loaded.
    ("modules", File(|| b"".to_vec())),
    ("mounts", Link(|| b"self/mounts".to_vec())),
    ("net", Link(|| b"self/net".to_vec())),
    ("self", Link(p::self_link)),
    ("stat", File(s::stat)),
    ("swaps", File(|| b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())),
    ("sys", Dir(SYS)),
    ("thread-self", Link(p::thread_self_link)),
    ("uptime", File(s::uptime)),
    ("version", File(s::version)),
    ("vmstat", File(m::vmstat)),
];

const SYS: &[(&str, Node)] = &[
    (
        "fs",
        Open(
            &[
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
            ],
            &super::SYS_FS,
        ),
    ),
    (
        "kernel",
        Open(
            &[
                ("cap_last_cap", File(|| s::number(cap::LAST as usize))),
                ("hostname", File(|| s::line(root::hostname()))),
                ("osrelease", File(|| s::line(kernel_info::RELEASE))),
                ("ngroups_max", File(|| s::number(65536))),
                ("ostype", File(|| s::line("Linux"))),
                ("pid_max", File(|| s::number(4194304))),
                ("random", Dir(&[("boot_id", File(s::boot_id)), ("uuid", File(s::uuid))])),
                // The stack, the heap and the mappings are at random places.
                ("randomize_va_space", File(|| s::number(2))),
                ("version", File(|| s::line(kernel_info::VERSION))),
            ],
            &super::SYS_KERNEL,
        ),
    ),
    (
        "net",
        Dir(&[
            ("core", Dir(&[("somaxconn", File(|| s::number(4096)))])),
            (
                "ipv4",
                Dir(&[
                    ("ip_unprivileged_port_start", File(|| s::number(1024))),
                    // Everybody may have ping sockets.
                    ("ping_group_range", File(|| b"0\t2147483647\n".to_vec())),
                ]),
            ),
        ]),
    ),
    (
        "vm",
        Dir(&[
            ("max_map_count", File(|| s::number(kernel_info::MAX_MAPPINGS))),
            ("mmap_min_addr", File(|| s::number(65536))),
            tree::OVERCOMMIT,
            // There is no swap.
            ("swappiness", File(|| s::number(0))),
        ]),
    ),
];

/// The files of a process and of a thread, which are the same but for a few: `children` stands between their cgroup and
/// their command line, `task` before the place where they wait.
macro_rules! files_of {
    ([$($children:tt)*], [$($task:tt)*]) => {
        &[
            ("auxv", Private(kernel_info::auxv)),
            ("cgroup", File(|| b"0::/\n".to_vec())),
            $($children)*
            ("cmdline", File(kernel_info::command_line)),
            ("comm", Comm),
            ("cwd", Object(|| files().cwd())),
            ("environ", Private(kernel_info::environment)),
            ("exe", Link(kernel_info::exe)),
            ("fd", Fds),
            ("fdinfo", FdInfos(fdinfo::text)),
            ("limits", File(p::limits)),
            ("maps", File(m::maps)),
            ("mountinfo", File(s::mountinfo)),
            ("mounts", File(s::mounts)),
            ("net", Open(&[], &super::NET)),
            ("oom_score", File(|| s::number(0))),
            ("oom_score_adj", File(|| s::number(0))),
            ("pagemap", Bytes(m::pagemap)),
            ("personality", Private(|| s::line("00000000"))),
            ("root", Object(|| files().root())),
            ("smaps", File(m::smaps)),
            ("smaps_rollup", File(m::smaps_rollup)),
            ("stat", Thread(p::stat)),
            ("statm", File(m::statm)),
            ("status", Thread(p::status)),
            $($task)*
            ("wchan", File(|| b"0".to_vec())),
        ]
    };
}

const PROCESS: &[(&str, Node)] = files_of!([], [("task", Tasks), ("timerslack_ns", File(|| s::number(50000))),]);

const TASK: &[(&str, Node)] = files_of!([("children", File(|| b"".to_vec())),], []);
