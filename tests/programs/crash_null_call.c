// Calling address zero ends with SIGSEGV.
//@ status 139
#include "test.h"

int main(void)
{
    void (*volatile f)(void) = 0;
    printf("before\n");
    f();
    return 0;
}
