//! The few things that the base needs from the kernel proper. In the bare kernel `libos` defines these symbols;
//! host builds answer them with `std`.

#[cfg(unibody_kernel)]
mod imp {
    use crate::thread::Park;
    use alloc::sync::Arc;

    unsafe extern "Rust" {
        /// The running thread.
        pub safe fn libos_current_thread() -> Arc<dyn Park>;
        /// See [`crate::thread::park`].
        pub safe fn libos_park(deadline_ns: u64, interruptible: bool) -> crate::thread::Wake;
        /// See [`crate::thread::spawn`].
        pub safe fn libos_spawn(name: &'static str, f: crate::thread::Job) -> crate::Result<()>;
        /// Called when the preemption count falls to zero while a reschedule is due.
        pub safe fn libos_preempt();
        /// Nanoseconds since boot.
        pub safe fn libos_monotonic_ns() -> u64;
        /// Nanoseconds since the Unix epoch.
        pub safe fn libos_realtime_ns() -> u64;
        /// Writes one finished log line.
        pub safe fn libos_log(level: crate::log::Level, line: core::fmt::Arguments<'_>);
        /// Fills with cryptographic randomness.
        pub safe fn libos_fill_random(buf: &mut [u8]);
        /// Copies with a fault fixup: the number of bytes NOT copied.
        ///
        /// # Safety
        /// The kernel side must be valid for `len`; the program side may be anything below `PROGRAM_END`.
        pub unsafe fn libos_copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
        /// Whether memory is so short that no new kernel object should be made.
        pub safe fn libos_memory_low() -> bool;
        /// Pages that are free, neither kept in reserve nor promised.
        pub safe fn libos_memory_available() -> usize;
        /// See [`crate::memory::write_protect`].
        pub safe fn libos_write_protect(cache: *const (), pages: core::ops::Range<u64>);
        /// See [`crate::memory::unmap`].
        pub safe fn libos_unmap(cache: *const ());
        /// See [`crate::memory::unmap_untouched`].
        pub safe fn libos_unmap_untouched(want: usize);
        /// Whether `addr .. addr + len` may hold program data: below `PROGRAM_END` and not in the kernel's own part
        /// of the image.
        pub safe fn libos_program_range(addr: usize, len: usize) -> bool;
    }
}

#[cfg(not(unibody_kernel))]
mod imp {
    use crate::thread::{Park, Wake, host::HostThread};
    use std::sync::{Arc, OnceLock};
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    pub fn libos_current_thread() -> Arc<dyn Park> {
        HostThread::current()
    }
    pub fn libos_park(deadline_ns: u64, _interruptible: bool) -> Wake {
        HostThread::park(deadline_ns)
    }
    pub fn libos_spawn(name: &'static str, f: crate::thread::Job) -> crate::Result<()> {
        let made = std::thread::Builder::new().name(name.into()).spawn(f);
        made.map(|_| ()).map_err(|_| crate::Errno::EAGAIN)
    }
    pub fn libos_monotonic_ns() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64 + 1
    }
    pub fn libos_realtime_ns() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
    }
    pub fn libos_log(level: crate::log::Level, line: core::fmt::Arguments<'_>) {
        eprintln!("[{level:?}] {line}");
    }
    pub fn libos_fill_random(buf: &mut [u8]) {
        use std::hash::{BuildHasher, Hasher, RandomState};
        for b in buf {
            *b = RandomState::new().build_hasher().finish() as u8;
        }
    }
    /// # Safety
    /// Both ranges must be valid: host tests pass real pointers.
    pub unsafe fn libos_copy(dst: *mut u8, src: *const u8, len: usize) -> usize {
        // SAFETY: the caller's.
        unsafe { core::ptr::copy(src, dst, len) };
        0
    }
    pub fn libos_memory_low() -> bool {
        false
    }
    pub fn libos_memory_available() -> usize {
        1 << 20
    }
    pub fn libos_write_protect(_: *const (), _: core::ops::Range<u64>) {}
    pub fn libos_unmap(_: *const ()) {}
    pub fn libos_unmap_untouched(_: usize) {}
    pub fn libos_program_range(addr: usize, len: usize) -> bool {
        addr >= crate::layout::PROGRAM_START && addr.checked_add(len).is_some_and(|e| e <= crate::layout::PROGRAM_END)
    }
}

pub(crate) use imp::*;
