// exit() from a nested call: handlers run in reverse order, then destructors, stdio is flushed, the status is truncated
// to eight bits.
//@ status 8
#include <stdio.h>
#include <stdlib.h>

static void first(void) { printf("registered first\n"); }
static void second(void) { printf("registered second\n"); }
__attribute__((constructor(200))) static void early(void) { printf("constructor 200\n"); }
__attribute__((constructor(300))) static void late(void) { printf("constructor 300\n"); }
__attribute__((destructor)) static void after(void) { printf("destructor, unflushed until the very end"); }

static int compare(const void *a, const void *b)
{
    (void)a, (void)b;
    exit(256 + 8);
}

int main(void)
{
    setvbuf(stdout, 0, _IOFBF, 4096);
    atexit(first);
    atexit(second);
    int numbers[3] = { 3, 1, 2 };
    qsort(numbers, 3, sizeof *numbers, compare);
    return 1;
}
