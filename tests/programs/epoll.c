// epoll: level, edge, one shot, nested, errors, removal by close, many descriptors.
//@ shows epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int p[2];
static void *late(void *arg) { (void)arg; sleep_ms(40); write(p[1], "x", 1); return 0; }

static int by_data(const void *a, const void *b)
{
    return ((const struct epoll_event *)a)->data.u32 > ((const struct epoll_event *)b)->data.u32 ? 1 : -1;
}

static void show(const char *name, int ep, int timeout)
{
    struct epoll_event ev[16];
    errno = 0;
    int n = epoll_wait(ep, ev, 16, timeout);
    printf("%s: %d", name, n);
    if (n < 0) printf(" %s", errname(errno));
    if (n > 1) qsort(ev, (size_t)n, sizeof *ev, by_data);
    for (int i = 0; i < n; i++) printf(" %u:%x", ev[i].data.u32, ev[i].events);
    printf("\n");
}

static long ctl(int ep, int op, int fd, uint32_t events, uint32_t data)
{
    struct epoll_event e = { events, { .u32 = data } };
    return epoll_ctl(ep, op, fd, &e);
}

int main(void)
{
    char buf[100];
    enter_scratch();
    MUST(pipe(p));
    int ep = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
    int file = (int)MUST(open("f", O_RDWR | O_CREAT, 0600));
    section("control");
    SHOW(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    SHOW(ctl(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
    SHOW(ctl(ep, EPOLL_CTL_MOD, p[1], EPOLLOUT, 2));
    SHOW(ctl(ep, EPOLL_CTL_DEL, p[1], 0, 0));
    SHOW(ctl(ep, EPOLL_CTL_ADD, file, EPOLLIN, 3));
    SHOW(ctl(ep, EPOLL_CTL_ADD, ep, EPOLLIN, 3));
    SHOW(ctl(ep, EPOLL_CTL_ADD, 99, EPOLLIN, 3));
    SHOW(ctl(p[0], EPOLL_CTL_ADD, p[1], EPOLLIN, 3));
    SHOW(ctl(ep, 77, p[0], EPOLLIN, 3));
    SHOW(epoll_create1(1));
    SHOW(epoll_create(0));
    struct epoll_event e;
    SHOW(epoll_wait(ep, &e, 0, 0));
    SHOW(epoll_wait(p[0], &e, 1, 0));
    SHOW(epoll_wait(99, &e, 1, 0));
    SHOW(epoll_wait(99, &e, 0, 0));
    SHOW(epoll_wait(99, &e, INT_MAX, 0));
    SHOW(epoll_wait(p[0], &e, 0, 0));
    SHOW(epoll_wait(p[0], (void *)-4096, 1, 0));
    SHOW(epoll_wait(99, (void *)-4096, 1, 0));
    SHOW(epoll_wait(ep, (void *)-4096, 0, 0));
    SHOW(epoll_wait(ep, (void *)-4096, 1, 0));
    /* What is not mapped matters only to events. */
    SHOW(epoll_wait(ep, (void *)8, 1, 0));
    SHOW(syscall(SYS_epoll_pwait, ep, NULL, 1, 1, NULL, 8));
    MUST(write(p[1], "x", 1));
    SHOW(epoll_wait(ep, (void *)8, 1, 0));
    SHOW(epoll_wait(ep, &e, 1, 0));
    MUST(read(p[0], &e, 1));
    SHOW(syscall(SYS_epoll_pwait, 99, &e, 0, 0, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait, 99, &e, 0, 0, &e, 7));
    SHOW(syscall(SYS_epoll_pwait, ep, &e, 0, 0, (void *)8, 8));
    SHOW(syscall(SYS_epoll_pwait, ep, &e, 1, 0, NULL, 7));
    struct timespec bad = { 0, -1 }, now = { 0, 0 };
    SHOW(syscall(SYS_epoll_pwait2, 99, &e, 0, &now, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, 99, &e, 0, &bad, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, 99, &e, 1, &bad, NULL, 8));
    SHOW(syscall(SYS_epoll_pwait2, 99, &e, 1, (void *)8, (void *)8, 7));
    SHOW(syscall(SYS_epoll_pwait2, 99, &e, 1, &bad, (void *)8, 7));
    SHOW(syscall(SYS_epoll_pwait2, ep, &e, 1, &now, NULL, 8));

    section("level");
    show("empty", ep, 0);
    MUST(write(p[1], "abc", 3));
    show("data", ep, 1000);
    show("still", ep, 1000);
    MUST(read(p[0], buf, 1));
    show("some left", ep, 0);
    MUST(read(p[0], buf, 10));
    show("none left", ep, 0);
    int64_t s = now_ns();
    show("timeout", ep, 50);
    IS(now_ns() - s >= 49000000);
    pthread_t t;
    MUST0(pthread_create(&t, 0, late, 0));
    show("woken", ep, 10000);
    pthread_join(t, 0);
    MUST(read(p[0], buf, 10));

    section("edge");
    SHOW(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 4));
    MUST(write(p[1], "a", 1));
    show("first", ep, 0);
    show("no new edge", ep, 0);
    MUST(write(p[1], "b", 1));
    show("new data", ep, 0);
    MUST(read(p[0], buf, 1));
    show("partial read", ep, 0);
    SHOW(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 5));
    show("armed again by modify", ep, 0);
    MUST(read(p[0], buf, 10));

    section("one shot");
    SHOW(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 6));
    MUST(write(p[1], "a", 1));
    show("once", ep, 0);
    MUST(write(p[1], "b", 1));
    show("not again", ep, 0);
    SHOW(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 7));
    show("armed", ep, 0);
    MUST(read(p[0], buf, 10));

    section("hang up");
    SHOW(ctl(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 8));
    close(p[1]);
    show("writer gone", ep, 0);
    close(p[0]);
    show("closed is removed", ep, 0);

    section("sockets and duplicates");
    int pair[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    SHOW(ctl(ep, EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP, 9));
    show("writable", ep, 0);
    MUST(shutdown(pair[1], SHUT_WR));
    show("peer half closed", ep, 0);
    int copy = dup(pair[0]);
    SHOW(ctl(ep, EPOLL_CTL_ADD, copy, EPOLLOUT, 10));
    show("both", ep, 0);
    SHOW(ctl(ep, EPOLL_CTL_DEL, pair[0], 0, 0));
    show("copy", ep, 0);
    close(copy);
    close(pair[0]);
    show("gone", ep, 0);

    section("nested");
    int inner = (int)MUST(epoll_create1(0)), ev = (int)MUST(eventfd(0, EFD_NONBLOCK));
    SHOW(ctl(inner, EPOLL_CTL_ADD, ev, EPOLLIN, 11));
    SHOW(ctl(ep, EPOLL_CTL_ADD, inner, EPOLLIN, 12));
    show("quiet", ep, 0);
    MUST(eventfd_write(ev, 1));
    show("outer", ep, 1000);
    show("inner", inner, 1000);
    SHOW(ctl(inner, EPOLL_CTL_ADD, ep, EPOLLIN, 13));
    eventfd_t v;
    MUST(eventfd_read(ev, &v));
    show("quiet again", ep, 0);

    section("many");
    static int fds[100];
    for (int i = 0; i < 100; i++) {
        fds[i] = (int)MUST(eventfd(i % 10 == 0, EFD_NONBLOCK));
        MUST(ctl(ep, EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint32_t)(1000 + i)));
    }
    show("ten of a hundred", ep, 0);
    struct epoll_event few[4];
    int seen[100] = { 0 }, distinct = 0;
    for (int round = 0; round < 4; round++) {
        int n = epoll_wait(ep, few, 4, 0);
        for (int i = 0; i < n; i++) distinct += !seen[few[i].data.u32 - 1000]++;
    }
    IS(distinct == 10); /* a short event list rotates and starves none */
    return done();
}
