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

/// A mapping of the program.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    pub read: bool,
    pub write: bool,
    pub exec: bool,
    pub shared: bool,
    /// It may be made writable.
    pub may_write: bool,
    /// It is the main stack.
    pub grows: bool,
    pub locked: bool,
    /// Commit accounting counts it.
    pub accounted: bool,
    /// MAP_NORESERVE.
    pub no_reserve: bool,
    /// Large pages may come into it.
    pub large: bool,
    /// It is a part of the program's own file.
    pub program: bool,
    /// Its pages are those of shared memory, or of a file that is in memory only.
    pub in_memory: bool,
    /// Where in which file it begins; all 0 if there is none.
    pub offset: u64,
    pub dev: u64,
    pub ino: u64,
    /// `[heap]`, `[stack]`, a path, or nothing.
    pub name: Vec<u8>,
}

/// The bytes of a mapping that are in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resident {
    pub present: u64,
    /// The part that belongs to the mapping alone.
    pub own: u64,
    /// The part that belongs to memory files or to shared memory.
    pub shmem: u64,
    /// Written to since it was last stored.
    pub dirty: u64,
    /// The part in large pages.
    pub large: u64,
    /// It is locked.
    pub locked: bool,
}

/// Where the parts of the program lie.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    pub code: (u64, u64),
    pub data: (u64, u64),
    pub brk: u64,
    pub stack: u64,
}

/// What is known of a thread besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    pub nice: i8,
    pub policy: u8,
    /// Among real-time threads; 0: not one of them.
    pub priority: u8,
    pub cpu: u32,
    pub affinity: u64,
    /// Signals: pending for the thread and for the process, and the sets.
    pub pending: u64,
    pub shared: u64,
    pub blocked: u64,
    pub ignored: u64,
    pub caught: u64,
    /// Signals in queues.
    pub queued: u32,
    /// Voluntary and involuntary ones.
    pub switches: [u64; 2],
}

/// Most mappings (vm.max_map_count).
pub const MAX_MAPPINGS: usize = 65_530;

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
    /// Page faults: minor and major.
    pub faults: [u64; 2],
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
    /// The load averages over 1, 5 and 15 minutes, in hundredths.
    fn load() -> [u64; 3];
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
    /// The auxiliary vector.
    fn auxv() -> Vec<u8>;
    /// All mappings, in order; some are missing if there is no memory for the list.
    fn mappings() -> Vec<libos_fs::kernel_info::Mapping>;
    /// What of a mapping is in memory now.
    fn resident(m: &libos_fs::kernel_info::Mapping) -> libos_fs::kernel_info::Resident;
    /// Entries of `/proc/self/pagemap` from this page on.
    fn pages(first: u64, into: &mut [u64]);
    fn layout() -> libos_fs::kernel_info::Layout;
    /// All 0 if the thread has ended.
    fn details(tid: u32) -> libos_fs::kernel_info::Details;
    /// How often processors went from one thread to another.
    fn switches() -> u64;
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
