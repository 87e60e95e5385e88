// An echo server on port 7000 that prints the signals it receives and ends on SIGTERM; without a network it only waits
// for them.
//@ args once
#include "net.h"

static volatile sig_atomic_t hup, term;
static void on_hup(int s) { (void)s; hup = 1; }
static void on_term(int s) { (void)s; term = 1; }

int main(int argc, char **argv)
{
    struct sigaction h = { .sa_handler = on_hup }, t = { .sa_handler = on_term };
    sigaction(SIGHUP, &h, 0);
    sigaction(SIGTERM, &t, 0);
    sigaction(SIGINT, &t, 0);
    signal(SIGPIPE, SIG_IGN);
    sigset_t both, none;
    sigemptyset(&none);
    sigemptyset(&both);
    sigaddset(&both, SIGHUP), sigaddset(&both, SIGTERM), sigaddset(&both, SIGINT);
    sigprocmask(SIG_BLOCK, &both, 0);
    int l = -1, one = 1;
    if (argc < 2 || strcmp(argv[1], "once")) {
        struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7000) };
        l = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
        MUST(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
        MUST(bind(l, (void *)&any, sizeof any));
        MUST(listen(l, 50));
    } else {
        raise(SIGHUP);
        raise(SIGTERM);
    }
    printf("ready\n");
    while (!term) {
        struct pollfd f = { l, POLLIN, 0 };
        if (ppoll(&f, 1, 0, &none) == 1) {
            char buf[4096];
            int c = accept(l, 0, 0);
            ssize_t n;
            while (c >= 0 && (n = read(c, buf, sizeof buf)) > 0) write_all(c, buf, (size_t)n);
            close(c);
        }
        if (hup) printf("SIGHUP\n"), hup = 0;
    }
    printf("SIGTERM\n");
    return 0;
}
