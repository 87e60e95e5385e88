// A stack that overflows ends with SIGSEGV.
//@ status 139
#include "test.h"

__attribute__((noinline)) static int recurse(int n)
{
    volatile char fill[1000];
    fill[n % 1000] = (char)n;
    return n > 100000000 ? 0 : recurse(n + 1) + fill[0];
}

int main(void)
{
    printf("before\n");
    return recurse(0);
}
