// Sleeps until a signal that it does not catch ends it; started with an argument it sends that signal itself.
//@ args now
//@ status 138
#include "test.h"
#include <signal.h>

int main(int argc, char **argv)
{
    (void)argv;
    printf("sleeping\n");
    if (argc > 1) raise(SIGUSR1);
    for (;;) pause();
}
