//! Files of `/proc/self`.

use super::memory::Process;
use super::sysfs;
use super::system::ticks;
use crate::files::files;
use crate::kernel_info::{self, ThreadInfo};
use crate::util::Text;
use alloc::vec::Vec;
use libos_base::cred::{self, Ids};
use libos_base::layout::PAGE_SIZE;
use libos_base::limits;

pub(super) fn self_link() -> Vec<u8> {
    Text::new().n(u64::from(kernel_info::PID)).0
}
pub(super) fn thread_self_link() -> Vec<u8> {
    Text(self_link()).s("/task/").n(u64::from(kernel_info::tid())).0
}

/// The thread with this number, or the main one, whose name is the program's unless it was changed.
pub(super) fn thread(tid: Option<u32>) -> Option<ThreadInfo> {
    let pid = kernel_info::PID;
    let wanted = tid.unwrap_or(pid);
    let all = kernel_info::threads();
    // A process has used what its threads have used.
    let sum = tid.is_none().then(|| {
        let faults = [0, 1].map(|i| all.iter().map(|t| t.faults[i]).sum());
        (all.iter().map(|t| t.cpu_ns).sum(), faults)
    });
    let found = all.into_iter().find(|t| t.tid == wanted).or_else(|| {
        // It has ended while others go on, or there is no information about threads.
        let exe = kernel_info::exe();
        let base = exe.rsplit(|&c| c == b'/').next().unwrap_or_default();
        let name = base[..base.len().min(15)].to_vec();
        (wanted == pid).then_some(ThreadInfo { tid: pid, state: b'Z', name, cpu_ns: 0, faults: [0; 2] })
    })?;
    let (cpu_ns, faults) = sum.unwrap_or((found.cpu_ns, found.faults));
    Some(ThreadInfo { cpu_ns, faults, ..found })
}

fn threads() -> u64 {
    (kernel_info::threads().len() as u64).max(1)
}

/// All fields of proc_pid_stat(5); those that concern children and swap are 0.
pub(super) fn stat(of: &ThreadInfo) -> Vec<u8> {
    let (pid, m) = (u64::from(kernel_info::PID), kernel_info::memory());
    let d = kernel_info::details(of.tid);
    let mut t = Text::new().n(of.tid.into()).s(" (").s(&of.name).s(") ").s([of.state]).s(" 0 ").n(pid).s(" ").n(pid);
    // tty_nr tpgid flags minflt cminflt majflt cmajflt, utime stime cutime cstime
    t = t.s(" 0 -1 0 ").n(of.faults[0]).s(" 0 ").n(of.faults[1]).s(" 0 ").n(ticks(of.cpu_ns)).s(" 0 0 0 ");
    let level = match d.priority {
        0 => 20 + i16::from(d.nice),
        p => -1 - i16::from(p),
    };
    // priority nice num_threads
    t = t.int(level).s(" ").int(d.nice.into()).s(" ").n(threads());
    // itrealvalue starttime vsize rss rsslim
    t = t.s(" 0 0 ").n(m.virtual_size).s(" ").n(m.resident / PAGE_SIZE as u64).s(" ").n(limits::RSS.soft());
    let l = kernel_info::layout();
    // startcode endcode startstack kstkesp kstkeip
    t = t.s(" ").n(l.code.0).s(" ").n(l.code.1).s(" ").n(l.stack).s(" 0 0");
    let sets = [d.pending, d.blocked, d.ignored, d.caught];
    // As on Linux, only signals below the real-time ones.
    t = sets.iter().fold(t, |t, set| t.s(" ").n(set & 0x7fff_ffff));
    // wchan nswap cnswap exit_signal processor
    t = t.s(" 0 0 0 ").s(if of.tid == kernel_info::PID { "17 " } else { "-1 " }).n(d.cpu.into());
    // rt_priority policy delayacct_blkio_ticks guest_time cguest_time start_data end_data start_brk
    t = t
        .s(" ")
        .n(d.priority.into())
        .s(" ")
        .n(d.policy.into())
        .s(" 0 0 0 ")
        .n(l.data.0)
        .s(" ")
        .n(l.data.1)
        .s(" ")
        .n(l.brk);
    // arg_start arg_end env_start env_end exit_code
    t.s(" 0 0 0 0 0\n").0
}

pub(super) fn status(of: &ThreadInfo) -> Vec<u8> {
    let pid = u64::from(kernel_info::PID);
    let mask = files().umask();
    let octal = [b'0', b'0' + (mask >> 6) as u8, b'0' + (mask >> 3 & 7) as u8, b'0' + (mask & 7) as u8];
    let mut fds = 0;
    while let Some(fd) = files().fds.next(fds) {
        fds = fd.0 as usize + 1;
    }
    let state = match of.state {
        b'R' => "R (running)",
        b'D' => "D (disk sleep)",
        b'Z' => "Z (zombie)",
        _ => "S (sleeping)",
    };
    let t = Text::new().s("Name:\t").s(&of.name).s("\nUmask:\t").s(octal).s("\nState:\t").s(state);
    let t = t.s("\nTgid:\t").n(pid).s("\nNgid:\t0\nPid:\t").n(of.tid.into()).s("\nPPid:\t0\nTracerPid:\t0\nUid:");
    let c = cred::get();
    let ids = |t: Text, i: Ids| [i.real, i.effective, i.saved, i.fs].iter().fold(t, |t, id| t.s("\t").n((*id).into()));
    let t = ids(ids(t, c.uid).s("\nGid:"), c.gid);
    let t = t.s("\nFDSize:\t").n(fds.next_multiple_of(64) as u64).s("\nGroups:\t");
    let t = c.groups().iter().enumerate().fold(t, |t, (i, id)| t.s(if i > 0 { " " } else { "" }).n((*id).into()));
    let t = t.s(" \nNStgid:\t").n(pid).s("\nNSpid:\t").n(of.tid.into()).s("\nNSpgid:\t").n(pid).s("\nNSsid:\t").n(pid);
    let m = Process::now();
    let rows = [
        ("VmSize", m.size),
        ("VmLck", m.locked),
        ("VmPin", 0),
        ("VmRSS", m.resident()),
        ("RssAnon", m.anonymous),
        ("RssFile", m.file),
        ("RssShmem", m.shmem),
        ("VmData", m.data),
        ("VmStk", m.stack),
        ("VmExe", m.code),
        ("VmLib", 0),
        ("VmSwap", 0),
        ("HugetlbPages", 0),
    ];
    let t = rows.iter().fold(t.s("\n"), |t, (name, bytes)| t.s(name).s(":\t").pad(bytes / 1024, 8, b' ').s(" kB\n"));
    let d = kernel_info::details(of.tid);
    let t = t.s("CoreDumping:\t0\nTHP_enabled:\t1\nThreads:\t").n(threads());
    let t = t.s("\nSigQ:\t").n(d.queued.into()).s("/").n(limits::SIGPENDING.soft());
    let sets = [
        ("SigPnd", d.pending),
        ("ShdPnd", d.shared),
        ("SigBlk", d.blocked),
        ("SigIgn", d.ignored),
        ("SigCgt", d.caught),
        ("CapInh", c.caps.inheritable),
        ("CapPrm", c.caps.permitted()),
        ("CapEff", c.caps.effective()),
        ("CapBnd", c.caps.bounding()),
        ("CapAmb", c.caps.ambient),
    ];
    let t = sets.into_iter().fold(t, |t, (which, set)| t.s("\n").s(which).s(":\t").hex(set, 16));
    let t = t.s("\nNoNewPrivs:\t").n(c.no_new_privileges.into()).s("\nSeccomp:\t0\nCpus_allowed:\t");
    let t = t.s(sysfs::mask(d.affinity)).s("\nCpus_allowed_list:\t").s(ranges(d.affinity));
    let t = t.s("\nMems_allowed:\t1\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t").n(d.switches[0]);
    t.s("\nnonvoluntary_ctxt_switches:\t").n(d.switches[1]).s("\n").0
}

/// A set of numbers as Linux prints lists: `0-2,5`.
fn ranges(set: u64) -> Vec<u8> {
    let (mut t, mut at) = (Text::new(), 0);
    while at < 64 {
        let first = at;
        while at < 64 && set >> at & 1 == 1 {
            at += 1;
        }
        if at > first {
            let comma = if t.0.is_empty() { "" } else { "," };
            t = t.s(comma).n(first);
            t = if at - first > 1 { t.s("-").n(at - 1) } else { t };
        }
        at += 1;
    }
    t.0
}

/// Linux's names of the limits, in the order of their numbers, and their units.
const ROWS: &str = "Max cpu time:seconds,Max file size:bytes,Max data size:bytes,Max stack size:bytes,Max core file size:bytes,Max resident set:bytes,\
                    Max processes:processes,Max open files:files,Max locked memory:bytes,Max address space:bytes,\
                    Max file locks:locks,Max pending signals:signals,Max msgqueue size:bytes,Max nice priority:,\
                    Max realtime priority:,Max realtime timeout:us";

pub(super) fn limits() -> Vec<u8> {
    let value = |v: u64| if v == limits::INFINITY { b"unlimited".to_vec() } else { Text::new().n(v).0 };
    let mut t = Vec::new();
    let (mut name, mut units) = ("Limit", "Units");
    let (mut soft, mut hard) = (b"Soft Limit".to_vec(), b"Hard Limit".to_vec());
    let mut rows = ROWS.split(',').zip(0..);
    loop {
        for (what, width) in [(name.as_bytes(), 26), (&soft, 21), (&hard, 21), (units.as_bytes(), 10)] {
            let end = t.len() + width;
            t.extend_from_slice(what);
            t.resize(if what.is_empty() { t.len() } else { end.max(t.len()) }, b' ');
        }
        t.push(b'\n');
        let Some((words, which)) = rows.next() else { return t };
        (name, units) = words.split_once(':').unwrap_or_default();
        let (now, most) = limits::get(which).map_or((0, 0), limits::Limit::get);
        (soft, hard) = (value(now), value(most));
    }
}
