//! What a line in the table of calls (`libos/abi/src/table.rs`) expands to in the kernel.

/// The symbol, the handler behind it, and the entry of the dispatcher, for each line.
#[macro_export]
macro_rules! syscalls {
    ($($number:literal $name:ident($($arg:ident: $type:ty $([$length:ident])?),* $(,)?) $($leaf:ident)? $(-> $result:ty)?
        => $($handler:ident)::+ $(, $level:ident)? $($errno:ident)? $($why:literal)?;)*) => {
        /// The exported symbols, each in a section of its own: a call that the program does not make is not linked.
        pub mod entries {
            $(pub mod $name {
                #[allow(unused_imports, reason = "a refused call names no family, and not every call has arguments")]
                use {$crate::syscall::*, libos_base::prelude::*};
                $crate::syscall_entry!($number $name [$($arg: $type),*] $($leaf)? $($handler)::+, $($errno)? $($why)?);
            })*
        }

        $crate::syscall_numbers!($($number)*);
    };
}

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
    };
    ($number:literal clone $args:tt $($handler:ident)::+, $($why:literal)?) => {
        $crate::syscall_handler!(clone $args $($handler)::+);
        extern "C" fn hosted(_caller: usize) -> isize {
            refused::hosted($number, "unibody: clone is refused: it makes threads only\n", libos_base::Errno::ENOSYS)
        }
        $crate::syscall_stub!(threads $number clone clone, hosted);
    };
    // The one that programs make most is assembly, which falls back on the leaf.
    ($number:literal clock_gettime $args:tt leaf $($handler:ident)::+, $($why:literal)?) => {
        $crate::syscall_entry!(@leaf $number clock_gettime $args $($handler)::+);
        use $crate::arch::clock::libos_clock_gettime as gettime;
        $crate::syscall_stub!(leaf $number clock_gettime clock_gettime, gettime);
    };
    ($number:literal $name:ident $args:tt leaf $($handler:ident)::+, $($why:literal)?) => {
        $crate::syscall_entry!(@leaf $number $name $args $($handler)::+);
        $crate::syscall_stub!(leaf $number $name $name, leaf);
    };
    (@leaf $number:literal $name:ident [$($arg:ident: $type:ty),*] $($handler:ident)::+) => {
        $crate::syscall_handler!($name [$($arg: $type),*] $($handler)::+);
        unsafe extern "C" {
            #[link_name = concat!("libos_enter_", $number)]
            fn enter($($arg: usize),*) -> isize;
        }
        #[unsafe(export_name = concat!("libos_leaf_", $number))]
        extern "C" fn leaf($($arg: usize),*) -> isize {
            // SAFETY: the call itself, with the arguments that it was made with.
            leaf::$name($(<$type as Argument>::from_register($arg)),*).unwrap_or_else(|| unsafe { enter($($arg),*) })
        }
    };
    ($number:literal $name:ident $args:tt $($handler:ident)::+, $($why:literal)?) => {
        $crate::syscall_handler!($name $args $($handler)::+);
        $crate::syscall_stub!(call $number $name $name);
    };
}
