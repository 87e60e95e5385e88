// epolls that watch epolls: each event on an inner one is an edge for the outer, whether the inner one was collected or not.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static long ctl(int ep, int op, int fd, uint32_t events)
{
    struct epoll_event e = { events, { .fd = fd } };
    return epoll_ctl(ep, op, fd, &e);
}
static int within(int ep, int ms)
{
    struct epoll_event e[8];
    return epoll_wait(ep, e, 8, ms);
}
static int ready(int ep) { return within(ep, 0); }
static int p[2];
static void put(void) { MUST(write(p[1], "a", 1)); }
static void drain(void) { char b[16]; MUST(read(p[0], b, sizeof b)); }

/* Rounds of one event each: what the outer and the inner epoll report, before and after bytes were read. */
static void rounds(const char *name, uint32_t out, uint32_t in, bool collect, bool take)
{
    int outer = (int)MUST(epoll_create1(0)), inner = (int)MUST(epoll_create1(0));
    MUST(pipe(p));
    MUST(ctl(inner, EPOLL_CTL_ADD, p[0], in));
    MUST(ctl(outer, EPOLL_CTL_ADD, inner, out));
    printf("%s:", name);
    for (int i = 0; i < 4; i++) {
        put();
        printf(" %d", ready(outer));
        printf("%d", ready(outer));
        if (collect) printf("/%d", ready(inner));
        if (take) drain();
        printf("%d", ready(outer));
    }
    printf("\n");
    close(p[0]);
    close(p[1]);
    close(inner);
    close(outer);
}

static void *waits(void *ep)
{
    struct epoll_event e;
    return (void *)(intptr_t)epoll_wait((int)(intptr_t)ep, &e, 1, 10000);
}

/* Two events on a descriptor of each kind without a read in between: two edges. */
static void edges(const char *name, int fd, void (*event)(int), int arg)
{
    int ep = (int)MUST(epoll_create1(0)), outer = (int)MUST(epoll_create1(0));
    MUST(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET));
    MUST(ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN | EPOLLET));
    printf("%s:", name);
    for (int i = 0; i < 3; i++) {
        event(arg);
        printf(" outer %d", within(outer, 5000));
        printf(" inner %d", ready(ep));
        printf("%d", ready(ep));
    }
    printf("\n");
    close(ep);
    close(outer);
}
static void bump(int fd) { MUST(eventfd_write(fd, 1)); }
static void byte(int fd) { MUST(write(fd, "x", 1)); }
static void raise_it(int sig) { raise(sig); }
static void expire(int fd)
{
    struct itimerspec t = { .it_value = { 0, 1 } };
    MUST(timerfd_settime(fd, 0, &t, 0));
}
static void make(int n)
{
    static int serial = 0;
    char name[32];
    snprintf(name, sizeof name, "f%d-%d", n, serial++);
    close((int)MUST(open(name, O_CREAT | O_WRONLY, 0600)));
}

int main(void)
{
    const uint32_t et = EPOLLIN | EPOLLET, one = EPOLLIN | EPOLLONESHOT;
    enter_scratch();
    section("rounds");
    static const struct { const char *name; bool collect, take; } ways[] = {
        { "taken", false, true }, { "collected and taken", true, true }, { "left", false, false }, { "collected and left", true, false },
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        section(ways[i].name);
        bool c = ways[i].collect, t = ways[i].take;
        rounds("edge around level", et, EPOLLIN, c, t);
        rounds("edge around edge", et, et, c, t);
        rounds("level around edge", EPOLLIN, et, c, t);
        rounds("level around level", EPOLLIN, EPOLLIN, c, t);
        rounds("one shot around level", one, EPOLLIN, c, t);
        rounds("edge around one shot", et, one, c, t);
        rounds("one shot edge around edge", one | EPOLLET, et, c, t);
    }

    section("deep");
    int ep[6], chain = 0;
    MUST(pipe(p));
    for (int i = 0; i < 6; i++) ep[i] = (int)MUST(epoll_create1(0));
    MUST(ctl(ep[0], EPOLL_CTL_ADD, p[0], EPOLLIN));
    for (int i = 1; i < 6 && ctl(ep[i], EPOLL_CTL_ADD, ep[i - 1], et) == 0; i++) chain = i;
    IS(chain >= 4);
    chain = 4;
    for (int i = 0; i < 3; i++) {
        put();
        SHOW(ready(ep[chain]));
        SHOW(ready(ep[chain]));
        drain();
    }
    SHOW(ctl(ep[0], EPOLL_CTL_ADD, ep[chain], EPOLLIN));
    SHOW(ctl(ep[1], EPOLL_CTL_ADD, ep[1], EPOLLIN));
    SHOW(ctl(ep[5], EPOLL_CTL_ADD, ep[0], EPOLLIN | EPOLLEXCLUSIVE));

    section("armed again");
    int outer = (int)MUST(epoll_create1(0)), inner = (int)MUST(epoll_create1(0));
    MUST(ctl(inner, EPOLL_CTL_ADD, p[0], EPOLLIN));
    MUST(ctl(outer, EPOLL_CTL_ADD, inner, one | EPOLLET));
    for (int i = 0; i < 3; i++) {
        put();
        SHOW(ready(outer));
        put();
        SHOW(ready(outer));
        MUST(ctl(outer, EPOLL_CTL_MOD, inner, one | EPOLLET));
        SHOW(ready(outer));
        drain();
        MUST(ctl(outer, EPOLL_CTL_MOD, inner, one | EPOLLET));
        SHOW(ready(outer));
    }
    MUST(ctl(outer, EPOLL_CTL_MOD, inner, et));
    put();
    SHOW(ready(outer));
    SHOW(ctl(inner, EPOLL_CTL_MOD, p[0], EPOLLIN));
    SHOW(ready(outer));
    SHOW(ctl(inner, EPOLL_CTL_DEL, p[0], 0));
    SHOW(ready(outer));
    SHOW(ctl(inner, EPOLL_CTL_ADD, p[0], EPOLLIN));
    SHOW(ready(outer));
    /* An event that the inner epoll does not watch for does not count. */
    MUST(ctl(inner, EPOLL_CTL_MOD, p[0], EPOLLPRI));
    put();
    SHOW(ready(outer));
    drain();

    section("a waiting thread");
    MUST(ctl(inner, EPOLL_CTL_MOD, p[0], EPOLLIN));
    for (int i = 0; i < 5; i++) {
        pthread_t t;
        void *n;
        MUST0(pthread_create(&t, 0, waits, (void *)(intptr_t)outer));
        sleep_ms(5);
        put();
        MUST0(pthread_join(t, &n));
        SHOW((long)(intptr_t)n);
        if (i & 1) drain();
    }

    section("every event is an edge");
    int fd = (int)MUST(eventfd(0, 0)), pair[2];
    edges("eventfd", fd, bump, fd);
    MUST(pipe(p));
    edges("pipe", p[0], byte, p[1]);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    edges("stream socket", pair[0], byte, pair[1]);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    edges("datagram socket", pair[0], byte, pair[1]);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
    edges("signalfd", (int)MUST(signalfd(-1, &set, 0)), raise_it, SIGRTMIN);
    fd = (int)MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    edges("timerfd", fd, expire, fd);
    fd = (int)MUST(inotify_init1(0));
    MUST(inotify_add_watch(fd, ".", IN_CREATE));
    edges("inotify", fd, make, 0);
    return done();
}
