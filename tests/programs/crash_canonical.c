// An address that no page table can hold ends with SIGSEGV.
//@ status 139
#include "test.h"

int main(void)
{
    printf("before\n");
    *(volatile int *)0x8000000000001000ul = 1;
    return 0;
}
