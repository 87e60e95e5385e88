/* Shared by the TCP and UDP programs: everything goes over the loopback interface. */
#ifndef NET_H
#define NET_H

#include "test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address;

static UNUSED address loopback(int family, int port)
{
    address a = { 0 };
    if (family == AF_INET) {
        a.v4.sin_family = AF_INET, a.v4.sin_port = htons((uint16_t)port);
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        a.v6.sin6_family = AF_INET6, a.v6.sin6_port = htons((uint16_t)port);
        a.v6.sin6_addr = in6addr_loopback;
    }
    return a;
}

static UNUSED socklen_t length(const address *a) { return a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6; }

/* A listening socket on a free port; *a becomes its address. */
static UNUSED int listener(int family, address *a, int backlog)
{
    *a = loopback(family, 0);
    socklen_t n = sizeof *a;
    int s = (int)MUST(socket(family, SOCK_STREAM, 0));
    MUST(bind(s, &a->any, length(a)));
    MUST(listen(s, backlog));
    MUST(getsockname(s, &a->any, &n));
    return s;
}

static UNUSED int connected(const address *a)
{
    int s = (int)MUST(socket(a->any.sa_family, SOCK_STREAM, 0));
    MUST(connect(s, &a->any, length(a)));
    return s;
}

/* Both ends of a TCP connection. */
static UNUSED void tcp_pair(int family, int pair[2])
{
    address a;
    int l = listener(family, &a, 5);
    pair[0] = connected(&a);
    pair[1] = (int)MUST(accept(l, 0, 0));
    close(l);
}

/* Waits until poll reports one of the events, at most five seconds. */
static UNUSED int wait_for(int fd, int events)
{
    struct pollfd f = { fd, (short)events, 0 };
    return poll(&f, 1, 5000) == 1 ? f.revents : 0;
}

static UNUSED bool read_all(int fd, void *to, size_t n)
{
    char *p = to;
    while (n) {
        ssize_t r = read(fd, p, n);
        if (r <= 0) return false;
        p += r, n -= (size_t)r;
    }
    return true;
}

static UNUSED bool write_all(int fd, const void *from, size_t n)
{
    const char *p = from;
    while (n) {
        ssize_t r = write(fd, p, n);
        if (r < 0) return false;
        p += r, n -= (size_t)r;
    }
    return true;
}

#endif
