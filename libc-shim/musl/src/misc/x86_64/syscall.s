# long syscall(long n, ...): the number is only known at run time, so this links the whole table. The arguments move one
# place down, and the number goes where the kernel wants it.
.text
.hidden libos_syscall_dispatch
.hidden __syscall_ret
.global syscall
.type syscall,@function
syscall:
	mov %rdi,%rax
	mov %rsi,%rdi
	mov %rdx,%rsi
	mov %rcx,%rdx
	mov %r8,%rcx
	mov %r9,%r8
	mov 8(%rsp),%r9
	sub $8,%rsp
	call libos_syscall_dispatch
	add $8,%rsp
	cmp $-4096,%rax
	ja 1f
	ret
1:	mov %rax,%rdi
	jmp __syscall_ret
.size syscall,.-syscall
.section .note.GNU-stack,"",@progbits
