// A fault inside a fault handler does not loop: it ends the program.
//@ status 139
#include "test.h"
#include <signal.h>

static volatile uintptr_t bad = 8;
static void handler(int s) { (void)s; *(volatile int *)bad = 1; }

int main(void)
{
    signal(SIGSEGV, handler);
    printf("before\n");
    *(volatile int *)bad = 1;
    return 0;
}
