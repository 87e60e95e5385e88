// Relocated constants are read-only after start.
//@ status 139
#include "test.h"

static const char *const table[] = { "one", "two" };

int main(void)
{
    printf("before\n");
    const char *volatile *slot = (const char *volatile *)(uintptr_t)&table[1];
    *slot = "three";
    printf("written\n");
    return 0;
}
