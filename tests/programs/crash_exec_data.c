// The data cannot be executed.
//@ status 139
#include "test.h"

static volatile unsigned char code[16] = { 1 };

int main(void)
{
    (void)code;
    code[0] = 0xc3; /* ret */
    void (*volatile f)(void) = (void (*)(void))(uintptr_t)code;
    printf("before\n");
    f();
    printf("executed\n");
    return 0;
}
