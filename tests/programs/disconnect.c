// Sockets without a connection: shutdown() still shuts them down, and connect() to AF_UNSPEC releases what the kernel
// chose, not what bind() asked for.
#include "net.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

static const struct sockaddr none = { .sa_family = AF_UNSPEC };
static char buf[100];

static int revents(int s)
{
    struct pollfd p = { s, POLLIN | POLLOUT | POLLRDHUP, 0 };
    poll(&p, 1, 0);
    return p.revents;
}

/* Prints the current address and port, without numbers. */
static void name(const char *when, int s, int port)
{
    address a = { 0 };
    socklen_t n = sizeof a;
    MUST(getsockname(s, &a.any, &n));
    int now = ntohs(a.any.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    bool zero = a.any.sa_family == AF_INET ? a.v4.sin_addr.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr);
    printf("%s: %s, port %s\n", when, zero ? "any address" : "an address",
           now == 0 ? "none" : port && now == port ? "as asked for" : "some");
}

static void calls(int s)
{
    int v = 7;
    socklen_t n = sizeof v;
    SHOW(revents(s));
    SHOW(recv(s, buf, 1, MSG_DONTWAIT));
    SHOW(recv(s, buf, 1, MSG_DONTWAIT | MSG_PEEK));
    SHOW(read(s, buf, 0));
    SHOW(send(s, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
    SHOW(ioctl(s, FIONREAD, &v));
    SHOW(v);
    SHOW(getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &n));
    SHOW(v);
}

static void shut(int family, int how)
{
    address a;
    int s, t, l = listener(family, &a, 5);
    printf("-- shut %d: never connected\n", how);
    s = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(revents(s));
    SHOW(shutdown(s, how));
    calls(s);
    SHOW(shutdown(s, how));
    printf("-- shut %d: and bound, and listening\n", how);
    address b = loopback(family, 0);
    SHOW(bind(s, &b.any, length(&b)));
    SHOW(revents(s));
    SHOW(listen(s, 5));
    SHOW(revents(s));
    close(s);
    printf("-- shut %d: and then connected\n", how);
    s = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(shutdown(s, how));
    SHOW(connect(s, &a.any, length(&a)));
    t = (int)MUST(accept(l, 0, 0));
    SHOW(revents(s));
    SHOW(send(s, "x", 1, MSG_NOSIGNAL));
    MUST(write(t, "y", 1));
    SHOW(read(s, buf, 1));
    printf("-- shut %d: disconnected\n", how);
    SHOW(connect(s, &none, sizeof none));
    MUST(recv(s, buf, 1, MSG_DONTWAIT) == -1 ? 0 : -1);
    SHOW(revents(s));
    SHOW(shutdown(s, how));
    calls(s);
    SHOW(connect(s, &none, sizeof none));
    SHOW(revents(s));
    close(t);
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(revents(s));
    close(s);
    printf("-- shut %d: a connection, disconnected\n", how);
    s = connected(&a);
    MUST(accept(l, 0, 0));
    SHOW(shutdown(s, how));
    SHOW(connect(s, &none, sizeof none));
    SHOW(revents(s));
    calls(s);
    close(s);
    printf("-- shut %d: refused\n", how);
    address refused = loopback(family, 0);
    t = (int)MUST(socket(family, SOCK_STREAM, 0));
    MUST(bind(t, &refused.any, length(&refused)));
    socklen_t n = sizeof refused;
    MUST(getsockname(t, &refused.any, &n));
    s = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(connect(s, &refused.any, n));
    SHOW(shutdown(s, how));
    calls(s);
    name("refused", s, 0);
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(revents(s));
    close(s), close(t);
    printf("-- shut %d: a listener\n", how);
    SHOW(shutdown(l, how));
    SHOW(revents(l));
    SHOW(listen(l, 5));
    SHOW(revents(l));
    SHOW(connect(l, &none, sizeof none));
    SHOW(revents(l));
    SHOW(shutdown(l, how));
    SHOW(revents(l));
    close(l);
    printf("-- shut %d: watched\n", how);
    s = (int)MUST(socket(family, SOCK_STREAM, 0));
    int ep = (int)MUST(epoll_create1(0));
    struct epoll_event e = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, { .u32 = 1 } };
    MUST(epoll_ctl(ep, EPOLL_CTL_ADD, s, &e));
    IS(epoll_wait(ep, &e, 1, 0) == 1);
    SHOW(e.events);
    SHOW(epoll_wait(ep, &e, 1, 0));
    SHOW(shutdown(s, how));
    SHOW(epoll_wait(ep, &e, 1, 0));
    SHOW(e.events);
    close(s), close(ep);
}

static int bound(int family, int type, bool any, int *port)
{
    address a = loopback(family, 0);
    socklen_t n = length(&a);
    int probe = (int)MUST(socket(family, type, 0));
    MUST(bind(probe, &a.any, n));
    MUST(getsockname(probe, &a.any, &n));
    close(probe);
    if (family == AF_INET && any) a.v4.sin_addr.s_addr = 0;
    if (family == AF_INET6 && any) a.v6.sin6_addr = in6addr_any;
    *port = ntohs(family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    int s = (int)MUST(socket(family, type, 0));
    MUST(bind(s, &a.any, n));
    return s;
}

static void ports(int family, int type)
{
    address a, zero = loopback(family, 0), any = zero;
    int s, l, port;
    if (type == SOCK_STREAM) {
        l = listener(family, &a, 20);
    } else {
        socklen_t n = sizeof a;
        l = (int)MUST(socket(family, type, 0));
        MUST(bind(l, &zero.any, length(&zero)));
        MUST(getsockname(l, &a.any, &n));
    }
    if (family == AF_INET) any.v4.sin_addr.s_addr = 0;
    else any.v6.sin6_addr = in6addr_any;
    printf("-- %s: on a device\n", type == SOCK_STREAM ? "TCP" : "UDP");
    s = (int)MUST(socket(family, type, 0));
    socklen_t dn = sizeof buf;
    SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(connect(s, &none, sizeof none));
    SHOW(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, buf, &dn));
    SHOW(dn);
    close(s);
    printf("-- %s: never bound\n", type == SOCK_STREAM ? "TCP" : "UDP");
    s = (int)MUST(socket(family, type, 0));
    SHOW(connect(s, &none, sizeof none));
    name("disconnected first", s, 0);
    MUST(connect(s, &a.any, length(&a)));
    name("connected", s, 0);
    SHOW(connect(s, &none, sizeof none));
    name("disconnected", s, 0);
    MUST(connect(s, &a.any, length(&a)));
    name("again", s, 0);
    SHOW(connect(s, &none, sizeof none));
    SHOW(bind(s, &zero.any, length(&zero)));
    SHOW(bind(s, &zero.any, length(&zero)));
    name("bound", s, 0);
    close(s);
    struct { const char *what; bool any, asked; } kinds[] = {
        { "an address, no port", false, false }, { "nothing", true, false },
        { "an address and a port", false, true }, { "a port", true, true },
    };
    for (int i = 0; i < 4; i++) {
        printf("-- %s: bound to %s\n", type == SOCK_STREAM ? "TCP" : "UDP", kinds[i].what);
        port = 0;
        if (kinds[i].asked) {
            s = bound(family, type, kinds[i].any, &port);
        } else {
            s = (int)MUST(socket(family, type, 0));
            address *b = kinds[i].any ? &any : &zero;
            MUST(bind(s, &b->any, length(b)));
        }
        name("bound", s, port);
        SHOW(connect(s, &none, sizeof none));
        name("disconnected first", s, port);
        SHOW(connect(s, &a.any, length(&a)));
        name("connected", s, port);
        SHOW(connect(s, &none, sizeof none));
        name("disconnected", s, port);
        SHOW(bind(s, &zero.any, length(&zero)));
        name("bound again", s, port);
        close(s);
    }
    if (type == SOCK_STREAM) {
        section("TCP: accepted");
        address b;
        int k = listener(family, &b, 5), c = connected(&b);
        s = (int)MUST(accept(k, 0, 0));
        name("accepted", s, 0);
        SHOW(connect(s, &none, sizeof none));
        name("disconnected", s, 0);
        SHOW(bind(s, &b.any, length(&b)));
        SHOW(connect(s, &a.any, length(&a)));
        name("connected", s, 0);
        close(s), close(k), close(c);
        section("TCP: a listener");
        for (int i = 0; i < 3; i++) {
            port = 0;
            s = i == 2 ? bound(family, type, false, &port) : (int)MUST(socket(family, type, 0));
            if (i == 1) MUST(bind(s, &zero.any, length(&zero)));
            MUST(listen(s, 5));
            name("listening", s, port);
            SHOW(connect(s, &none, sizeof none));
            name("disconnected", s, port);
            SHOW(revents(s));
            SHOW(listen(s, 5));
            name("listening again", s, port);
            SHOW(shutdown(s, SHUT_RD));
            name("shut", s, port);
            SHOW(listen(s, 5));
            SHOW(revents(s));
            name("listening once more", s, port);
            close(s);
        }
    } else {
        section("UDP: sent, not connected");
        s = (int)MUST(socket(family, type, 0));
        SHOW(sendto(s, "x", 1, 0, &a.any, length(&a)));
        name("sent", s, 0);
        SHOW(connect(s, &none, sizeof none));
        name("disconnected", s, 0);
        SHOW(sendto(s, "x", 1, 0, &a.any, length(&a)));
        name("sent", s, 0);
        SHOW(connect(s, &a.any, length(&a)));
        name("connected", s, 0);
        SHOW(connect(s, &none, sizeof none));
        name("disconnected", s, 0);
        close(s);
        section("UDP: what was there before");
        s = (int)MUST(socket(family, type, 0));
        SHOW(connect(s, &a.any, length(&a)));
        address me;
        socklen_t n = sizeof me;
        MUST(getsockname(s, &me.any, &n));
        MUST(sendto(l, "one", 3, 0, &me.any, n));
        SHOW(connect(s, &none, sizeof none));
        SHOW(revents(s));
        SHOW(recv(s, buf, 10, MSG_DONTWAIT));
        SHOW(shutdown(s, SHUT_WR));
        SHOW(revents(s));
        SHOW(connect(s, &a.any, length(&a)));
        SHOW(send(s, "x", 1, MSG_NOSIGNAL));
        close(s);
    }
    close(l);
}

/* A socket is shut down while a datagram is being assembled. */
static void corked(int family, int how)
{
    address a = loopback(family, 0);
    socklen_t n = sizeof a;
    int off = 0, on = 1, l = (int)MUST(socket(family, SOCK_DGRAM, 0)), s = (int)MUST(socket(family, SOCK_DGRAM, 0));
    MUST(bind(l, &a.any, length(&a)));
    MUST(getsockname(l, &a.any, &n));
    printf("-- corked, shut %d\n", how);
    MUST(connect(s, &a.any, n));
    SHOW(send(s, "one", 3, MSG_MORE));
    SHOW(shutdown(s, how));
    SHOW(revents(s));
    SHOW(send(s, "two", 3, MSG_NOSIGNAL));
    SHOW(send(s, "three", 5, MSG_NOSIGNAL | MSG_MORE));
    SHOW(sendto(s, "four", 4, MSG_NOSIGNAL, &a.any, n));
    SHOW(recv(l, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(setsockopt(s, IPPROTO_UDP, 1 /* UDP_CORK */, &on, sizeof on));
    SHOW(setsockopt(s, IPPROTO_UDP, 1, &off, sizeof off));
    SHOW(recv(l, buf, sizeof buf, MSG_DONTWAIT));
    close(s);
    s = (int)MUST(socket(family, SOCK_DGRAM, 0));
    SHOW(setsockopt(s, IPPROTO_UDP, 1, &on, sizeof on));
    SHOW(sendto(s, "one", 3, 0, &a.any, n));
    SHOW(shutdown(s, how));
    SHOW(setsockopt(s, IPPROTO_UDP, 1, &off, sizeof off));
    SHOW(recv(l, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(sendto(s, "two", 3, MSG_NOSIGNAL, &a.any, n));
    close(s);
    section("corked, disconnected");
    s = (int)MUST(socket(family, SOCK_DGRAM, 0));
    MUST(connect(s, &a.any, n));
    SHOW(send(s, "one", 3, MSG_MORE));
    SHOW(connect(s, &none, sizeof none));
    SHOW(send(s, "two", 3, MSG_MORE));
    SHOW(sendto(s, "three", 5, 0, &a.any, n));
    SHOW(recv(l, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(send(s, "four", 4, 0));
    SHOW(recv(l, buf, sizeof buf, MSG_DONTWAIT));
    close(s), close(l);
}

int main(void)
{
    int families[] = { AF_INET, AF_INET6 };
    for (int i = 0; i < 2; i++) {
        printf("== %s\n", i ? "IPv6" : "IPv4");
        for (int how = 0; how < 3; how++) shut(families[i], how), corked(families[i], how);
        ports(families[i], SOCK_STREAM);
        ports(families[i], SOCK_DGRAM);
    }
    return done();
}
