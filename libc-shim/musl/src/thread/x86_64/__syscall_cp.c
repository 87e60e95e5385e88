/* Cancellation points are inline (arch/x86_64/syscall_arch.h): this file only replaces musl's file of the same name. */
typedef int __syscall_cp_is_elsewhere;
