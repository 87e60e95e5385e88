# int __set_thread_area(void *tp): arch_prctl(ARCH_SET_FS, tp)
.text
.hidden libos_sys_158
.global __set_thread_area
.hidden __set_thread_area
.type __set_thread_area,@function
__set_thread_area:
	mov %rdi,%rsi
	mov $0x1002,%edi
	jmp libos_sys_158
.size __set_thread_area,.-__set_thread_area
.section .note.GNU-stack,"",@progbits
