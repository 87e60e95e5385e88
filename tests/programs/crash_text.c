// Program text cannot be written.
//@ status 139
#include "test.h"

int main(void)
{
    printf("before\n");
    *(volatile char *)(uintptr_t)main = 0x90;
    printf("written\n");
    return 0;
}
