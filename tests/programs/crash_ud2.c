// An invalid instruction ends with SIGILL.
//@ status 132
#include "test.h"

int main(void)
{
    printf("before\n");
    __asm__ volatile("ud2");
    printf("after\n");
    return 0;
}
