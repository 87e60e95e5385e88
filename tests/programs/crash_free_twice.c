// Freeing a block twice ends the program with SIGABRT instead of looping forever.
//@ status 134
//@ cflags -fno-builtin -Wno-use-after-free
#include "test.h"

int main(void)
{
    char *volatile p = malloc(100);
    printf("before\n");
    free(p);
    free(p);
    for (int i = 0; i < 100; i++) p = malloc(100);
    printf("survived\n");
    return 0;
}
