// The stack cannot be executed.
//@ status 139
#include "test.h"

int main(void)
{
    volatile unsigned char code[16];
    code[0] = 0xc3; /* ret */
    void (*volatile f)(void) = (void (*)(void))(uintptr_t)code;
    printf("before\n");
    f();
    printf("executed\n");
    return 0;
}
