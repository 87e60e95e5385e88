// A smashed stack canary ends the program with SIGABRT.
//@ status 134
//@ cflags -fstack-protector-all -O1
#include "test.h"

__attribute__((noinline)) static void smash(volatile char *p, int n)
{
    for (int i = 0; i < n; i++) p[i] = (char)0x41;
}

__attribute__((noinline)) static int victim(int n)
{
    volatile char buf[16];
    smash(buf, n);
    return buf[3];
}

int main(void)
{
    volatile int n = 40;
    printf("before\n");
    victim(n);
    printf("survived\n");
    return 0;
}
