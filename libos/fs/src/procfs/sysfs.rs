//! `/sys`: what libraries read there about processors. Made of the same nodes as `/proc`.

use super::Node::{self, *};
use super::{ProcInode, system as s};
use crate::inode::{FileSystem, Inode, StatFs};
use crate::kernel_info;
use crate::ramfs::anonymous_dev;
use crate::util::{Text, try_arc};
use alloc::sync::Arc;
use alloc::vec::Vec;
use libos_base::Result;
use libos_base::sync::Once;

/// `f_type` (linux/magic.h).
const SYSFS_MAGIC: i64 = 0x6265_6572;

struct SysFs {
    dev: u64,
}

/// The file system.
pub(super) fn fs() -> Arc<dyn FileSystem> {
    static FS: Once<Arc<SysFs>> = Once::new();
    FS.set(|| Arc::new(SysFs { dev: anonymous_dev() })).clone()
}

impl FileSystem for SysFs {
    fn name(&self) -> &'static str {
        "sysfs"
    }
    fn dev(&self) -> u64 {
        self.dev
    }
    fn statfs(&self) -> StatFs {
        StatFs { kind: SYSFS_MAGIC, bsize: 4096, frsize: 4096, namelen: 255, ..StatFs::default() }
    }
}

/// Its root.
pub(super) fn root() -> Result<Arc<dyn Inode>> {
    let node = Dir(&[
        ("devices", Dir(&[("system", Dir(&[("cpu", Cpus(ALL, EACH))]))])),
        // Tools mount control groups here.
        ("fs", Dir(&[("cgroup", Dir(&[]))])),
    ]);
    Ok(try_arc(ProcInode { node, ino: 1, tid: None, cpu: Some(0), numbered: false, of_process: false })?)
}

/// All processors that there are run.
const ALL: &[(&str, Node)] = &[
    // NR_CPUS - 1.
    ("kernel_max", File(|| s::number(63))),
    ("offline", File(|| s::line(""))),
    ("online", File(|| s::line(list()))),
    ("possible", File(|| s::line(list()))),
    ("present", File(|| s::line(list()))),
];

/// Each is a core of its own, and all are in one package: schedulers here treat them alike.
const EACH: &[(&str, Node)] = &[(
    "topology",
    Dir(&[
        ("core_cpus", Cpu(|n| s::line(mask(1 << n)))),
        ("core_cpus_list", Cpu(own)),
        ("core_id", Cpu(own)),
        ("core_siblings", File(|| s::line(mask(all())))),
        ("core_siblings_list", File(|| s::line(list()))),
        ("die_cpus", File(|| s::line(mask(all())))),
        ("die_cpus_list", File(|| s::line(list()))),
        ("die_id", File(|| s::number(0))),
        ("package_cpus", File(|| s::line(mask(all())))),
        ("package_cpus_list", File(|| s::line(list()))),
        ("physical_package_id", File(|| s::number(0))),
        ("thread_siblings", Cpu(|n| s::line(mask(1 << n)))),
        ("thread_siblings_list", Cpu(own)),
    ]),
)];

fn own(n: u32) -> Vec<u8> {
    s::number(n as usize)
}

fn all() -> u64 {
    u64::MAX >> (64 - kernel_info::cpus().len().clamp(1, 64))
}

/// `0-3`.
pub(super) fn list() -> Vec<u8> {
    let last = kernel_info::cpus().len() as u64 - 1;
    Text::new().s(if last > 0 { "0-" } else { "" }).n(last).0
}

/// A set of processors, as `%*pb` prints it: as many digits as there may be processors, in groups of 32 bits.
pub(super) fn mask(set: u64) -> Vec<u8> {
    Text::new().hex(set >> 32, 8).s(",").hex(set & 0xffff_ffff, 8).0
}
