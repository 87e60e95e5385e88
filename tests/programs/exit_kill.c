// SIGKILL cannot be caught, blocked or ignored.
//@ status 137
#include "test.h"
#include <signal.h>

static void handler(int s) { (void)s; }

int main(void)
{
    sigset_t set;
    sigfillset(&set);
    SHOW(signal(SIGKILL, handler) == SIG_ERR ? -1 : 0);
    SHOW(signal(SIGSTOP, SIG_IGN) == SIG_ERR ? -1 : 0);
    SHOW(sigprocmask(SIG_BLOCK, &set, 0));
    raise(SIGKILL);
    printf("still here\n");
    return 1;
}
