// TCP without blocking: connect, accept, full buffers, timeouts of send and receive, EINTR, many connections.
//@ smp 2
#include "net.h"
#include <sys/epoll.h>

static void handler(int s) { (void)s; }

int main(void)
{
    static char buf[1 << 16];
    address a;
    int l = listener(AF_INET, &a, 128), one = 1, err;
    socklen_t n = sizeof err;
    fcntl(l, F_SETFL, O_NONBLOCK);
    SHOW(accept(l, 0, 0));
    int s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(connect(s, &a.any, length(&a)));
    IS(wait_for(s, POLLOUT) & POLLOUT);
    SHOW(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n));
    SHOW(err);
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(connect(s, &a.any, length(&a)));
    IS(wait_for(l, POLLIN) == POLLIN);
    int t = (int)MUST(accept(l, 0, 0));
    SHOW(fcntl(t, F_GETFL) & O_NONBLOCK);
    SHOW(recv(s, buf, 1, 0));
    SHOW(recv(t, buf, 1, MSG_DONTWAIT));
    long total = 0, got = 0, w;
    while ((w = write(s, buf, sizeof buf)) > 0) total += w;
    printf("full: %s\n", errname(errno));
    IS(total >= 16384);
    IS((wait_for(s, 0) & POLLOUT) == 0);
    struct pollfd pf = { s, POLLOUT, 0 };
    SHOW(poll(&pf, 1, 0));
    fcntl(t, F_SETFL, O_NONBLOCK);
    while (got < total && (wait_for(t, POLLIN) & POLLIN))
        while ((w = read(t, buf, sizeof buf)) > 0) got += w;
    IS(got == total);
    IS(wait_for(s, POLLOUT) & POLLOUT);
    close(s);
    IS(wait_for(t, POLLIN | POLLRDHUP) & POLLRDHUP);
    SHOW(read(t, buf, 1));
    close(t);

    section("refused");
    address dead;
    close(listener(AF_INET, &dead, 1));
    s = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(connect(s, &dead.any, length(&dead)));
    int ev = wait_for(s, POLLOUT);
    IS((ev & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP));
    n = sizeof err;
    MUST(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n));
    printf("error %s\n", errname(err));
    MUST(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &n));
    SHOW(err);
    close(s);

    section("timeouts");
    int p[2];
    tcp_pair(AF_INET, p);
    struct timeval tv = { 0, 50000 };
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    int64_t start = now_ns();
    SHOW(read(p[0], buf, 1));
    IS(now_ns() - start >= 45000000);
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
    while ((w = write(p[0], buf, sizeof buf)) > 0) {}
    printf("send: %s\n", errname(errno));
    tv.tv_sec = 0, tv.tv_usec = 0;
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    struct sigaction sa = { .sa_handler = handler };
    sigaction(SIGALRM, &sa, 0);
    ualarm(50000, 0);
    SHOW(read(p[0], buf, 1));
    close(p[0]), close(p[1]);

    section("many");
    enum { MANY = 150 };
    static int c[MANY], d[MANY];
    int ep = (int)MUST(epoll_create1(0));
    for (int i = 0; i < MANY; i++) {
        c[i] = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
        MUST(connect(c[i], &a.any, length(&a)));
        MUST((wait_for(l, POLLIN) == POLLIN) ? 0 : -1);
        d[i] = (int)MUST(accept(l, 0, 0));
        struct epoll_event e = { EPOLLIN, { .u32 = (uint32_t)i } };
        MUST(epoll_ctl(ep, EPOLL_CTL_ADD, d[i], &e));
    }
    for (int i = 0; i < MANY; i++) MUST(write(c[i], &i, sizeof i));
    int seen = 0, wrong = 0;
    while (seen < MANY) {
        struct epoll_event e[16];
        int k = epoll_wait(ep, e, 16, 5000), v;
        if (k <= 0) break;
        for (int i = 0; i < k; i++, seen++)
            if (read(d[e[i].data.u32], &v, sizeof v) != sizeof v || v != (int)e[i].data.u32) wrong++;
    }
    SHOW(seen);
    SHOW(wrong);
    for (int i = 0; i < MANY; i++) close(c[i]), close(d[i]);
    SHOW(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    for (int i = 0; i < 500; i++) {
        int x = connected(&a);
        MUST((wait_for(l, POLLIN) == POLLIN) ? 0 : -1);
        int y = (int)MUST(accept(l, 0, 0));
        MUST(write(x, "q", 1));
        close(x);
        MUST((wait_for(y, POLLIN) & POLLIN) ? 0 : -1);
        if (read(y, buf, 10) != 1) printf("connection %d lost its byte\n", i);
        close(y);
    }
    printf("500 short connections\n");
    return done();
}
