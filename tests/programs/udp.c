// UDP over loopback, IPv4 and IPv6: messages, connected sockets, truncation, refused ports, big messages, dual stack.
//@ shows bind getsockname sendto recvfrom sendmsg recvmsg
//@ smp 2
#include "net.h"

static int bound(int family, address *a)
{
    int s = (int)MUST(socket(family, SOCK_DGRAM, 0));
    *a = loopback(family, 0);
    MUST(bind(s, &a->any, length(a)));
    socklen_t n = sizeof *a;
    MUST(getsockname(s, &a->any, &n));
    return s;
}

static void family(int f)
{
    static char buf[70000], big[70000];
    address a, b, from;
    socklen_t n = sizeof from;
    section(f == AF_INET ? "IPv4" : "IPv6");
    int s = bound(f, &a), t = bound(f, &b);
    SHOW(sendto(s, "hello", 5, 0, &b.any, length(&b)));
    SHOW(recvfrom(t, buf, 100, 0, &from.any, &n));
    IS(n == length(&a) && !memcmp(&from, &a, n));
    SHOW(sendto(t, "", 0, 0, &from.any, n));
    SHOW(recv(s, buf, 100, 0));
    SHOW(sendto(s, "longer message", 14, 0, &b.any, length(&b)));
    struct iovec v = { buf, 6 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
    SHOW(recvmsg(t, &m, 0));
    SHOW((m.msg_flags & MSG_TRUNC) != 0);
    SHOW(sendto(s, "longer message", 14, 0, &b.any, length(&b)));
    SHOW(recv(t, buf, 6, MSG_TRUNC));
    SHOW(recv(t, buf, 6, MSG_DONTWAIT));
    for (int i = 0; i < 5; i++) MUST(sendto(s, &i, sizeof i, 0, &b.any, length(&b)));
    for (int i = 0; i < 5; i++) {
        int got = -1;
        MUST(recv(t, &got, sizeof got, 0));
        printf("%d ", got);
    }
    printf("\n");
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 13 >> 4);
    for (int size = 1000; size <= 9000; size += 4000) {
        SHOW(sendto(s, big, (size_t)size, 0, &b.any, length(&b)));
        SHOW(recv(t, buf, sizeof buf, 0));
        IS(!memcmp(buf, big, (size_t)size));
    }
    if (f == AF_INET) SHOW(sendto(s, big, 65508, 0, &b.any, length(&b)));
    SHOW(send(s, "x", 1, 0));
    section("connected");
    SHOW(connect(s, &b.any, length(&b)));
    n = sizeof from;
    MUST(getpeername(s, &from.any, &n));
    IS(!memcmp(&from, &b, n));
    SHOW(send(s, "direct", 6, 0));
    SHOW(recv(t, buf, 100, 0));
    address c;
    int other = bound(f, &c);
    MUST(sendto(other, "stranger", 8, 0, &a.any, length(&a)));
    MUST(sendto(t, "friend", 6, 0, &a.any, length(&a)));
    wait_for(s, POLLIN);
    SHOW(recv(s, buf, 100, 0));
    SHOW(recv(s, buf, 100, MSG_DONTWAIT));
    close(t);
    SHOW(send(s, "nobody", 6, 0));
    wait_for(s, POLLIN);
    SHOW(recv(s, buf, 100, MSG_DONTWAIT));
    SHOW(recv(s, buf, 100, MSG_DONTWAIT));
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    SHOW(connect(s, &none, sizeof none));
    SHOW(getpeername(s, &from.any, &n));
    close(s), close(other);
}

/* Several calls make one datagram. */
static void corked(int f)
{
    static char buf[70000];
    section(f == AF_INET ? "cork, IPv4" : "cork, IPv6");
    address a, b;
    int s = bound(f, &a), t = bound(f, &b), one = 1, zero = 0, most = f == AF_INET ? 65507 : 65527;
    SHOW(sendto(s, "ab", 2, MSG_MORE, &b.any, length(&b)));
    SHOW(recv(t, buf, 99, MSG_DONTWAIT));
    SHOW(send(s, "cd", 2, MSG_MORE));
    SHOW(sendto(s, "e", 1, 0, &a.any, length(&a))); /* goes where the first part goes */
    SHOW(recv(t, buf, 99, MSG_DONTWAIT));
    IS(!memcmp(buf, "abcde", 5));
    SHOW(setsockopt(s, IPPROTO_UDP, 1 /* UDP_CORK */, &one, sizeof one));
    SHOW(sendto(s, "12", 2, 0, &b.any, length(&b)));
    SHOW(sendto(s, "", 0, 0, &b.any, length(&b)));
    SHOW(send(s, "34", 2, 0));
    SHOW(recv(t, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(s, IPPROTO_UDP, 1, &zero, sizeof zero));
    SHOW(recv(t, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(s, IPPROTO_UDP, 1, &zero, sizeof zero)); /* nothing to send */
    SHOW(recv(t, buf, 99, MSG_DONTWAIT));
    /* An error loses all of it. */
    SHOW(sendto(s, buf, 60000, MSG_MORE, &b.any, length(&b)));
    SHOW(sendto(s, buf, 6000, 0, &b.any, length(&b)));
    SHOW(sendto(s, "z", 1, MSG_MORE, &b.any, length(&b)));
    SHOW(send(s, (void *)8, 5, 0));
    SHOW(recv(t, buf, sizeof buf, MSG_DONTWAIT));
    SHOW(send(s, "x", 1, MSG_MORE));
    IS(sendto(s, buf, 60000, MSG_MORE, &b.any, length(&b)) == 60000 && send(s, buf, (size_t)most - 60000, 0) == most - 60000);
    IS(recv(t, buf, sizeof buf, MSG_DONTWAIT) == most);
    IS(sendto(s, buf, (size_t)most, 0, &b.any, length(&b)) == most && recv(t, buf, sizeof buf, 0) == most);
    IS(sendto(s, buf, (size_t)most + 1, 0, &b.any, length(&b)) == -1 && errno == EMSGSIZE);
    IS(sendto(s, buf, (size_t)most + 1, MSG_MORE, &b.any, length(&b)) == -1 && errno == EMSGSIZE);
    struct iovec v[3] = { { "1", 1 }, { "22", 2 }, { "333", 3 } };
    struct mmsghdr m[3] = { 0 };
    for (int i = 0; i < 3; i++) {
        m[i].msg_hdr = (struct msghdr){ .msg_name = &b, .msg_namelen = length(&b), .msg_iov = v + i, .msg_iovlen = 1 };
    }
    SHOW(sendmmsg(s, m, 3, MSG_MORE));
    SHOW(send(s, "4", 1, 0));
    SHOW(recv(t, buf, 99, MSG_DONTWAIT));
    close(s), close(t);
}

static void ended(void)
{
    section("shutdown");
    char buf[99];
    address a, b;
    int s = bound(AF_INET, &a), t = bound(AF_INET, &b);
    SHOW(shutdown(s, SHUT_RD)); /* not connected: an error, but shut down all the same */
    SHOW(wait_for(s, POLLIN | POLLOUT | POLLRDHUP) == (POLLIN | POLLOUT | POLLRDHUP));
    SHOW(recv(s, buf, 9, MSG_DONTWAIT));
    SHOW(recv(s, buf, 9, 0));
    SHOW(sendto(t, "abc", 3, 0, &a.any, sizeof a.v4));
    SHOW(recv(s, buf, 9, MSG_DONTWAIT));
    SHOW(shutdown(s, SHUT_WR));
    SHOW(sendto(s, "x", 1, 0, &b.any, sizeof b.v4));
    SHOW(connect(t, &a.any, sizeof a.v4));
    SHOW(shutdown(t, SHUT_RDWR));
    SHOW(shutdown(t, SHUT_RDWR));
    SHOW(wait_for(t, POLLIN | POLLOUT | POLLRDHUP) == (POLLIN | POLLOUT | POLLRDHUP | POLLHUP));
    SHOW(recv(t, buf, 9, MSG_DONTWAIT));
    SHOW(recv(t, buf, 9, 0));
    SHOW(send(t, "x", 1, 0));
    SHOW(recv(t, buf, 9, MSG_OOB | MSG_DONTWAIT));
    close(s), close(t);
}

int main(void)
{
    family(AF_INET);
    family(AF_INET6);
    corked(AF_INET);
    corked(AF_INET6);
    ended();
    section("dual stack");
    char buf[10], text[INET6_ADDRSTRLEN];
    address a = { 0 }, from;
    socklen_t n = sizeof a;
    int s = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), c = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), off = 0;
    MUST(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
    a.v6.sin6_family = AF_INET6;
    MUST(bind(s, &a.any, sizeof a.v6));
    MUST(getsockname(s, &a.any, &n));
    address to = loopback(AF_INET, ntohs(a.v6.sin6_port));
    SHOW(sendto(c, "4to6", 4, 0, &to.any, sizeof to.v4));
    n = sizeof from;
    SHOW(recvfrom(s, buf, 10, 0, &from.any, &n));
    printf("%s\n", inet_ntop(AF_INET6, &from.v6.sin6_addr, text, sizeof text));
    SHOW(sendto(s, "6to4", 4, 0, &from.any, n));
    SHOW(recv(c, buf, 10, 0));
    return done();
}
