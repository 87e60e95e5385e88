//! The exception table: kernel instructions that may fault, and where execution continues when one does.
//!
//! The kernel touches program memory only with instructions that have an entry (see `user`). An exception at one of
//! them that cannot be resolved goes to its fixup, which tells the caller; at any other kernel instruction it is a
//! crash.
//!
//! An entry is two offsets, each relative to its own address, so nothing in it is relocated. It lies in a section that
//! the linker keeps only together with the code it is for (SHF_LINK_ORDER): the table covers just the code in the
//! image, with a handful of entries.

/// Assembly: a fault of the instruction at `$at`, in section `.text.$code`, goes to `$fixup`.
macro_rules! fixup {
    ($code:literal, $at:literal, $fixup:literal) => {
        concat!(
            ".pushsection .libos_extable,\"ao\",@progbits,.text.",
            $code,
            "\n.balign 4\n.long ",
            $at,
            " - .\n.long ",
            $fixup,
            " - .\n.popsection"
        )
    };
}
pub(super) use fixup;

/// Offsets, each relative to its own address.
#[repr(C)]
struct Entry {
    at: i32,
    fixup: i32,
}

unsafe extern "C" {
    static __libos_extable_start: Entry;
    static __libos_extable_end: Entry;
}

/// Where to continue after an exception of the instruction at `rip`, if it is one that may fault.
pub fn find(rip: usize) -> Option<usize> {
    let (start, end) = (&raw const __libos_extable_start, &raw const __libos_extable_end);
    // SAFETY: the linker script brackets the table.
    let table = unsafe { core::slice::from_raw_parts(start, end.offset_from_unsigned(start)) };
    let found = table.iter().find(|e| rip.wrapping_sub(&raw const e.at as usize) == e.at as usize);
    found.map(|e| (&raw const e.fixup as usize).wrapping_add(e.fixup as usize))
}
