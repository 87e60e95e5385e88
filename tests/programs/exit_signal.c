// A program that kills itself with an uncaught signal ends with 128 + the signal.
//@ status 143
#include "test.h"
#include <signal.h>

int main(void)
{
    printf("going\n");
    SHOW(kill(getpid(), 0));
    kill(getpid(), SIGTERM);
    sleep_ms(5000);
    printf("still here\n");
    return 1;
}
