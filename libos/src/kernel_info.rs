//! What `/proc` says about this kernel.
//! Floor: calls.

use crate::arch::{clock, cpu, percpu};
use crate::mm::vma::Prot;
use crate::params::parameters;
use crate::{mm, sched};
use alloc::format;
use alloc::vec::Vec;
use libos_base::layout::PAGE_SIZE;
use libos_base::{Errno, Result};
use libos_fs::kernel_info::{CpuTime, KernelInfo, Memory, ThreadInfo};

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
                });
            }
        });
        list
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

    fn maps() -> Vec<u8> {
        let mut out = Vec::new();
        // If memory runs out, the list is cut off, as a short read.
        let _ = mm::program::describe_maps(&mut |line| {
            let letter = |bit, c| if line.prot.contains(bit) { c } else { '-' };
            let text = format!(
                "{:08x}-{:08x} {}{}{}{} {:08x} 00:00 0 {:>26}{}\n",
                line.range.start,
                line.range.end,
                letter(Prot::READ, 'r'),
                letter(Prot::WRITE, 'w'),
                letter(Prot::EXEC, 'x'),
                if line.shared { 's' } else { 'p' },
                line.offset,
                "",
                line.name,
            );
            out.extend_from_slice(text.as_bytes());
        });
        out
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
