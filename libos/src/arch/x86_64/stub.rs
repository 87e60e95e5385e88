//! The instructions that macros emit into the image: `libos_sys_N` stubs and the starts of components.

/// Assembly: `$words` in a table, for as long as the section `.text.$with` is linked. (The section is named first, so
/// that it exists wherever the assembler gets here.)
#[macro_export]
macro_rules! kept_with {
    ($table:literal, $with:expr, $words:expr) => {
        concat!(
            ".section .text.",
            $with,
            ",\"ax\",@progbits\n.section ",
            $table,
            ",\"awo\",@progbits,.text.",
            $with,
            "\n.balign 8\n.quad ",
            $words
        )
    };
}

/// The symbol of a system call. In a VM it goes to the entry code with the handler's address; as a Linux process, to
/// what follows label 2: the call itself, or a refusal, which is passed the caller's address. A leaf is jumped to on
/// the program's stack, and may still enter the kernel, at `libos_enter_N`; while calls are traced, they all do.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_stub {
    (call $number:literal $name:ident $handler:ident) => {
        $crate::syscall_stub!(@ $number $name $handler [] [
            concat!("2: mov eax, ", $number),
            "mov r10, rcx",
            "syscall",
            "ret"
        ]);
    };
    (leaf $number:literal $name:ident $handler:ident, $leaf:ident) => {
        $crate::syscall_stub!(@ $number $name $handler [
            "cmp word ptr [rip + libos_hosted], 0",
            "je {leaf}",
            concat!(".globl libos_enter_", $number),
            concat!("libos_enter_", $number, ":"),
        ] [
            concat!("2: mov eax, ", $number),
            "mov r10, rcx",
            "syscall",
            "ret"
        ] leaf = sym $leaf,);
    };
    (refused $number:literal $name:ident $handler:ident, $hosted:ident) => {
        $crate::syscall_stub!(@ $number $name $handler [] ["2: mov rdi, [rsp]", "jmp {hosted}"] hosted = sym $hosted,);
    };
    // clone makes only threads, as a Linux process too: without CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND and
    // CLONE_THREAD it is refused, like fork.
    (threads $number:literal $name:ident $handler:ident, $hosted:ident) => {
        $crate::syscall_stub!(@ $number $name $handler [] [
            "2: mov eax, edi",
            "not eax",
            "test eax, 0x10f00",
            "jne 3f",
            concat!("mov eax, ", $number),
            "mov r10, rcx",
            "syscall",
            "ret",
            "3: mov rdi, [rsp]",
            "jmp {hosted}"
        ] hosted = sym $hosted,);
    };
    (@ $number:literal $name:ident $handler:ident [$($leaf:tt)*] [$($hosted:tt)*] $($operands:tt)*) => {
        core::arch::global_asm!(
            concat!(".section .text.libos_call_", stringify!($name), ",\"ax\",@progbits"),
            concat!(".globl libos_sys_", $number),
            concat!("libos_sys_", $number, ":"),
            $($leaf)*
            "cmp byte ptr [rip + libos_hosted], 0",
            "jne 2f",
            "lea rax, [rip + {handler}]",
            concat!("mov r11d, ", $number),
            "jmp libos_syscall_entry",
            $($hosted)*,
            $crate::kept_with!(".libos_tab", concat!("libos_call_", stringify!($name)), concat!($number, ", libos_sys_", $number)),
            ".text",
            handler = sym $handler,
            $($operands)*
        );
    };
    // munmap and exit without the stack in between. Not a Linux call, so not in the table.
    (unmapself $handler:ident) => {
        core::arch::global_asm!(
            ".section .text.libos_sys_unmapself,\"ax\",@progbits",
            ".globl libos_sys_unmapself",
            "libos_sys_unmapself:",
            "cmp byte ptr [rip + libos_hosted], 0",
            "jne 2f",
            "lea rax, [rip + {handler}]",
            "mov r11d, 60",
            "jmp libos_syscall_entry",
            "2: mov eax, 11",
            "syscall",
            "xor edi, edi",
            "mov eax, 60",
            "syscall",
            "ud2",
            ".text",
            handler = sym $handler,
        );
    };
}

/// Calls by a number that is only known at run time, in RAX: an offset for each number, 0 if there is no such call.
/// Referring to this links every call.
#[doc(hidden)]
#[macro_export]
macro_rules! syscall_numbers {
    ($($number:literal)*) => {
        core::arch::global_asm!(
            ".section .rodata.libos_syscall_numbers,\"a\",@progbits",
            ".balign 4",
            "libos_syscall_numbers:",
            $(
                concat!(".org libos_syscall_numbers + 4 * ", $number),
                concat!(".long libos_sys_", $number, " - libos_syscall_numbers"),
            )*
            ".section .text.libos_syscall_dispatch,\"ax\",@progbits",
            ".globl libos_syscall_dispatch",
            "libos_syscall_dispatch:",
            "cmp rax, {end}",
            "jae 1f",
            "lea r10, [rip + libos_syscall_numbers]",
            "movsxd r11, dword ptr [r10 + 4 * rax]",
            "test r11, r11",
            "je 1f",
            "add r10, r11",
            "jmp r10",
            "1: mov rdi, rax",
            "jmp libos_syscall_missing",
            ".text",
            end = const {
                let mut last = 0;
                $(last = if $number > last { $number } else { last };)*
                last + 1
            },
        );
    };
}

/// A component's symbol, which jumps to `$start`; its entries in the table of initialisers, one for each call or
/// component that wants it; and its name in the image's note. See `component.rs`.
#[doc(hidden)]
#[macro_export]
macro_rules! component_stub {
    ($name:literal, $global:expr, [$($by:tt),+], $start:path) => {
        core::arch::global_asm!(
            concat!(".section .text.libos_component_", $name, ",\"ax\",@progbits"),
            $global,
            concat!("libos_component_", $name, ": jmp {}"),
            $($crate::kept_with!(".libos_init", $crate::component_stub!(@by $by), concat!("libos_component_", $name)),)+
            concat!(".section .libos_note,\"ao\",@progbits,.text.libos_component_", $name),
            concat!(".asciz \"", $name, "\""),
            ".text",
            sym $start,
        );
    };
    (@by $component:literal) => { concat!("libos_component_", $component) };
    (@by $call:ident) => { concat!("libos_call_", stringify!($call)) };
}

// Stands in for a component that is left out.
core::arch::global_asm!(
    ".section .text.libos_no_component,\"ax\",@progbits",
    ".globl libos_no_component",
    "libos_no_component: ret",
    ".text",
);
