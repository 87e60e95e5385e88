// _exit() does not flush stdio and runs no handlers.
//@ status 9
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void never(void) { write(1, "a handler ran\n", 14); }

int main(void)
{
    atexit(never);
    setvbuf(stdout, 0, _IOFBF, 4096);
    printf("this stays in the buffer\n");
    if (write(1, "written\n", 8) != 8) return 1;
    _exit(9);
}
