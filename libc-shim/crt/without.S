/* Takes the place of a part of the kernel that an image does without (libos/src/parts.rs): it is not there. */
	.section .text,"ax",@progbits
	.globl PART
	.hidden PART
	.type PART,@function
PART:
	xor %eax,%eax
	ret
	.size PART,.-PART
	.section .note.GNU-stack,"",@progbits
