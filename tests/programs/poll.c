// poll, ppoll, select and pselect over pipes, files, sockets and closed descriptors.
//@ shows poll select pselect6 ppoll
//@ smp 2
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/socket.h>

static int p[2], pair[2];
static void *late(void *arg) { (void)arg; sleep_ms(40); write(p[1], "x", 1); return 0; }
static void handler(int s) { (void)s; }

static void show(const char *name, struct pollfd *f, int n, int timeout)
{
    errno = 0;
    int r = poll(f, (nfds_t)n, timeout);
    printf("%s: %d", name, r);
    if (r < 0) printf(" %s", errname(errno));
    for (int i = 0; i < n; i++) printf(" %x", f[i].revents);
    printf("\n");
}

int main(void)
{
    char c;
    enter_scratch();
    MUST(pipe(p));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int file = (int)MUST(open("f", O_RDWR | O_CREAT, 0600));
    struct pollfd f[4] = { { p[0], POLLIN, 0 }, { p[1], POLLOUT, 0 }, { file, POLLIN | POLLOUT, 0 }, { -1, POLLIN, 99 } };
    show("empty pipe", f, 1, 0);
    show("all", f, 4, 0);
    int64_t s = now_ns();
    show("timeout", f, 1, 50);
    IS(now_ns() - s >= 50000000 && now_ns() - s < 3000000000);
    MUST(write(p[1], "x", 1));
    show("full pipe", f, 1, -1);
    MUST(read(p[0], &c, 1));
    pthread_t t;
    MUST0(pthread_create(&t, 0, late, 0));
    show("woken", f, 1, 10000);
    pthread_join(t, 0);
    MUST(read(p[0], &c, 1));
    f[1].fd = 77;
    show("bad descriptor", f, 2, 1000);
    f[1].fd = p[1];
    f[1].events = 0;
    close(p[0]);
    f[0].fd = -7;
    show("reader gone", f, 2, 1000);
    MUST(pipe(p));
    close(p[1]);
    f[0].fd = p[0];
    show("writer gone", f, 1, 1000);

    section("sockets");
    struct pollfd g[2] = { { pair[0], POLLIN | POLLOUT | POLLRDHUP, 0 }, { pair[1], POLLIN | POLLOUT, 0 } };
    show("idle", g, 2, 0);
    MUST(write(pair[1], "y", 1));
    show("data", g, 2, 0);
    MUST(shutdown(pair[1], SHUT_WR));
    show("half closed", g, 2, 0);
    close(pair[1]);
    show("closed", g, 1, 0);
    show("none", 0, 0, 10);

    section("ppoll");
    struct timespec ts = { 0, 20000000 };
    MUST(pipe(p));
    struct pollfd h = { p[0], POLLIN, 0 };
    SHOW(ppoll(&h, 1, &ts, 0));
    ts.tv_nsec = -1;
    SHOW(ppoll(&h, 1, &ts, 0));
    signal(SIGALRM, handler);
    sigset_t none, alarm_only;
    sigemptyset(&none);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_only, 0);
    raise(SIGALRM);
    ts = (struct timespec){ 5, 0 };
    SHOW(ppoll(&h, 1, &ts, &none));

    section("select");
    fd_set r, w;
    FD_ZERO(&r); FD_ZERO(&w);
    FD_SET(p[0], &r), FD_SET(p[1], &w);
    struct timeval tv = { 1, 0 };
    SHOW(select(p[1] + 1, &r, &w, 0, &tv));
    SHOW(FD_ISSET(p[0], &r) != 0);
    SHOW(FD_ISSET(p[1], &w) != 0);
    FD_ZERO(&r); FD_SET(p[0], &r);
    tv = (struct timeval){ 0, 30000 };
    SHOW(select(p[0] + 1, &r, 0, 0, &tv));
    SHOW(FD_ISSET(p[0], &r) != 0);
    // Below 64: Linux checks no further than its descriptor table, which has 64 entries unless an ancestor opened more.
    close(60);
    FD_ZERO(&r); FD_SET(60, &r);
    tv = (struct timeval){ 0, 0 };
    SHOW(select(61, &r, 0, 0, &tv));
    SHOW(select(-1, 0, 0, 0, &tv));
    SHOW(select(0, 0, 0, 0, &tv));
    MUST(dup2(p[0], 250));
    MUST(write(p[1], "z", 1));
    FD_ZERO(&r); FD_SET(250, &r);
    SHOW(select(251, &r, 0, 0, 0));
    SHOW(FD_ISSET(250, &r) != 0);
    ts = (struct timespec){ 0, 0 };
    FD_ZERO(&r);
    SHOW(pselect(1, &r, 0, 0, &ts, 0));
    return done();
}
