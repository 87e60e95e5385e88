//! What `/proc` and `uname` say about the kernel.

use alloc::vec::Vec;

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    /// Free, or can be freed without loss.
    pub available: u64,
    /// Page cache.
    pub cached: u64,
    /// Address space of the program.
    pub virtual_size: u64,
    /// The part of it that is in memory.
    pub resident: u64,
    /// The part of the address space that commit accounting counts.
    pub committed: u64,
    /// The most it could count under strict accounting.
    pub commit_limit: u64,
}

/// Nanoseconds that a CPU has spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    pub busy: u64,
    pub idle: u64,
}

/// A thread.
pub struct ThreadInfo {
    pub tid: u32,
    /// `R`, `S`, `D`...
    pub state: u8,
    pub name: Vec<u8>,
    pub cpu_ns: u64,
}

pub use libos_base::thread::PID;
/// The kernel release that `uname` reports.
pub const RELEASE: &str = "6.1.0";
pub const VERSION: &str = "#1 SMP unibody";

libos_base::upcalls! {
    ($)
    /// What the kernel reports; linked with everything that has a namespace, since that has a `/proc`.
    trait KernelInfo, defined by define_kernel_info, on the host by host::Host;
    /// The calling thread.
    fn tid() -> u32;
    /// Renames a thread of the program. ESRCH: no such thread.
    fn set_name(tid: u32, name: &[u8]) -> libos_base::Result<()>;
    /// All threads of the program.
    fn threads() -> Vec<libos_fs::kernel_info::ThreadInfo>;
    /// Path of the program.
    fn exe() -> Vec<u8>;
    /// Length of the program's file, if there is one to read.
    fn exe_size() -> Option<u64>;
    /// Fills `into` with the file's bytes from `pos` on; they lie within the file.
    fn read_exe(pos: u64, into: &mut [u8]) -> libos_base::Result<()>;
    /// argv, each string with its NUL.
    fn command_line() -> Vec<u8>;
    /// envp, each string with its NUL.
    fn environment() -> Vec<u8>;
    /// `/proc/self/maps`.
    fn maps() -> Vec<u8>;
    fn memory() -> libos_fs::kernel_info::Memory;
    /// vm.overcommit_memory.
    fn overcommit() -> u8;
    /// Sets vm.overcommit_memory.
    fn set_overcommit(mode: u64) -> libos_base::Result<()>;
    /// One for each CPU.
    fn cpus() -> Vec<libos_fs::kernel_info::CpuTime>;
    /// Lines of `/proc/cpuinfo` that are the same for every CPU, after `processor`.
    fn cpu_description() -> Vec<u8>;
}

#[cfg(not(unibody_kernel))]
#[path = "tests/machine.rs"]
mod host;
