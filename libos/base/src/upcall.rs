//! What the kernel's lower crates need from the kernel proper above them.
//!
//! There are exactly two kinds. What is always there is declared with [`upcalls!`](crate::upcalls): a direct call,
//! linked into every build that makes it. What may be missing because nothing in the program needs it, or appears only
//! later, is a [`Provider`](crate::sync::Provider).

/// Declares functions that the kernel proper defines, and a macro `$define` that makes the symbols: from a list of what
/// each leads to, or from a type that implements the trait. Host builds call the implementation for `$host`. Types are
/// written so that any crate can name them.
#[macro_export]
macro_rules! upcalls {
    (($d:tt) $(#[$about:meta])* trait $trait:ident, defined by $define:ident, on the host by $host:ty;
        $($(#[$doc:meta])* $([$unsafe:ident])? fn $name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(#[$about])*
        #[cfg_attr(unibody_kernel, allow(dead_code, reason = "the kernel may list functions instead"))]
        pub trait $trait {
            $($(#[$doc])* $($unsafe)? fn $name($($arg: $type),*) $(-> $result)?;)*
        }
        $($(#[$doc])*
        #[inline(always)]
        pub $($unsafe)? fn $name($($arg: $type),*) $(-> $result)? {
            #[cfg(unibody_kernel)]
            {
                unsafe extern "Rust" {
                    #[link_name = concat!("libos_", stringify!($trait), "_", stringify!($name))]
                    fn defined($($arg: $type),*) $(-> $result)?;
                }
                // SAFETY: the macro below defines it with the same type; its requirements are the caller's to meet.
                unsafe { defined($($arg),*) }
            }
            #[cfg(not(unibody_kernel))]
            // SAFETY: where it is unsafe, its requirements are the caller's to meet.
            $($unsafe)? { <$host as $trait>::$name($($arg),*) }
        })*
        /// Defines the functions.
        #[macro_export]
        macro_rules! $define {
            // Each name of the declaration stands for the function that it leads to.
            ($($name => $d $name:path;)*) => {
                $(const _: () = {
                    #[unsafe(export_name = concat!("libos_", stringify!($trait), "_", stringify!($name)))]
                    $($unsafe)? fn define($($arg: $type),*) $(-> $result)? {
                        // SAFETY: where it is unsafe, its requirements are the caller's to meet.
                        $($unsafe)? { $d $name($($arg),*) }
                    }
                };)*
            };
            ($d implementation:ty) => {
                $(const _: () = {
                    #[unsafe(export_name = concat!("libos_", stringify!($trait), "_", stringify!($name)))]
                    $($unsafe)? fn define($($arg: $type),*) $(-> $result)? {
                        // SAFETY: as above.
                        $($unsafe)? { <$d implementation as $trait>::$name($($arg),*) }
                    }
                };)*
            };
        }
    };
}

upcalls! {
    ($)
    /// What this crate needs.
    trait Kernel, defined by define_kernel, on the host by crate::host::Host;
    /// The running thread.
    fn current_thread() -> alloc::sync::Arc<dyn libos_base::thread::Park>;
    /// See [`crate::thread::park`].
    fn park(deadline_ns: u64, interruptible: bool) -> libos_base::thread::Wake;
    /// See [`crate::thread::spawn`].
    fn spawn(name: &'static str, job: libos_base::thread::Job) -> libos_base::Result<()>;
    /// Called when the preemption count falls to zero while a reschedule is due.
    fn preempt();
    /// Nanoseconds since boot; never goes back.
    fn monotonic_ns() -> u64;
    /// Nanoseconds since the Unix epoch.
    fn realtime_ns() -> u64;
    /// Writes one finished log line.
    fn log(level: libos_base::log::Level, line: core::fmt::Arguments<'_>);
    /// Fills `buf` with cryptographic randomness.
    fn fill_random(buf: &mut [u8]);
    /// Copies with a fault fixup; returns the number of bytes NOT copied.
    ///
    /// # Safety
    /// The kernel side must be valid for `len`; the program side may be anything that [`program_range`] allows.
    [unsafe] fn copy(dst: *mut u8, src: *const u8, len: usize) -> usize;
    /// Whether `addr .. addr + len` may hold program data: below `PROGRAM_END` and not in the kernel's own part of the image.
    fn program_range(addr: usize, len: usize) -> bool;
    /// The same, found out quickly: false means no more than that it is not obvious.
    fn surely_program(addr: usize, len: usize) -> bool;
    /// Whether memory is so short that no new kernel object should be made.
    fn memory_low() -> bool;
    /// Pages that are free, neither kept in reserve nor promised.
    fn memory_available() -> usize;
    /// See [`crate::rmap::Mappings::write_protect`].
    fn write_protect(file: &libos_base::rmap::Mappings, pages: core::ops::Range<u64>);
    /// See [`crate::rmap::Mappings::unmap`].
    fn unmap(file: &libos_base::rmap::Mappings);
    /// Unmaps about `want` pages of files that the program has not touched for long. Not to be called under spin locks.
    fn unmap_untouched(want: usize);
}
