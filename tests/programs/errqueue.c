// The error queue of datagram sockets: what ICMP says about datagrams that nobody takes.
//@ network own
#include "own_net.h"
#include "filter.h"

static char buf[2000];

static void events(int s)
{
    struct pollfd p = { s, POLLIN, 0 };
    MUST(poll(&p, 1, 100));
    printf("poll: %#x\n", (unsigned)p.revents);
}

static void error(int s, size_t room, size_t control)
{
    _Alignas(8) char c[400];
    address a = { 0 }, at = loopback(AF_INET, 0);
    struct iovec v = { buf, room };
    struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = control };
    ssize_t n = recvmsg(s, &m, MSG_ERRQUEUE);
    if (n < 0) {
        printf("no error: %s\n", errname(errno));
        return;
    }
    char text[50];
    inet_ntop(a.any.sa_family, a.any.sa_family == AF_INET ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr, text, sizeof text);
    printf("%zd bytes '%.*s', sent to %s port %s, flags %#x\n", n, (int)n, buf, text, a.v4.sin_port == at.v4.sin_port ? "none" : "ours",
           (unsigned)m.msg_flags);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        struct sock_extended_err *e = (void *)CMSG_DATA(h);
        address *o = (void *)SO_EE_OFFENDER(e);
        printf("level %d type %d, %zu bytes", h->cmsg_level, h->cmsg_type, h->cmsg_len);
        if (h->cmsg_type == IP_RECVERR || h->cmsg_type == IPV6_RECVERR) {
            inet_ntop(o->any.sa_family, o->any.sa_family == AF_INET ? (void *)&o->v4.sin_addr : (void *)&o->v6.sin6_addr, text, sizeof text);
            printf(": %s origin %d type %d code %d info %u, says %s", errname((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code,
                   e->ee_info, text);
        }
        printf("\n");
    }
}

/* A port that nobody has. */
static address closed(int family)
{
    int s = (int)MUST(socket(family, SOCK_DGRAM, 0));
    address a = loopback(family, 0);
    socklen_t n = sizeof a;
    MUST(bind(s, &a.any, length(&a)));
    MUST(getsockname(s, &a.any, &n));
    close(s);
    return a;
}

static void family(int f)
{
    printf("-- IPv%d\n", f == AF_INET ? 4 : 6);
    int level = f == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, name = f == AF_INET ? IP_RECVERR : IPV6_RECVERR;
    int s = (int)MUST(socket(f, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    address a = closed(f);
    SHOW(get_int(s, level, name));
    error(s, 100, 400);
    section("without");
    SHOW(sendto(s, "one", 3, 0, &a.any, length(&a)));
    SHOW(sendto(s, "two", 3, 0, &a.any, length(&a)));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(send(s, "three", 5, 0));
    events(s);
    SHOW(send(s, "four", 4, 0));
    SHOW(send(s, "five", 4, 0));
    error(s, 100, 400);
    SHOW(get_int(s, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
    section("with");
    close(s);
    s = (int)MUST(socket(f, SOCK_DGRAM | SOCK_NONBLOCK, 0));
    SHOW(set_int(s, level, name, 1));
    SHOW(get_int(s, level, name));
    SHOW(sendto(s, "hello", 5, 0, &a.any, length(&a)));
    events(s);
    error(s, 100, 400);
    error(s, 100, 400);
    events(s);
    SHOW(get_int(s, SOL_SOCKET, SO_ERROR));
    SHOW(sendto(s, "hello", 5, 0, &a.any, length(&a)));
    SHOW(sendto(s, "again", 5, 0, &a.any, length(&a)));
    SHOW(sendto(s, "third", 5, 0, &a.any, length(&a)));
    SHOW(recv(s, buf, 10, 0));
    SHOW(recv(s, buf, 10, 0));
    error(s, 2, 400);
    error(s, 100, 20);
    error(s, 100, 400);
    section("connected");
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(send(s, "x", 1, 0));
    SHOW(get_int(s, SOL_SOCKET, SO_ERROR) == ECONNREFUSED);
    SHOW(get_int(s, SOL_SOCKET, SO_ERROR));
    error(s, 100, 400);
    SHOW(set_int(s, level, name, 0));
    SHOW(send(s, "x", 1, 0));
    error(s, 100, 400);
    SHOW(send(s, "x", 1, 0));
    close(s);
}

int main(void)
{
    family(AF_INET);
    family(AF_INET6);
    return done();
}
