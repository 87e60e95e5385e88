// Reading address zero ends with SIGSEGV.
//@ status 139
#include "test.h"

int main(void)
{
    volatile uintptr_t zero = 0;
    printf("before\n");
    return *(volatile int *)zero;
}
