# int clock_gettime(clockid_t clock, struct timespec *time): a leaf call (libos/src/syscall/leaf.rs), so the C library's
# part would be most of it.
.text
.hidden libos_sys_228
.hidden __syscall_ret
.global __clock_gettime
.hidden __clock_gettime
.type __clock_gettime,@function
.weak clock_gettime
.type clock_gettime,@function
.set clock_gettime,__clock_gettime
__clock_gettime:
	push %rax
	call libos_sys_228
	pop %rdx
	test %rax,%rax
	jnz 1f
	ret
1:	mov %rax,%rdi
	jmp __syscall_ret
.size __clock_gettime,.-__clock_gettime
.section .note.GNU-stack,"",@progbits
