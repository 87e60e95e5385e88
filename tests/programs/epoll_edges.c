// Edges that epoll sees: after each step on pipes, AF_UNIX, UDP and TCP sockets, what EPOLLET reports for both ends.
#include "net.h"
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/un.h>

static char buf[70000];
static int ep;
static int ends[4];
static int wait_ms;

static void watch(int n, int fd)
{
    struct epoll_event e = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, { .u32 = (uint32_t)n } };
    ends[n] = fd;
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
}

static int by_data(const void *a, const void *b)
{
    return ((const struct epoll_event *)a)->data.u32 > ((const struct epoll_event *)b)->data.u32 ? 1 : -1;
}

/* What was reported since the last call. Over the network some of it comes a moment later, so it is accumulated. */
static void edges(const char *what, long result)
{
    struct epoll_event ev[16];
    uint32_t all[4] = { 0 };
    int e = errno, n;
    if (result == -1) printf("%s: -1 %s:", what, errname(e));
    else printf("%s: %ld:", what, result);
    do {
        n = epoll_wait(ep, ev, 16, wait_ms);
        if (n > 1) qsort(ev, (size_t)n, sizeof *ev, by_data);
        for (int i = 0; i < n; i++) all[ev[i].data.u32] |= ev[i].events;
    } while (n > 0 && wait_ms);
    for (int i = 0; i < 4; i++)
        if (all[i]) printf(" %d:%x", i, all[i]);
    printf("\n");
}
#define EDGES(expr) (errno = 0, edges(#expr, (long)(expr)))

static void begin(const char *name, int a, int b)
{
    printf("-- %s\n", name);
    ep = (int)MUST(epoll_create1(0));
    watch(0, a), watch(1, b);
    edges("begin", 0);
}

static void end(void)
{
    close(ends[0]);
    edges("close 0", 0);
    close(ends[1]), close(ep);
}

static long put(size_t n) { return send(ends[0], buf, n, MSG_DONTWAIT | MSG_NOSIGNAL); }
static long get(size_t n) { return recv(ends[1], buf, n, MSG_DONTWAIT); }
static long back(size_t n) { return send(ends[1], buf, n, MSG_DONTWAIT | MSG_NOSIGNAL); }

static long fill(size_t n)
{
    while (put(n) > 0) {}
    return errno == EAGAIN ? 0 : -1;
}

static long drain(void)
{
    while (get(sizeof buf) > 0) {}
    return errno == EAGAIN ? 0 : -1;
}

static long wput(size_t n) { return write(ends[1], buf, n); }
static long rget(size_t n) { return read(ends[0], buf, n); }

static void pipes(void)
{
    int p[2];
    MUST(pipe2(p, O_NONBLOCK));
    begin("pipe", p[0], p[1]);
    EDGES(wput(1));
    EDGES(wput(1));
    EDGES(rget(1));
    EDGES(rget(1));
    EDGES(rget(1));
    EDGES(wput(4096));
    EDGES(wput(4096));
    EDGES(rget(4096));
    EDGES(rget(4000));
    EDGES(rget(96));
    EDGES(wput(65536));
    EDGES(wput(1));
    EDGES(rget(1));
    EDGES(rget(4095));
    EDGES(rget(1));
    EDGES(rget(4096));
    EDGES(wput(65536));
    EDGES(rget(65536));
    EDGES(rget(1));
    EDGES(wput(65536));
    EDGES(rget(8192));
    EDGES(rget(65536));
    EDGES(wput(0));
    EDGES(rget(0));
    EDGES(fcntl(p[0], F_SETPIPE_SZ, 4096));
    EDGES(wput(4096));
    EDGES(fcntl(p[0], F_SETPIPE_SZ, 8192));
    EDGES(rget(100));
    EDGES(wput(100));
    end();
    MUST(pipe2(p, O_NONBLOCK));
    begin("pipe, its writer goes", p[1], p[0]);
    MUST(write(p[1], "x", 1));
    end();
    MUST(pipe2(p, O_NONBLOCK));
    int q[2];
    MUST(pipe2(q, O_NONBLOCK));
    begin("splice and tee", p[0], p[1]);
    watch(2, q[0]), watch(3, q[1]);
    edges("begin", 0);
    EDGES(wput(100));
    EDGES(tee(p[0], q[1], 50, 0));
    EDGES(tee(p[0], q[1], 50, 0));
    EDGES(read(q[0], buf, 1000));
    EDGES(splice(p[0], 0, q[1], 0, 50, 0));
    EDGES(splice(p[0], 0, q[1], 0, 50, 0));
    EDGES(splice(p[0], 0, q[1], 0, 50, 0));
    EDGES(read(q[0], buf, 1000));
    EDGES(wput(65536));
    EDGES(splice(p[0], 0, q[1], 0, 4096, 0));
    EDGES(splice(p[0], 0, q[1], 0, 65536, 0));
    EDGES(read(q[0], buf, 65536));
    end();
    close(q[0]), close(q[1]);
    int e = eventfd(0, EFD_NONBLOCK), f = eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE);
    eventfd_t v;
    begin("eventfd", e, f);
    EDGES(eventfd_write(e, 1));
    EDGES(eventfd_write(e, 1));
    EDGES(eventfd_read(e, &v));
    EDGES(eventfd_read(e, &v));
    EDGES(eventfd_write(e, 0));
    EDGES(eventfd_write(e, -2ULL));
    EDGES(eventfd_write(e, 1));
    EDGES(eventfd_read(e, &v));
    EDGES(eventfd_read(f, &v));
    EDGES(eventfd_read(f, &v));
    EDGES(eventfd_read(f, &v));
    EDGES(eventfd_read(f, &v));
    close(e), close(f), close(ep);
}

static void local(int type, const char *name)
{
    int p[2];
    MUST(socketpair(AF_UNIX, type, 0, p));
    begin(name, p[0], p[1]);
    EDGES(put(1));
    EDGES(put(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(put(100));
    EDGES(recv(p[1], buf, 10, MSG_PEEK));
    EDGES(get(10));
    EDGES(get(90));
    EDGES(put(0));
    EDGES(get(10));
    EDGES(back(5));
    EDGES(put(5));
    EDGES(put(30000));
    EDGES(get(5));
    EDGES(get(10000));
    EDGES(get(30000));
    EDGES(fill(10000));
    EDGES(put(10000));
    EDGES(get(1));
    EDGES(get(10000));
    EDGES(get(10000));
    EDGES(drain());
    EDGES(put(10));
    EDGES(shutdown(p[0], SHUT_RD));
    EDGES(shutdown(p[1], SHUT_RD));
    EDGES(get(100));
    EDGES(put(1));
    EDGES(shutdown(p[0], SHUT_WR));
    EDGES(shutdown(p[0], SHUT_WR));
    end();
    MUST(socketpair(AF_UNIX, type, 0, p));
    begin("  closed", p[0], p[1]);
    MUST(send(p[0], "x", 1, 0));
    end();
    MUST(socketpair(AF_UNIX, type, 0, p));
    begin("  closed with something unread", p[0], p[1]);
    MUST(send(p[1], "x", 1, 0));
    end();
}

static struct sockaddr_un named(const char *name, socklen_t *n)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    strcpy(a.sun_path, name);
    *n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
    return a;
}

static void names(void)
{
    socklen_t n;
    struct sockaddr_un r = named("r", &n);
    int a = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)), b = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    MUST(bind(b, (struct sockaddr *)&r, n));
    begin("datagrams by name", a, b);
    EDGES(connect(a, (struct sockaddr *)&r, n));
    EDGES(put(1));
    EDGES(get(1));
    EDGES(fill(1));
    EDGES(put(1));
    EDGES(get(1));
    EDGES(put(1));
    EDGES(put(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(drain());
    EDGES(sendto(a, buf, 1, 0, (struct sockaddr *)&r, n));
    int c = (int)MUST(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    watch(2, c);
    edges("a third", 0);
    while (sendto(c, buf, 1, 0, (struct sockaddr *)&r, n) == 1) {}
    edges("full", 0);
    EDGES(drain());
    EDGES(fill(1));
    close(b);
    edges("the receiver is closed", 0);
    EDGES(put(1));
    EDGES(put(1));
    close(a), close(c), close(ep), unlink("r");

    a = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)), b = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    MUST(bind(b, (struct sockaddr *)&r, n));
    begin("a listener", a, b);
    EDGES(listen(b, 1));
    EDGES(connect(a, (struct sockaddr *)&r, n));
    c = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    watch(2, c);
    edges("a second", 0);
    EDGES(connect(c, (struct sockaddr *)&r, n));
    int d = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    watch(3, d);
    edges("a third", 0);
    EDGES(connect(d, (struct sockaddr *)&r, n));
    int s = accept(b, 0, 0);
    edges("accepted", 0);
    EDGES(send(s, "x", 1, 0));
    EDGES(connect(d, (struct sockaddr *)&r, n));
    close(s);
    edges("closed", 0);
    close(b);
    edges("the listener is closed", 0);
    close(a), close(c), close(d), close(ep), unlink("r");
}

static void udp(int family)
{
    address x = loopback(family, 0), y = x;
    socklen_t n = sizeof x;
    int a = (int)MUST(socket(family, SOCK_DGRAM, 0)), b = (int)MUST(socket(family, SOCK_DGRAM, 0));
    MUST(bind(a, &x.any, length(&x))), MUST(bind(b, &y.any, length(&y)));
    MUST(getsockname(a, &x.any, &n)), MUST(getsockname(b, &y.any, &n));
    begin("UDP", a, b);
    EDGES(connect(a, &y.any, n));
    EDGES(put(1));
    EDGES(put(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(put(0));
    EDGES(get(1));
    EDGES(put(10000));
    EDGES(put(10000));
    EDGES(get(10000));
    EDGES(get(10000));
    EDGES(connect(b, &x.any, n));
    EDGES(back(10));
    EDGES(shutdown(b, SHUT_WR));
    EDGES(shutdown(b, SHUT_RD));
    EDGES(shutdown(b, SHUT_RD));
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    EDGES(connect(a, &none, sizeof none));
    EDGES(connect(a, &y.any, n));
    close(b);
    edges("closed", 0);
    EDGES(put(10));
    EDGES(put(10));
    close(a), close(ep);
}

static void tcp(int family)
{
    int p[2], on = 1;
    tcp_pair(family, p);
    for (int i = 0; i < 2; i++) MUST(setsockopt(p[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    wait_ms = 60;
    begin("TCP", p[0], p[1]);
    EDGES(put(1));
    EDGES(put(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(get(1));
    EDGES(put(1000));
    EDGES(recv(p[1], buf, 10, MSG_PEEK));
    EDGES(get(10));
    EDGES(put(1000));
    EDGES(get(10000));
    EDGES(back(5));
    EDGES(recv(p[0], buf, 10, MSG_DONTWAIT));
    EDGES(fill(60000));
    EDGES(drain());
    EDGES(drain());
    EDGES(put(1));
    EDGES(shutdown(p[1], SHUT_RD));
    EDGES(get(10));
    EDGES(put(1));
    EDGES(shutdown(p[0], SHUT_WR));
    EDGES(shutdown(p[0], SHUT_WR));
    EDGES(get(10));
    EDGES(get(10));
    EDGES(shutdown(p[1], SHUT_WR));
    end();
    tcp_pair(family, p);
    begin("TCP, closed", p[0], p[1]);
    end();
    tcp_pair(family, p);
    MUST(send(p[1], "x", 1, 0));
    MUST(wait_for(p[0], POLLIN) ? 0 : -1);
    begin("TCP, reset", p[0], p[1]);
    end();
    address a;
    int l = listener(family, &a, 5), c = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    begin("TCP, connecting", c, l);
    EDGES(connect(c, &a.any, length(&a)) == -1 && errno == EINPROGRESS);
    int d = (int)MUST(socket(family, SOCK_STREAM, 0));
    watch(2, d);
    edges("a second", 0);
    EDGES(connect(d, &a.any, length(&a)));
    int s = accept(l, 0, 0);
    edges("accepted", 0);
    close(accept(l, 0, 0));
    edges("accepted and closed", 0);
    close(l);
    edges("the listener is closed", 0);
    int f = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    watch(3, f);
    edges("a third", 0);
    EDGES(connect(f, &a.any, length(&a)) == -1 && errno == EINPROGRESS);
    EDGES(connect(f, &a.any, length(&a)));
    close(s), close(c), close(d), close(f), close(ep);
    wait_ms = 0;
}

int main(void)
{
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    pipes();
    local(SOCK_STREAM, "unix stream");
    local(SOCK_DGRAM, "unix datagram");
    local(SOCK_SEQPACKET, "unix seqpacket");
    names();
    udp(AF_INET), udp(AF_INET6);
    tcp(AF_INET), tcp(AF_INET6);
    return done();
}
