# pid_t vfork(void): always refused, so the shared stack needs no care.
.text
.hidden libos_sys_58
.hidden __syscall_ret
.global vfork
.type vfork,@function
vfork:
	sub $8,%rsp
	call libos_sys_58
	add $8,%rsp
	mov %rax,%rdi
	jmp __syscall_ret
.size vfork,.-vfork
.section .note.GNU-stack,"",@progbits
