/*
 * From the entry to musl. As a Linux process it runs before relocation: no stack protector, no calls outside this file
 * before relocate(), no data that holds an address.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#define HIDDEN __attribute__((__visibility__("hidden")))

int main();
__attribute__((__weak__)) void _init(void);
__attribute__((__weak__)) void _fini(void);
int __libc_start_main(int (*)(), int, char **, void (*)(void), void (*)(void), void (*)(void));

extern HIDDEN const char __image_start[];
extern HIDDEN const Elf64_Rela __rela_start[], __rela_end[];
extern HIDDEN const uint64_t __relr_start[], __relr_end[];
extern HIDDEN char __relro_start[], __relro_end[], __krelro_start[], __krelro_end[];
/* In the kernel's data, because its system call stubs check it. */
extern HIDDEN unsigned char libos_hosted;

HIDDEN _Noreturn void __unibody_libc_start(long *stack)
{
	__libc_start_main(main, (int)stack[0], (char **)(stack + 1), _init, _fini, 0);
	__builtin_unreachable();
}

/* The linked address of the image is a constant in the ELF header's own program header: the first PT_LOAD. */
static uintptr_t load_bias(void)
{
	const Elf64_Ehdr *e = (const void *)__image_start;
	const Elf64_Phdr *p = (const void *)(__image_start + e->e_phoff);

	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD)
			return (uintptr_t)__image_start - p[i].p_vaddr;
	__builtin_trap();
}

static void relocate(void)
{
	uintptr_t bias = load_bias();

	for (const Elf64_Rela *r = __rela_start; r < __rela_end; r++) {
		if (ELF64_R_TYPE(r->r_info) != R_X86_64_RELATIVE)
			__builtin_trap();
		*(uintptr_t *)(bias + r->r_offset) = bias + (uintptr_t)r->r_addend;
	}
	/* DT_RELR: an even word is an address, an odd word a bitmap of the 63 words that follow. */
	uintptr_t *slot = 0;
	for (const uint64_t *r = __relr_start; r < __relr_end; r++) {
		if (!(*r & 1)) {
			slot = (uintptr_t *)(bias + *r);
			*slot++ += bias;
			continue;
		}
		for (int i = 0; i < 63; i++)
			if (*r >> (i + 1) & 1)
				slot[i] += bias;
		slot += 63;
	}
}

/* Linux seals nothing in a static program. If this fails the pages stay writable, as everywhere else. */
static void seal(char *start, char *end)
{
	long result = 10; /* mprotect */

	if (start == end)
		return;
	__asm__ volatile("syscall" : "+a"(result) : "D"(start), "S"(end - start), "d"(1 /* PROT_READ */)
			 : "rcx", "r11", "memory");
}

HIDDEN _Noreturn void __unibody_hosted_start(long *stack)
{
	relocate();
	libos_hosted = 1;
	seal(__relro_start, __relro_end);
	seal(__krelro_start, __krelro_end);
	__unibody_libc_start(stack);
}
