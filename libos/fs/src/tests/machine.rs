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
    fn maps() -> Vec<u8> {
        Vec::new()
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
