# int __clone(int (*func)(void *), void *stack, int flags, void *arg, int *ptid, void *tls, int *ctid)
# The child returns from libos_sys_56 on its own stack with the parent's callee-saved registers: function and argument
# travel in those, and its stack holds the return address in case the call leaves by `ret`. It realigns, so it does not
# matter whether that word was popped.
.text
.hidden libos_sys_56
.hidden libos_sys_60
.global __clone
.hidden __clone
.type __clone,@function
__clone:
	push %rbx
	push %r12
	sub $8,%rsp
	mov %rdi,%rbx
	mov %rcx,%r12
	and $-16,%rsi
	sub $16,%rsi
	lea 1f(%rip),%rax
	mov %rax,(%rsi)
	movq $0,8(%rsi)
	mov %edx,%edi
	mov %r8,%rdx
	mov 32(%rsp),%rcx
	mov %r9,%r8
	call libos_sys_56
1:	test %eax,%eax
	jnz 2f
	xor %ebp,%ebp
	and $-16,%rsp
	mov %r12,%rdi
	call *%rbx
	mov %eax,%edi
	call libos_sys_60
	ud2
2:	add $8,%rsp
	pop %r12
	pop %rbx
	ret
.size __clone,.-__clone
.section .note.GNU-stack,"",@progbits
