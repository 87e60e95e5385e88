/* Up to 128 bytes with moves that may overlap, all loads before the first store, so that memmove() comes here, too: most
 * copies are that short, and `rep` takes longer to start. */
.hidden libos_avx
.global memcpy
.type memcpy,@function
memcpy:
.global __memcpy_fwd
.hidden __memcpy_fwd
__memcpy_fwd:
	mov %rdi,%rax
	cmp $16,%rdx
	jb 3f
	cmp $128,%rdx
	ja 6f
	movups (%rsi),%xmm0
	movups -16(%rsi,%rdx),%xmm1
	cmp $32,%edx
	jbe 1f
	movups 16(%rsi),%xmm2
	movups -32(%rsi,%rdx),%xmm3
	cmp $64,%edx
	jbe 2f
	movups 32(%rsi),%xmm4
	movups 48(%rsi),%xmm5
	movups -48(%rsi,%rdx),%xmm6
	movups -64(%rsi,%rdx),%xmm7
	movups %xmm4,32(%rdi)
	movups %xmm5,48(%rdi)
	movups %xmm6,-48(%rdi,%rdx)
	movups %xmm7,-64(%rdi,%rdx)
2:	movups %xmm2,16(%rdi)
	movups %xmm3,-32(%rdi,%rdx)
1:	movups %xmm0,(%rdi)
	movups %xmm1,-16(%rdi,%rdx)
	ret
3:	cmp $8,%edx
	jb 4f
	mov (%rsi),%rcx
	mov -8(%rsi,%rdx),%rsi
	mov %rcx,(%rdi)
	mov %rsi,-8(%rdi,%rdx)
	ret
4:	cmp $4,%edx
	jb 5f
	mov (%rsi),%ecx
	mov -4(%rsi,%rdx),%esi
	mov %ecx,(%rdi)
	mov %esi,-4(%rdi,%rdx)
	ret
5:	test %edx,%edx
	jz 0f
	/* The first, the middle and the last byte are all of one, two or three. */
	mov %edx,%r9d
	shr $1,%r9d
	mov (%rsi),%cl
	mov (%rsi,%r9),%r8b
	mov -1(%rsi,%rdx),%sil
	mov %cl,(%rdi)
	mov %r8b,(%rdi,%r9)
	mov %sil,-1(%rdi,%rdx)
0:	ret
	/* With AVX, where the kernel says that there is AVX: aligned stores between the first 32 bytes and the last 128. */
6:	lea (%rdi,%rdx),%r9
	cmpb $0,libos_avx(%rip)
	je 9f
	vmovups (%rsi),%ymm4
	add $-128,%r9
	lea 32(%rdi),%rcx
	and $-32,%rcx
	sub %rdi,%rsi
	vmovups %ymm4,(%rdi)
	jmp 8f
7:	vmovups (%rcx,%rsi),%ymm0
	vmovups 32(%rcx,%rsi),%ymm1
	vmovups 64(%rcx,%rsi),%ymm2
	vmovups 96(%rcx,%rsi),%ymm3
	vmovaps %ymm0,(%rcx)
	vmovaps %ymm1,32(%rcx)
	vmovaps %ymm2,64(%rcx)
	vmovaps %ymm3,96(%rcx)
	sub $-128,%rcx
8:	cmp %r9,%rcx
	jb 7b
	vmovups (%r9,%rsi),%ymm0
	vmovups 32(%r9,%rsi),%ymm1
	vmovups 64(%r9,%rsi),%ymm2
	vmovups 96(%r9,%rsi),%ymm3
	vmovups %ymm0,(%r9)
	vmovups %ymm1,32(%r9)
	vmovups %ymm2,64(%r9)
	vmovups %ymm3,96(%r9)
	vzeroupper
	ret
	/* Words from an aligned place on, between the first 16 bytes and the last eight. */
9:	movups (%rsi),%xmm0
	mov -8(%rsi,%rdx),%r8
	lea 16(%rdi),%rcx
	and $-16,%rcx
	sub %rdi,%rcx
	movups %xmm0,(%rdi)
	add %rcx,%rdi
	add %rcx,%rsi
	sub %rcx,%rdx
	mov %rdx,%rcx
	shr $3,%rcx
	rep
	movsq
	mov %r8,-8(%r9)
	ret
