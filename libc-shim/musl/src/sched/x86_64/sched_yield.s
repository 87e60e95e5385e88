# int sched_yield(void): never fails.
.text
.hidden libos_sys_24
.global sched_yield
.type sched_yield,@function
sched_yield:
	jmp libos_sys_24
.size sched_yield,.-sched_yield
.section .note.GNU-stack,"",@progbits
