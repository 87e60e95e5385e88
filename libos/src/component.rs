//! Components: parts that an image has only if its program wants them.
//! Floor: ground.
//!
//!     component!("disk", optional, wanted by [open, openat, openat2], starts start);
//!
//! A component starts at boot, on the boot thread, after the console and before the program, if and only if one of the system
//! calls or components (`"disk"`) that want it is linked. Otherwise none of it is in the image, unless something else
//! refers to it: its entries lie in sections that the linker keeps only together with what wants it (SHF_LINK_ORDER).
//! An optional component can be left out of any image by its name (`UNIBODY_WITHOUT`, `without` in a recipe). The
//! image's note names the components in it. The tool reads the names from the kernel and from the note, so they are
//! spelled out only here.
//!
//! A component serves others through a [`Provider`](libos_base::sync::Provider), or registers a file system.

/// Declares a component: its name, who wants it, and the `extern "C" fn()` that starts it.
#[macro_export]
macro_rules! component {
    ($name:literal, optional, wanted by [$($by:tt),+], starts $start:path) => {
        // To leave it out, the linker is given another symbol in its place.
        $crate::component_stub!($name, concat!(".globl libos_component_", $name), [$($by),+], $start);
    };
    ($name:literal, wanted by [$($by:tt),+], starts $start:path) => {
        $crate::component_stub!($name, "", [$($by),+], $start);
    };
}

unsafe extern "C" {
    static __libos_init_start: extern "C" fn();
    static __libos_init_end: extern "C" fn();
}

/// Starts each component that is linked, once, however many calls or components want it.
pub fn start_all() {
    let (start, end) = (&raw const __libos_init_start, &raw const __libos_init_end);
    // SAFETY: the linker script brackets a table of relocated function pointers.
    let all = unsafe { core::slice::from_raw_parts(start, end.offset_from_unsigned(start)) };
    for (i, component) in all.iter().enumerate() {
        if !all[..i].iter().any(|earlier| core::ptr::fn_addr_eq(*earlier, *component)) {
            component();
        }
    }
}
