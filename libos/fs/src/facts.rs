//! What `/proc` says about the kernel, told by the kernel.

use alloc::vec::Vec;
use libos_base::sync::Once;
use libos_base::{Errno, Result};

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    /// Free, or freeable without loss.
    pub available: u64,
    /// Page cache.
    pub cached: u64,
    /// Address space of the program.
    pub virtual_size: u64,
    /// Of that, in memory.
    pub resident: u64,
    /// Of the address space, what commit accounting counts.
    pub committed: u64,
    /// What it could count at most if it were strict now.
    pub commit_limit: u64,
}

/// Nanoseconds a CPU spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    pub busy: u64,
    pub idle: u64,
}

/// A thread.
pub struct ThreadFact {
    pub tid: u32,
    /// `R`, `S`, `D`...
    pub state: u8,
    pub name: Vec<u8>,
    pub cpu_ns: u64,
}

/// Answers for `/proc`. The defaults say what is true of any one-process machine.
pub trait Facts: Send + Sync {
    fn pid(&self) -> u32 {
        1
    }
    /// The thread that asks.
    fn tid(&self) -> u32 {
        self.pid()
    }
    /// Renames a thread of the program. ESRCH: there is none.
    fn set_name(&self, _tid: u32, _name: &[u8]) -> Result<()> {
        Err(Errno::ESRCH)
    }
    /// All threads of the program.
    fn threads(&self) -> Vec<ThreadFact> {
        Vec::new()
    }
    /// Path of the program.
    fn exe(&self) -> Vec<u8> {
        b"/program".to_vec()
    }
    /// argv, each with its NUL.
    fn command_line(&self) -> Vec<u8> {
        Vec::new()
    }
    /// envp, each with its NUL.
    fn environment(&self) -> Vec<u8> {
        Vec::new()
    }
    /// `/proc/self/maps`.
    fn maps(&self) -> Vec<u8> {
        Vec::new()
    }
    fn memory(&self) -> Memory {
        Memory::default()
    }
    /// vm.overcommit_memory.
    fn overcommit(&self) -> u8 {
        0
    }
    /// Sets vm.overcommit_memory.
    fn set_overcommit(&self, _mode: u64) -> Result<()> {
        Err(Errno::EINVAL)
    }
    /// One a CPU.
    fn cpus(&self) -> Vec<CpuTime> {
        alloc::vec![CpuTime::default()]
    }
    /// Lines of `/proc/cpuinfo` that are the same for every CPU, after `processor`.
    fn cpu_description(&self) -> Vec<u8> {
        Vec::new()
    }
    fn hostname(&self) -> Vec<u8> {
        crate::root::hostname().to_vec()
    }
    /// `uname -r`.
    fn release(&self) -> &'static str {
        "6.1.0"
    }
    /// `uname -v`.
    fn version(&self) -> &'static str {
        "#1 SMP unibody"
    }
}

struct Nothing;
impl Facts for Nothing {}

static FACTS: Once<&'static dyn Facts> = Once::new();

/// Sets who answers; the first call wins. Call it from where paths are used, so that programs without paths do not
/// link the answers.
pub fn register(facts: &'static dyn Facts) {
    FACTS.set(|| facts);
}

/// Who answers.
pub fn facts() -> &'static dyn Facts {
    FACTS.get().copied().unwrap_or(&Nothing)
}
