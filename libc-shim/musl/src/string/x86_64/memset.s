/* Stores that may overlap up to 128 bytes, and above that AVX's in a loop, where the kernel says that there is AVX: most
 * of what is cleared is a KiB or two, and `rep` takes longer to start than that takes. */
.hidden libos_avx
.global memset
.type memset,@function
memset:
	mov %rdi,%rax
	movzbl %sil,%ecx
	mov $0x101010101010101,%r8
	imul %r8,%rcx
	cmp $16,%rdx
	jb 2f
	movq %rcx,%xmm0
	punpcklqdq %xmm0,%xmm0
	cmp $128,%rdx
	ja 5f
	movups %xmm0,(%rdi)
	movups %xmm0,-16(%rdi,%rdx)
	cmp $32,%edx
	jbe 1f
	movups %xmm0,16(%rdi)
	movups %xmm0,-32(%rdi,%rdx)
	cmp $64,%edx
	jbe 1f
	movups %xmm0,32(%rdi)
	movups %xmm0,48(%rdi)
	movups %xmm0,-48(%rdi,%rdx)
	movups %xmm0,-64(%rdi,%rdx)
1:	ret
2:	cmp $8,%edx
	jb 3f
	mov %rcx,(%rdi)
	mov %rcx,-8(%rdi,%rdx)
	ret
3:	cmp $4,%edx
	jb 4f
	mov %ecx,(%rdi)
	mov %ecx,-4(%rdi,%rdx)
	ret
4:	test %edx,%edx
	jz 1b
	/* The first, the middle and the last byte are all of one, two or three. */
	mov %edx,%r9d
	shr $1,%r9d
	mov %cl,(%rdi)
	mov %cl,(%rdi,%r9)
	mov %cl,-1(%rdi,%rdx)
	ret
	/* Aligned ones between the first and the last. */
5:	lea (%rdi,%rdx),%r9
	cmpb $0,libos_avx(%rip)
	je 8f
	vinsertf128 $1,%xmm0,%ymm0,%ymm0
	vmovups %ymm0,(%rdi)
	add $32,%rdi
	and $-32,%rdi
	add $-128,%r9
	/* Before what lies between, as musl's does: pages that are written one after the other bring more with them. */
	vmovups %ymm0,(%r9)
	vmovups %ymm0,32(%r9)
	vmovups %ymm0,64(%r9)
	vmovups %ymm0,96(%r9)
	jmp 7f
6:	vmovaps %ymm0,(%rdi)
	vmovaps %ymm0,32(%rdi)
	vmovaps %ymm0,64(%rdi)
	vmovaps %ymm0,96(%rdi)
	sub $-128,%rdi
7:	cmp %r9,%rdi
	jb 6b
	vzeroupper
	ret
8:	movups %xmm0,(%rdi)
	movups %xmm0,-16(%r9)
	add $16,%rdi
	and $-16,%rdi
	sub %rdi,%r9
	xchg %rax,%rcx
	xchg %r9,%rcx
	shr $3,%rcx
	rep
	stosq
	mov %r9,%rax
	ret
.section .note.GNU-stack,"",@progbits
