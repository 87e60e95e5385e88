// A loader that does what Firecracker did before it supported PVH: it loads an image's segments and enters it at
// e_entry with the Linux 64-bit boot protocol (Documentation/arch/x86/boot.rst). It is itself started via PVH, with the
// image as its initrd: qemu-system-x86_64 -kernel linux64 -initrd IMAGE -append "ARGUMENTS".
#include <elf.h>
#include <stdint.h>

struct start_info {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modlist, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};
struct module { uint64_t start, size, cmdline, reserved; };
struct memory { uint64_t start, size; uint32_t type, reserved; };

// Linked at 64 MiB, out of the way of the image; paging as the protocol requires, identity-mapped, for the first GiB
// only.
__asm__(
    ".section .note.Xen,\"a\",@note\n .long 4, 4, 18\n .asciz \"Xen\"\n .long start32\n"
    ".text\n .code32\n .globl start32\n start32: cli\n mov $stack_end, %esp\n mov %ebx, %edi\n"
    " mov $pd, %eax\n mov $0x83, %ecx\n"
    "1: mov %ecx, (%eax)\n add $8, %eax\n add $0x200000, %ecx\n cmp $0x40000083, %ecx\n jb 1b\n"
    " movl $pd + 3, pdpt\n movl $pdpt + 3, pml4\n mov $pml4, %eax\n mov %eax, %cr3\n mov $0x20, %eax\n mov %eax, %cr4\n"
    " mov $0xc0000080, %ecx\n rdmsr\n or $0x100, %eax\n wrmsr\n mov $0x80000011, %eax\n mov %eax, %cr0\n"
    " lgdt gdt_pointer\n ljmp $0x10, $start64\n"
    ".code64\n start64: mov $0x18, %eax\n mov %eax, %ds\n mov %eax, %es\n mov %eax, %ss\n mov %edi, %edi\n call load\n ud2\n"
    ".balign 8\n gdt: .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
    "gdt_pointer: .short 31\n .long gdt\n"
    ".bss\n .balign 4096\n pml4: .skip 4096\n pdpt: .skip 4096\n pd: .skip 4096\n .skip 16384\n stack_end:\n.text\n");

static uint8_t zero_page[4096] __attribute__((aligned(4096)));

static void put(int offset, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) zero_page[offset + i] = (uint8_t)(value >> (8 * i));
}

__attribute__((used)) void load(struct start_info *info)
{
    const struct module *image = (const void *)info->modlist;
    const uint8_t *file = (const void *)image->start;
    const Elf64_Ehdr *elf = (const void *)file;
    const Elf64_Phdr *segment = (const void *)(file + elf->e_phoff);
    for (int i = 0; i < elf->e_phnum; i++) {
        if (segment[i].p_type != PT_LOAD) continue;
        volatile uint8_t *to = (uint8_t *)segment[i].p_paddr;
        for (uint64_t k = 0; k < segment[i].p_memsz; k++) to[k] = k < segment[i].p_filesz ? file[segment[i].p_offset + k] : 0;
    }
    const struct memory *map = (const void *)info->memmap;
    for (uint32_t i = 0; i < info->memmap_entries && i < 128; i++) {
        put(0x2d0 + 20 * (int)i, map[i].start, 8);
        put(0x2d8 + 20 * (int)i, map[i].size, 8);
        put(0x2e0 + 20 * (int)i, map[i].type, 4);
    }
    put(0x1e8, info->memmap_entries, 1);
    put(0x228, info->cmdline, 4);
    put(0x70, info->rsdp, 8);
    __asm__ volatile("cli; jmp *%0" ::"r"(elf->e_entry), "S"(zero_page) : "memory");
    __builtin_unreachable();
}
