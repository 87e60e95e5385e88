//! A machine with nothing to report.

use super::*;
use libos_base::{Errno, Result};

pub struct Host;

impl KernelInfo for Host {
    fn tid() -> u32 {
        PID
    }
    fn set_name(_: u32, _: &[u8]) -> Result<()> {
        Err(Errno::ESRCH)
    }
    fn threads() -> Vec<ThreadInfo> {
        Vec::new()
    }
    fn load() -> [u64; 3] {
        [0; 3]
    }
    fn exe() -> Vec<u8> {
        b"/program".to_vec()
    }
    fn exe_size() -> Option<u64> {
        None
    }
    fn read_exe(_: u64, _: &mut [u8]) -> Result<()> {
        Err(Errno::EIO)
    }
    fn command_line() -> Vec<u8> {
        Vec::new()
    }
    fn environment() -> Vec<u8> {
        Vec::new()
    }
    fn auxv() -> Vec<u8> {
        Vec::new()
    }
    fn mappings() -> Vec<Mapping> {
        let mapped =
            |start: u64, name: &[u8]| Mapping { start, end: start + 0x3000, name: name.to_vec(), ..Mapping::default() };
        alloc::vec![
            Mapping { read: true, exec: true, offset: 0x1000, dev: 0x803, ino: 7, ..mapped(0x40_0000, b"/bin/a\nb") },
            Mapping { read: true, write: true, ..mapped(0x7f12_3456_7000, b"") },
        ]
    }
    fn resident(m: &Mapping) -> Resident {
        Resident { present: 0x2000, own: if m.write { 0x1000 } else { 0 }, dirty: 0x1000, ..Resident::default() }
    }
    fn pages(first: u64, into: &mut [u64]) {
        into.iter_mut().zip(first..).for_each(|(e, n)| *e = n);
    }
    fn layout() -> Layout {
        Layout::default()
    }
    fn details(_: u32) -> Details {
        Details { affinity: 0b1011, ..Details::default() }
    }
    fn switches() -> u64 {
        0
    }
    fn memory() -> Memory {
        Memory::default()
    }
    fn overcommit() -> u8 {
        0
    }
    fn set_overcommit(_: u64) -> Result<()> {
        Err(Errno::EINVAL)
    }
    fn cpus() -> Vec<CpuTime> {
        alloc::vec![CpuTime::default()]
    }
    fn cpu_description() -> Vec<u8> {
        Vec::new()
    }
}
