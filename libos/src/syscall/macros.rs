//! What the table expands to.

use libos_base::{Result, errno};

/// An argument as it comes in a register.
pub trait Arg {
    /// Takes the meaningful bits.
    fn from_register(v: usize) -> Self;
}
macro_rules! args { ($($t:ty),*) => { $(impl Arg for $t { fn from_register(v: usize) -> Self { v as $t } })* }; }
args!(i32, u32, i64, u64, isize, usize);

/// A handler of up to six arguments.
pub trait Handler<A> {
    /// Calls it with register values.
    fn call(self, regs: [usize; 6]) -> Result<usize>;
}
macro_rules! handler {
    ($($a:ident $i:literal),*) => {
        impl<Call: FnOnce($($a),*) -> Result<usize>, $($a: Arg),*> Handler<($($a,)*)> for Call {
            #[inline(always)]
            fn call(self, _regs: [usize; 6]) -> Result<usize> { self($($a::from_register(_regs[$i])),*) }
        }
    };
}
handler!();
handler!(A 0);
handler!(A 0, B 1);
handler!(A 0, B 1, C 2);
handler!(A 0, B 1, C 2, D 3);
handler!(A 0, B 1, C 2, D 3, E 4);
handler!(A 0, B 1, C 2, D 3, E 4, F 5);

/// Runs a handler and encodes its result.
#[inline(always)]
pub fn run<A>(h: impl Handler<A>, regs: [usize; 6]) -> isize {
    errno::encode(h.call(regs))
}

/// How far a call is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As Linux.
    Full,
    /// All but what the sentence says.
    Partial(&'static str),
    /// Always fails with this errno, for this reason.
    Refused(libos_base::Errno, &'static str),
}

/// One row, for the support matrix and the inspection tools.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Linux number (x86-64).
    pub number: usize,
    /// Name.
    pub name: &'static str,
    /// Argument names and kinds, `"fd: Fd, buf: Out"`.
    pub args: &'static str,
    /// Support level.
    pub support: Support,
}

/// The table. See `table.rs` for the form of a line.
#[macro_export]
macro_rules! syscalls {
    ($($num:literal $name:ident($($arg:ident: $kind:ident),* $(,)?)
        => $h:ident $(:: $f:ident)* $(, $level:ident)? $($errno:ident)? $($why:literal)?;)*) => {
        /// Every call, by number.
        pub const ROWS: &[$crate::syscall::macros::Row] = &[$($crate::syscall::macros::Row {
            number: $num,
            name: stringify!($name),
            args: stringify!($($arg: $kind),*),
            support: $crate::syscall_support!([$h] [$($level)?] [$($errno)?] [$($why)?]),
        },)*];

        /// The exported symbols, each in a section of its own: what a program does not call is not linked.
        #[cfg(unibody_kernel)]
        pub mod entries {
            $(pub mod $name {
                #[allow(unused_imports, reason = "a refused call names no family")]
                use $crate::syscall::*;
                $crate::syscall_entry!($num [$h $(:: $f)*] [$($errno)?] [$name] [$($why)?]);
            })*
        }

        /// For numbers known only at run time. Refers to every call, so using it links them all.
        #[cfg(unibody_kernel)]
        pub static ALL: &[(usize, $crate::syscall::macros::Stub)] = &[$(($num, entries::$name::stub),)*];
    };
}

/// A `libos_sys_N` symbol.
pub type Stub = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize) -> isize;

/// One line's support level.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_support {
    ([refused] [] [$errno:ident] [$why:literal]) => {
        $crate::syscall::macros::Support::Refused(libos_base::Errno::$errno, $why)
    };
    ([$h:ident] [full] [] []) => {
        $crate::syscall::macros::Support::Full
    };
    ([$h:ident] [partial] [] [$why:literal]) => {
        $crate::syscall::macros::Support::Partial($why)
    };
}

/// One line's symbol.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_entry {
    ($num:literal [refused] [$errno:ident] [$name:ident] [$why:literal]) => {
        extern "C" fn handler() -> isize {
            refused::in_vm($num, stringify!($name), libos_base::Errno::$errno, $why)
        }
        extern "C" fn hosted(caller: usize) -> isize {
            refused::hosted($num, concat!("unibody: ", stringify!($name), " is refused: ", $why, "\n"),
                libos_base::Errno::$errno, caller)
        }
        // In the Linux life the refusal is the same, so that configure scripts learn the truth.
        core::arch::global_asm!(
            concat!(".section .text.libos_sys_", $num, ",\"ax\",@progbits"),
            concat!(".globl libos_sys_", $num),
            concat!("libos_sys_", $num, ":"),
            "cmp byte ptr [rip + libos_hosted], 0",
            "jne 2f",
            "lea rax, [rip + {handler}]",
            concat!("mov r11d, ", $num),
            "jmp libos_syscall_entry",
            "2: mov rdi, [rsp]",
            "jmp {hosted}",
            concat!(".section .libos_tab,\"awo\",@progbits,libos_sys_", $num),
            ".balign 8",
            concat!(".quad ", $num, ", libos_sys_", $num),
            ".text",
            handler = sym handler, hosted = sym hosted,
        );
        $crate::syscall_entry!(@stub $num);
    };
    // clone makes threads only, as a Linux process too: without CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND and
    // CLONE_THREAD it is refused, like fork.
    ($num:literal [$($path:tt)*] [] [clone] [$($why:literal)?]) => {
        extern "C" fn handler(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
            macros::run($($path)*, [a, b, c, d, e, f])
        }
        extern "C" fn hosted(caller: usize) -> isize {
            refused::hosted(56, "unibody: clone is refused: it makes threads only\n", libos_base::Errno::ENOSYS, caller)
        }
        core::arch::global_asm!(
            ".section .text.libos_sys_56,\"ax\",@progbits",
            ".globl libos_sys_56",
            "libos_sys_56:",
            "cmp byte ptr [rip + libos_hosted], 0",
            "jne 2f",
            "lea rax, [rip + {handler}]",
            "mov r11d, 56",
            "jmp libos_syscall_entry",
            "2: mov eax, edi",
            "not eax",
            "test eax, 0x10f00",
            "jne 3f",
            "mov eax, 56",
            "mov r10, rcx",
            "syscall",
            "ret",
            "3: mov rdi, [rsp]",
            "jmp {hosted}",
            ".section .libos_tab,\"awo\",@progbits,libos_sys_56",
            ".balign 8",
            ".quad 56, libos_sys_56",
            ".text",
            handler = sym handler, hosted = sym hosted,
        );
        $crate::syscall_entry!(@stub 56);
    };
    ($num:literal [$($path:tt)*] [] [$name:ident] [$($why:literal)?]) => {
        extern "C" fn handler(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
            macros::run($($path)*, [a, b, c, d, e, f])
        }
        core::arch::global_asm!(
            concat!(".section .text.libos_sys_", $num, ",\"ax\",@progbits"),
            concat!(".globl libos_sys_", $num),
            concat!("libos_sys_", $num, ":"),
            "cmp byte ptr [rip + libos_hosted], 0",
            "jne 2f",
            "lea rax, [rip + {handler}]",
            concat!("mov r11d, ", $num),
            "jmp libos_syscall_entry",
            concat!("2: mov eax, ", $num),
            "mov r10, rcx",
            "syscall",
            "ret",
            concat!(".section .libos_tab,\"awo\",@progbits,libos_sys_", $num),
            ".balign 8",
            concat!(".quad ", $num, ", libos_sys_", $num),
            ".text",
            handler = sym handler,
        );
        $crate::syscall_entry!(@stub $num);
    };
    (@stub $num:literal) => {
        unsafe extern "C" {
            #[link_name = concat!("libos_sys_", $num)]
            pub fn stub(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize;
        }
    };
}
