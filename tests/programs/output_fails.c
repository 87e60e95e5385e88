// Standard output that cannot be written to (tests/harness/src/output.rs); reports on standard error. Without arguments
// it behaves like any other program.
#include "test.h"
#include <poll.h>
#include <signal.h>

static void tell(const char *what, long r)
{
    fprintf(stderr, "%s: %s\n", what, r < 0 ? errname(errno) : "works");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (!*mode) {
        puts("delivered");
        return 0;
    }
    if (!strcmp(mode, "once")) {
        tell("write", write(1, "x\n", 2));
        tell("write of nothing", write(1, "", 0) < 0 && errno != ENOSPC ? -1 : 0);
        tell("puts", puts("kept in the buffer") < 0 ? -1 : 0);
        tell("fflush", fflush(stdout));
        puts("told by close");
        tell("fclose", fclose(stdout));
        return 3;
    }
    if (strcmp(mode, "killed")) signal(SIGPIPE, SIG_IGN);
    if (!strcmp(mode, "poll")) {
        struct pollfd p = { 1, 0, 0 };
        tell("poll", poll(&p, 1, 30000) == 1 && p.revents == POLLERR ? 0 : -1);
        tell("write", write(1, "x", 1));
        return 4;
    }
    long r;
    while ((r = write(1, "output\n", 7)) > 0) { }
    tell("write", r);
    return 5;
}
