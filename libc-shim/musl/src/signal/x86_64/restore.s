# Where signal handlers return to: rt_sigreturn with rsp at the frame, so this must not be a call.
.text
.hidden libos_rt_sigreturn
.global __restore_rt
.hidden __restore_rt
.type __restore_rt,@function
__restore_rt:
	mov $15,%eax
	jmp libos_rt_sigreturn
.size __restore_rt,.-__restore_rt
.section .note.GNU-stack,"",@progbits
