/*
 * The entry of both lives.
 *
 * A VMM that follows the Linux 64-bit boot protocol enters here in ring 0; Linux enters here in ring 3. The PVH and
 * multiboot2 entries are the kernel's own.
 */
	.section .text._start,"ax",@progbits
	.globl _start
	.type _start,@function
_start:
	mov %cs,%eax
	test $3,%al
	jz unibody_linux64_start
	xor %ebp,%ebp
	mov %rsp,%rdi
	and $-16,%rsp
	call __unibody_hosted_start
	ud2
	.size _start,.-_start

/* The kernel jumps here with rsp at argc, after it has relocated and sealed the image. */
	.section .text.unibody_program_start,"ax",@progbits
	.globl unibody_program_start
	.type unibody_program_start,@function
unibody_program_start:
	xor %ebp,%ebp
	mov %rsp,%rdi
	and $-16,%rsp
	call __unibody_libc_start
	ud2
	.size unibody_program_start,.-unibody_program_start
	.section .note.GNU-stack,"",@progbits
