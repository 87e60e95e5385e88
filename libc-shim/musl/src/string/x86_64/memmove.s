/* Backwards with vector moves: the string instructions take a byte at a time that way. */
.hidden __memcpy_fwd
.global memmove
.type memmove,@function
memmove:
	cmp $128,%rdx
	jbe __memcpy_fwd
	mov %rdi,%rax
	sub %rsi,%rax
	cmp %rdx,%rax
	jb 1f
	mov %rsi,%rcx
	sub %rdi,%rcx
	cmp %rdx,%rcx
	jae __memcpy_fwd
	mov %rdi,%rax
	mov %rdx,%rcx
	shr $3,%rcx
	rep
	movsq
	mov %edx,%ecx
	and $7,%ecx
	rep
	movsb
	ret
	/* The target begins inside the source. The first 64 bytes are written last. */
1:	mov %rdi,%rax
	movups (%rsi),%xmm4
	movups 16(%rsi),%xmm5
	movups 32(%rsi),%xmm6
	movups 48(%rsi),%xmm7
2:	movups -16(%rsi,%rdx),%xmm0
	movups -32(%rsi,%rdx),%xmm1
	movups -48(%rsi,%rdx),%xmm2
	movups -64(%rsi,%rdx),%xmm3
	movups %xmm0,-16(%rdi,%rdx)
	movups %xmm1,-32(%rdi,%rdx)
	movups %xmm2,-48(%rdi,%rdx)
	movups %xmm3,-64(%rdi,%rdx)
	sub $64,%rdx
	cmp $64,%rdx
	ja 2b
	movups %xmm4,(%rdi)
	movups %xmm5,16(%rdi)
	movups %xmm6,32(%rdi)
	movups %xmm7,48(%rdi)
	ret
