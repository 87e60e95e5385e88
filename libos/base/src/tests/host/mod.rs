//! What host builds have instead of a kernel and a processor.

pub mod locks;
pub mod processor;
mod thread;

use crate::thread::{Job, Park, Wake};
use crate::upcall::Kernel;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use thread::HostThread;

pub struct Host;

impl Kernel for Host {
    fn current_thread() -> Arc<dyn Park> {
        HostThread::current()
    }
    fn park(deadline_ns: u64, _interruptible: bool) -> Wake {
        HostThread::park(deadline_ns)
    }
    fn spawn(name: &'static str, job: Job) -> crate::Result<()> {
        let made = std::thread::Builder::new().name(name.into()).spawn(job);
        made.map(|_| ()).map_err(|_| crate::Errno::EAGAIN)
    }
    fn preempt() {}
    fn monotonic_ns() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
    }
    fn realtime_ns() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
    }
    fn log(level: crate::log::Level, line: core::fmt::Arguments<'_>) {
        eprintln!("[{level:?}] {line}");
    }
    fn fill_random(buf: &mut [u8]) {
        use std::hash::{BuildHasher, Hasher, RandomState};
        for b in buf {
            *b = RandomState::new().build_hasher().finish() as u8;
        }
    }
    unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
        // SAFETY: the caller's: host tests pass real pointers.
        unsafe { core::ptr::copy(src, dst, len) };
        0
    }
    fn program_range(addr: usize, len: usize) -> bool {
        use crate::layout::{PROGRAM_END, PROGRAM_START};
        addr >= PROGRAM_START && addr.checked_add(len).is_some_and(|end| end <= PROGRAM_END)
    }
    fn surely_program(addr: usize, len: usize) -> bool {
        Self::program_range(addr, len)
    }
    fn memory_low() -> bool {
        false
    }
    fn memory_available() -> usize {
        1 << 20
    }
    fn write_protect(_: &crate::rmap::Mappings, _: core::ops::Range<u64>) {}
    fn unmap(_: &crate::rmap::Mappings) {}
    fn unmap_untouched(_: usize) {}
}
