# long __libos_cp_asm(volatile void *flag, call, a, b, c, d, e, f): calls unless *flag is set.
# The stack pointer is the same from __cp_begin to __cp_cancel, so that the signal handler need only change rip.
.text
.global __cp_begin
.hidden __cp_begin
.global __cp_end
.hidden __cp_end
.global __cp_cancel
.hidden __cp_cancel
.hidden __cancel
.global __libos_cp_asm
.hidden __libos_cp_asm
.type __libos_cp_asm,@function
__libos_cp_asm:
	sub $8,%rsp
__cp_begin:
	mov (%rdi),%eax
	test %eax,%eax
	jnz __cp_cancel
	mov %rsi,%rax
	mov %rdx,%rdi
	mov %rcx,%rsi
	mov %r8,%rdx
	mov %r9,%rcx
	mov 16(%rsp),%r8
	mov 24(%rsp),%r9
	call *%rax
__cp_end:
	add $8,%rsp
	ret
__cp_cancel:
	add $8,%rsp
	jmp __cancel
.size __libos_cp_asm,.-__libos_cp_asm
.section .note.GNU-stack,"",@progbits
