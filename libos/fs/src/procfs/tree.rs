//! What `/proc` always has: other parts of the system lead there (`/dev/fd`, `/dev/stdout`), and libraries look at it.

use super::Node::{self, *};
use super::{process as p, system as s};
use crate::files::files;
use crate::kernel_info;

pub(super) const ROOT: &[(&str, Node)] = &[
    ("mounts", Link(|| b"self/mounts".to_vec())),
    ("self", Link(p::self_link)),
    ("sys", Dir(&[("vm", Dir(&[OVERCOMMIT]))])),
    ("thread-self", Link(p::thread_self_link)),
];

/// The heap looks at it.
pub(super) const OVERCOMMIT: (&str, Node) =
    ("overcommit_memory", Setting(|| kernel_info::overcommit().into(), kernel_info::set_overcommit));

pub(super) const PROCESS: &[(&str, Node)] = &[
    ("cmdline", File(kernel_info::command_line)),
    ("comm", Comm),
    ("cwd", Object(|| files().cwd())),
    ("exe", Link(kernel_info::exe)),
    ("fd", Fds),
    ("mounts", File(s::mounts)),
    ("root", Object(|| files().root())),
    ("task", Tasks),
];

pub(super) const TASK: &[(&str, Node)] = &[("comm", Comm), ("fd", Fds)];
