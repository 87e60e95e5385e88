// abort() ends with 128 + SIGABRT, even if SIGABRT is blocked or has a handler that returns.
//@ status 134
#include "test.h"
#include <signal.h>

static void handler(int s) { if (s == SIGABRT) write(1, "handler ran\n", 12); }

int main(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGABRT);
    signal(SIGABRT, handler);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
    printf("about to abort\n");
    abort();
}
