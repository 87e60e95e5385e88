/*
 * System calls that musl can make and the kernel's table does not have: -ENOSYS in both lives. Weak, and last in the link:
 * every number that the kernel knows is the kernel's.
 */
	.altmacro
	.macro missing n
	.section .text.libos_sys_\n,"ax",@progbits
	.weak libos_sys_\n
	.hidden libos_sys_\n
	.type libos_sys_\n,@function
libos_sys_\n:
	mov $-38,%rax
	ret
	.size libos_sys_\n,.-libos_sys_\n
	.endm
	.set i,0
	.rept 460
	missing %i
	.set i,i+1
	.endr
	.section .note.GNU-stack,"",@progbits
