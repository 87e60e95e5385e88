//! What `/proc` says about this kernel.
//! Floor: calls.

use crate::arch::{clock, cpu, percpu};
use crate::mm::vma::{Flags, Kind, Prot, Vma};
use crate::params::parameters;
use crate::{mm, sched, signal};
use alloc::format;
use alloc::vec::Vec;
use libos_base::abi::DirFd;
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result};
use libos_fs::kernel_info::{CpuTime, Details, KernelInfo, Layout, Mapping, Memory, Resident, ThreadInfo};
use libos_fs::openfile::path_of;

struct This;
libos_fs::define_kernel_info!(This);

fn joined<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for p in parts {
        out.extend_from_slice(p);
        out.push(0);
    }
    out
}

/// Where the program's file is.
struct Place {
    path: Vec<u8>,
    dev: u64,
    ino: u64,
}

impl Place {
    fn of_program() -> Self {
        let path = crate::files::program_file::path();
        let found = libos_fs::files().lookup(DirFd::CWD, &path, true).and_then(|p| p.inode().stat());
        let (dev, ino) = found.map_or((0, 0), |s| (s.dev, s.ino));
        Self { path, dev, ino }
    }
}

fn mapping(start: usize, v: &Vma, program: &Place) -> Mapping {
    let has = |bit| v.prot.contains(bit);
    let flag = |bit| v.flags.contains(bit);
    let in_file = crate::process::image::file_offset(start);
    let mut m = Mapping {
        start: start as u64,
        end: v.end as u64,
        read: has(Prot::READ),
        write: has(Prot::WRITE),
        exec: has(Prot::EXEC),
        shared: flag(Flags::SHARED),
        may_write: !flag(Flags::READ_ONLY_FILE),
        grows: matches!(v.kind, Kind::Stack) || flag(Flags::GROWS),
        locked: flag(Flags::LOCKED),
        accounted: flag(Flags::PROMISED),
        no_reserve: flag(Flags::NORESERVE),
        large: v.kind.is_zeroed() && start.next_multiple_of(LARGE) + LARGE <= v.end,
        program: matches!(v.kind, Kind::Image) && in_file.is_some(),
        in_memory: matches!(v.kind, Kind::Anon) && flag(Flags::SHARED),
        ..Mapping::default()
    };
    match &v.kind {
        Kind::File(file, offset) => {
            let stat = file.stat().unwrap_or_default();
            (m.offset, m.dev, m.ino, m.name) = (*offset, stat.dev, stat.ino, file.describe().into_bytes());
            m.in_memory = path_of(&**file).is_some_and(|p| p.dentry.in_memory());
        }
        Kind::Image if in_file.is_some() => {
            m.offset = in_file.unwrap_or_default();
            (m.dev, m.ino, m.name) = (program.dev, program.ino, program.path.clone());
        }
        Kind::Brk => m.name = b"[heap]".to_vec(),
        Kind::Stack => m.name = b"[stack]".to_vec(),
        // As with other systems' anonymous shared memory (mm/shmem.c).
        Kind::Anon if m.shared => m.name = b"/dev/zero (deleted)".to_vec(),
        _ => {}
    }
    m
}

/// Size of a large page.
const LARGE: usize = 2 << 20;

impl KernelInfo for This {
    fn tid() -> u32 {
        sched::current().tid
    }

    fn set_name(tid: u32, name: &[u8]) -> Result<()> {
        sched::find(tid).filter(|t| t.is_program).ok_or(Errno::ESRCH)?.set_name(name);
        Ok(())
    }

    fn threads() -> Vec<ThreadInfo> {
        let mut list = Vec::new();
        sched::for_each_thread(|t| {
            if t.is_program && list.try_reserve(1).is_ok() {
                let name = t.name();
                let len = name.iter().position(|&b| b == 0).unwrap_or(name.len());
                list.push(ThreadInfo {
                    tid: t.tid,
                    state: t.state_letter() as u8,
                    name: name[..len].to_vec(),
                    cpu_ns: t.cpu_ns(),
                    faults: t.usage().faults,
                });
            }
        });
        list
    }

    fn load() -> [u64; 3] {
        sched::load::averages().map(|l| l * 100 / sched::load::ONE)
    }

    fn exe() -> Vec<u8> {
        crate::files::program_file::path()
    }

    fn exe_size() -> Option<u64> {
        parameters().image_size
    }

    fn read_exe(pos: u64, into: &mut [u8]) -> Result<()> {
        crate::files::program_file::read(pos, into)
    }

    fn command_line() -> Vec<u8> {
        let p = parameters();
        joined(core::iter::once(p.argv0()).chain(p.args.iter().map(|a| &a[..])))
    }

    fn environment() -> Vec<u8> {
        joined(parameters().env.iter().map(|e| &e[..]))
    }

    fn auxv() -> Vec<u8> {
        crate::process::image::auxiliary_vector()
    }

    fn mappings() -> Vec<Mapping> {
        let program = Place::of_program();
        // If memory runs out, the list is cut off, as a short read.
        let all = mm::program::mappings().unwrap_or_default();
        all.into_iter().map(|(start, v)| mapping(start, &v, &program)).collect()
    }

    fn resident(m: &Mapping) -> Resident {
        let found = mm::resident::measure(m.start as usize..m.end as usize);
        let bytes = |pages: usize| (pages * PAGE_SIZE) as u64;
        let (present, own) = (bytes(found.present), if m.in_memory { 0 } else { bytes(found.own) });
        // What the image wrote to is its own.
        let own = if m.program && m.write { present } else { own };
        let shmem = if m.in_memory { present } else { 0 };
        let dirty = if m.program { own } else { bytes(found.dirty) };
        Resident { present, own, shmem, dirty, large: bytes(found.large), locked: m.locked }
    }

    fn pages(first: u64, into: &mut [u64]) {
        mm::resident::pages(first as usize, into);
    }

    fn layout() -> Layout {
        let image = |exec: bool| {
            let parts = mm::program::mappings().unwrap_or_default();
            let parts = parts.iter().filter(|(_, v)| {
                matches!(v.kind, Kind::Image) && v.prot.contains(if exec { Prot::EXEC } else { Prot::WRITE })
            });
            let ends = parts.map(|(start, v)| (*start as u64, v.end as u64));
            ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default()
        };
        let (brk, stack) = mm::program::brk_and_stack();
        Layout { code: image(true), data: image(false), brk: brk as u64, stack: stack as u64 }
    }

    fn details(tid: u32) -> Details {
        let Some(t) = sched::find(tid) else { return Details::default() };
        let shared = crate::pending::PROCESS.set().0;
        let (mut ignored, mut caught) = (0, 0);
        for n in 1..=64 {
            match signal::get_action(n).handler {
                // SIG_DFL.
                0 => {}
                signal::SIG_IGN => ignored |= 1 << (n - 1),
                _ => caught |= 1 << (n - 1),
            }
        }
        let pending = t.signals.own.set().0;
        let setting = t.setting();
        Details {
            nice: t.nice(),
            policy: setting.policy.0 as u8,
            priority: setting.priority,
            cpu: t.cpu() as u32,
            affinity: t.affinity() & sched::online_mask(),
            pending,
            shared,
            blocked: t.signals.blocked().0,
            ignored,
            caught,
            queued: (pending.count_ones() + shared.count_ones()),
            switches: t.usage().switches,
        }
    }

    fn switches() -> u64 {
        let mut n = 0;
        sched::for_each_thread(|t| {
            n += t.usage().switches.iter().sum::<u64>();
        });
        n
    }

    fn memory() -> Memory {
        let s = mm::stats();
        let usage = mm::program::usage();
        let bytes = |pages: usize| (pages * PAGE_SIZE) as u64;
        let cached = libos_fs::cache::cached_pages();
        Memory {
            total: bytes(s.total),
            free: bytes(s.free),
            available: bytes(s.available + cached - libos_fs::cache::dirty_pages().min(cached)),
            cached: bytes(cached),
            virtual_size: usage.mapped as u64,
            resident: usage.resident as u64,
            committed: usage.committed as u64,
            commit_limit: bytes((usage.committed / PAGE_SIZE + s.strict + cached).saturating_sub(s.promised)),
        }
    }

    fn overcommit() -> u8 {
        mm::commit::mode()
    }

    fn set_overcommit(mode: u64) -> Result<()> {
        mm::commit::set_mode(mode.try_into().map_err(|_| Errno::EINVAL)?)
    }

    fn cpus() -> Vec<CpuTime> {
        (0..percpu::count_online())
            .filter_map(sched::cpu_times)
            .map(|(total, idle)| CpuTime { busy: total.saturating_sub(idle), idle })
            .collect()
    }

    fn cpu_description() -> Vec<u8> {
        let brand = cpu::brand();
        let mhz = clock::hz() / 1_000_000;
        let brand = alloc::string::String::from_utf8_lossy(&brand);
        format!("model name\t: {}\ncpu MHz\t\t: {mhz}.000\n", brand.trim()).into_bytes()
    }
}
