// The last byte of page zero is not mapped either.
//@ status 139
#include "test.h"

int main(void)
{
    volatile uintptr_t last = 4095;
    printf("before\n");
    *(volatile char *)last = 1;
    return 0;
}
