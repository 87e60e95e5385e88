//! Information about the machine and its use.

use crate::sched::{self, current};
use libos_base::abi::{Out, RandomFlags, Rusage, SysInfo, Timeval, Tms, UsageOf, UtsName};
use libos_base::layout::PAGE_SIZE;
use libos_base::time::{NS, monotonic_ns};
use libos_base::{Errno, Result, random, user};
use libos_fs::kernel_info::{RELEASE, VERSION};

/// Size of each field of struct utsname.
const FIELD: usize = 65;

pub fn uname(out: Out<UtsName>) -> Result<()> {
    let host = libos_fs::root::hostname();
    let fields: [&[u8]; 6] = [b"Linux", host, RELEASE.as_bytes(), VERSION.as_bytes(), crate::arch::MACHINE, b"(none)"];
    let mut b = [0u8; 6 * FIELD];
    for (slot, text) in b.chunks_mut(FIELD).zip(fields) {
        let n = text.len().min(FIELD - 1);
        slot[..n].copy_from_slice(&text[..n]);
    }
    user::copy_out(out.address(), &b)
}

/// `sysinfo`: load averages have 16 bits after the point (SI_LOAD_SHIFT).
pub fn sysinfo(out: Out<SysInfo>) -> Result<()> {
    let m = crate::mm::stats();
    user::write(
        out,
        &SysInfo {
            uptime: (monotonic_ns() / NS) as i64,
            loads: sched::load::averages().map(|l| (l << 16) / sched::load::ONE),
            totalram: (m.total * PAGE_SIZE) as u64,
            freeram: (m.free * PAGE_SIZE) as u64,
            procs: sched::program_threads().min(u16::MAX as usize) as u16,
            mem_unit: 1,
            ..SysInfo::default()
        },
    )
}

fn timeval(ns: u64) -> Timeval {
    Timeval { sec: (ns / NS) as i64, usec: (ns % NS / 1000) as i64 }
}

/// `getrusage`. User and kernel time are not distinguished (a system call is a function call): all of it is user time.
/// `maxrss` is memory of the program's own; pages of files are the cache's.
pub fn getrusage(who: UsageOf, out: Out<Rusage>) -> Result<()> {
    let used = match who {
        UsageOf::SELF => sched::process_usage(),
        UsageOf::THREAD => current().usage(),
        UsageOf::CHILDREN => return user::write(out, &Rusage::default()),
        _ => return Err(Errno::EINVAL),
    };
    // Blocks of 512 bytes; of the process in any case.
    let (read, dirtied) = libos_fs::cache::pages_moved();
    let blocks = |pages: usize| (pages * (PAGE_SIZE / 512)) as i64;
    user::write(
        out,
        &Rusage {
            utime: timeval(used.cpu_ns),
            maxrss: (crate::mm::program::most_resident() / 1024) as i64,
            minflt: used.faults[0] as i64,
            majflt: used.faults[1] as i64,
            inblock: blocks(read),
            oublock: blocks(dirtied),
            nvcsw: used.switches[0] as i64,
            nivcsw: used.switches[1] as i64,
            ..Rusage::default()
        },
    )
}

/// Clock ticks per second in the ABI (USER_HZ).
const USER_HZ: u64 = 100;

/// `times`: ticks since boot.
pub fn times(out: Out<Tms>) -> Result<usize> {
    user::write_opt(out, &Tms { utime: (sched::process_cpu_ns() / (NS / USER_HZ)) as i64, ..Tms::default() })?;
    Ok((monotonic_ns() / (NS / USER_HZ)) as usize)
}

/// `getrandom`. The generator is seeded before the program starts, so this never blocks.
pub fn getrandom(buf: Out<u8>, len: usize, flags: RandomFlags) -> Result<usize> {
    if !RandomFlags::all().contains(flags) || flags.contains(RandomFlags::RANDOM | RandomFlags::INSECURE) {
        return Err(Errno::EINVAL);
    }
    let len = len.min(i32::MAX as usize);
    user::check(buf.address(), len)?;
    let mut done = 0;
    let mut chunk = [0; 256];
    while done < len {
        let n = (len - done).min(chunk.len());
        random::fill(&mut chunk[..n]);
        let copied = user::copy_out_partial(buf.nth(done).address(), &chunk[..n]);
        done += copied;
        if copied < n {
            return if done == 0 { Err(Errno::EFAULT) } else { Ok(done) };
        }
    }
    Ok(done)
}
