//! What a line in the table of calls (`libos/abi/src/table.rs`) expands to in the kernel.

/// The symbol, the handler behind it, and the entry of the dispatcher, for each line.
#[macro_export]
macro_rules! syscalls {
    ($($number:literal $name:ident($($arg:ident: $type:ty $([$length:ident])?),* $(,)?) $(-> $result:ty)?
        => $($handler:ident)::+ $(, $level:ident)? $($errno:ident)? $($why:literal)?;)*) => {
        /// The exported symbols, each in a section of its own: a call that the program does not make is not linked.
        pub mod entries {
            $(pub mod $name {
                #[allow(unused_imports, reason = "a refused call names no family, and not every call has arguments")]
                use {$crate::syscall::*, libos_base::prelude::*};
                $crate::syscall_entry!($number $name [$($arg: $type),*] $($handler)::+, $($errno)? $($why)?);
            })*
        }

        /// For numbers known only at run time. It refers to every call, so using it links them all.
        pub static ALL: &[(usize, $crate::syscall::macros::Stub)] = &[$(($number, entries::$name::stub),)*];
    };
}

/// A `libos_sys_N` symbol.
pub type Stub = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;

/// Calls a handler with the arguments that its row says the registers hold: one that takes any others, or more or
/// fewer, does not compile.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_handler {
    ($name:ident [$($arg:ident: $type:ty),*] refused) => {};
    ($name:ident [$($arg:ident: $type:ty),*] $($handler:ident)::+) => {
        extern "C" fn $name($($arg: usize),*) -> isize {
            libos_base::errno::encode($($handler)::+($(<$type as Argument>::from_register($arg)),*))
        }
    };
}

/// The symbol for one line.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_entry {
    // As a Linux process the refusal is the same, so that configure scripts learn the truth.
    ($number:literal $name:ident $args:tt refused, $errno:ident $why:literal) => {
        extern "C" fn handler() -> isize {
            refused::in_vm($number, stringify!($name), libos_base::Errno::$errno, $why)
        }
        extern "C" fn hosted(_caller: usize) -> isize {
            refused::hosted($number, concat!("unibody: ", stringify!($name), " is refused: ", $why, "\n"),
                libos_base::Errno::$errno)
        }
        $crate::syscall_stub!(refused $number $name handler, hosted);
        $crate::syscall_entry!(@symbol $number);
    };
    ($number:literal clone $args:tt $($handler:ident)::+, $($why:literal)?) => {
        $crate::syscall_handler!(clone $args $($handler)::+);
        extern "C" fn hosted(_caller: usize) -> isize {
            refused::hosted($number, "unibody: clone is refused: it makes threads only\n", libos_base::Errno::ENOSYS)
        }
        $crate::syscall_stub!(threads $number clone clone, hosted);
        $crate::syscall_entry!(@symbol $number);
    };
    ($number:literal $name:ident $args:tt $($handler:ident)::+, $($why:literal)?) => {
        $crate::syscall_handler!($name $args $($handler)::+);
        $crate::syscall_stub!(call $number $name $name);
        $crate::syscall_entry!(@symbol $number);
    };
    (@symbol $number:literal) => {
        unsafe extern "C" {
            #[link_name = concat!("libos_sys_", $number)]
            pub fn stub(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize;
        }
    };
}
