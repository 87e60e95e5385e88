//! Start-up of subsystems that a program may not need.
//!
//! `init_with!(41, init)` makes `init` run at boot if and only if the program links system call 41: the entry lies in a
//! section that the linker keeps together with `libos_sys_41` (SHF_LINK_ORDER), so an image without sockets has no
//! network code.

/// An initialiser. Runs on the boot thread, after the console and before the program.
pub type Init = extern "C" fn();

/// Registers `$f` (an [`Init`]) to run when system call `$number` is linked; `first`: before those that are not.
#[macro_export]
macro_rules! init_with {
    ($number:literal, $f:path) => {
        $crate::init_with!(@in ".libos_init", $number, $f);
    };
    (first $number:literal, $f:path) => {
        $crate::init_with!(@in ".libos_init_first", $number, $f);
    };
    (@in $section:literal, $number:literal, $f:path) => {
        core::arch::global_asm!(
            concat!(".section ", $section, ",\"awo\",@progbits,libos_sys_", $number),
            ".balign 8",
            ".quad {}",
            ".text",
            sym $f,
        );
    };
}

unsafe extern "C" {
    static __libos_init_start: Init;
    static __libos_init_end: Init;
}

/// Runs what was kept, in link order.
pub fn run_all() {
    let mut at = &raw const __libos_init_start;
    let end = &raw const __libos_init_end;
    while at < end {
        // SAFETY: the linker script brackets a table of relocated function pointers.
        unsafe {
            (*at)();
            at = at.add(1);
        }
    }
}
