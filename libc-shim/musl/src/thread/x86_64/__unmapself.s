# void __unmapself(void *base, size_t size): a thread cannot return to a stack that it has unmapped, so unmap and exit
# are one call.
.text
.hidden libos_sys_unmapself
.global __unmapself
.type __unmapself,@function
__unmapself:
	jmp libos_sys_unmapself
.size __unmapself,.-__unmapself
.section .note.GNU-stack,"",@progbits
