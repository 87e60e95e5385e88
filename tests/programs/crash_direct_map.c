// Where kernels used to map all memory writable, at a fixed address, a store to the image's code faults.
//@ status 139
#include "test.h"

extern const char __image_start[];

int main(void)
{
    /* The image is linked at 2 MiB and also loaded there in physical memory. */
    uintptr_t linked = (uintptr_t)main - (uintptr_t)__image_start + 0x200000;
    printf("before\n");
    *(volatile char *)(0xffff800000000000 + linked) = 0;
    printf("survived\n");
    return 0;
}
