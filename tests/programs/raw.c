// Raw and ping sockets over the loopback interface.
//@ network own
#include "own_net.h"
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>

static unsigned char buf[70000];

static address to4(const char *at, int port)
{
    address a = loopback(AF_INET, port);
    a.v4.sin_addr.s_addr = inet_addr(at);
    return a;
}

static long send4(int s, const void *data, size_t n, const char *at)
{
    address a = to4(at, 0);
    return sendto(s, data, n, 0, &a.any, sizeof a.v4);
}

static size_t echo(unsigned char *m, int type, int id, int seq, size_t extra)
{
    memset(m, 'e', 8 + extra);
    m[0] = (unsigned char)type, m[1] = m[2] = m[3] = 0;
    m[4] = (unsigned char)(id >> 8), m[5] = (unsigned char)id, m[6] = (unsigned char)(seq >> 8), m[7] = (unsigned char)seq;
    unsigned c = ~sum16(m, 8 + extra, 0);
    m[2] = (unsigned char)(c >> 8), m[3] = (unsigned char)c;
    return 8 + extra;
}

/* One packet of an AF_INET raw socket. */
static void packet(int s)
{
    address from;
    socklen_t n = sizeof from;
    ssize_t got = recvfrom(s, buf, sizeof buf, MSG_DONTWAIT, &from.any, &n);
    if (got < 0) {
        printf("nothing: %s\n", errname(errno));
        return;
    }
    char a[20], b[20];
    struct iphdr *ip = (void *)buf;
    inet_ntop(AF_INET, &ip->saddr, a, sizeof a), inet_ntop(AF_INET, &ip->daddr, b, sizeof b);
    printf("%zd bytes from %s port %d (%d): IPv%d header %d length %d tos %#x ttl %d protocol %d %s > %s, header sum %s", got,
           inet_ntoa(from.v4.sin_addr), ntohs(from.v4.sin_port), (int)n, ip->version, ip->ihl * 4, ntohs(ip->tot_len), ip->tos,
           ip->ttl, ip->protocol, a, b, sum16(buf, (size_t)ip->ihl * 4, 0) == 0xffff ? "good" : "bad");
    unsigned char *m = buf + ip->ihl * 4;
    if (ip->protocol == IPPROTO_ICMP)
        printf("; ICMP %d/%d id %d seq %d sum %s", m[0], m[1], m[4] << 8 | m[5], m[6] << 8 | m[7],
               sum16(m, (size_t)got - (size_t)ip->ihl * 4, 0) == 0xffff ? "good" : "bad");
    printf("\n");
}

static void open_and_name(void)
{
    section("opening");
    SHOW(socket(AF_INET, SOCK_RAW, 0));
    SHOW(socket(AF_INET6, SOCK_RAW, 0));
    SHOW(socket(AF_INET, SOCK_RAW, 9999));
    SHOW(socket(AF_INET, SOCK_RAW, -1));
    SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6));
    SHOW(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMP));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_ICMP));
    int pair[2];
    SHOW(socketpair(AF_INET, SOCK_RAW, IPPROTO_ICMP, pair));
    int s = (int)MUST(socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP));
    SHOW(get_int(s, SOL_SOCKET, SO_TYPE));
    SHOW(get_int(s, SOL_SOCKET, SO_PROTOCOL));
    SHOW(get_int(s, SOL_SOCKET, SO_DOMAIN));
    SHOW(get_int(s, SOL_SOCKET, SO_ACCEPTCONN));
    SHOW(get_int(s, IPPROTO_IP, IP_HDRINCL));
    SHOW(get_int(s, IPPROTO_IP, IP_TTL));
    SHOW(listen(s, 1));
    SHOW(accept(s, 0, 0));
    SHOW(recv(s, buf, 10, 0));
    SHOW(send(s, buf, 10, 0));
    SHOW(shutdown(s, SHUT_RD));
    section("names");
    address a = to4("10.9.9.9", 5);
    socklen_t n = sizeof a;
    SHOW(bind(s, &a.any, sizeof a.v4));
    SHOW(bind(s, &a.any, sizeof a.v4 - 1));
    a = to4("127.0.0.1", 77);
    SHOW(bind(s, &a.any, sizeof a.v4));
    MUST(getsockname(s, &a.any, &n));
    printf("%s port %d\n", inet_ntoa(a.v4.sin_addr), ntohs(a.v4.sin_port));
    SHOW(getpeername(s, &a.any, &n));
    a = to4("127.0.0.2", 9);
    SHOW(connect(s, &a.any, sizeof a.v4));
    n = sizeof a;
    MUST(getpeername(s, &a.any, &n));
    printf("%s port %d\n", inet_ntoa(a.v4.sin_addr), ntohs(a.v4.sin_port));
    a.any.sa_family = AF_UNIX;
    SHOW(sendto(s, buf, 20, 0, &a.any, sizeof a.v4));
    SHOW(sendto(s, buf, 20, MSG_OOB, 0, 0));
    a.any.sa_family = AF_INET;
    SHOW(sendto(s, buf, 20, 0, &a.any, 8));
    SHOW(sendto(s, buf, 65536, 0, &a.any, sizeof a.v4));
    a = to4("255.255.255.255", 0);
    SHOW(sendto(s, buf, 20, 0, &a.any, sizeof a.v4) == -1);
    close(s);
}

static void four(void)
{
    unsigned char m[5000];
    int s = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), other = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    section("a ping");
    SHOW(send4(s, m, echo(m, ICMP_ECHO, 0x1234, 1, 20), "127.0.0.1"));
    packet(s), packet(s), packet(s);
    packet(other), packet(other), packet(other);
    section("to another address of ours, with marks");
    SHOW(set_int(s, IPPROTO_IP, IP_TTL, 9));
    SHOW(set_int(s, IPPROTO_IP, IP_TOS, 0x28));
    SHOW(send4(s, m, echo(m, ICMP_ECHO, 1, 2, 0), "127.0.0.7"));
    packet(s);
    recv(s, buf, sizeof buf, MSG_DONTWAIT);
    section("ICMP_FILTER");
    unsigned filter = 1u << ICMP_ECHO;
    socklen_t n = sizeof filter;
    SHOW(setsockopt(other, SOL_RAW, 1, &filter, sizeof filter));
    filter = 0;
    SHOW(getsockopt(other, SOL_RAW, 1, &filter, &n));
    printf("%#x, %d bytes\n", filter, (int)n);
    SHOW(setsockopt(other, SOL_RAW, 99, &filter, sizeof filter));
    while (recv(other, buf, sizeof buf, MSG_DONTWAIT) >= 0) {}
    while (recv(s, buf, sizeof buf, MSG_DONTWAIT) >= 0) {}
    SHOW(send4(s, m, echo(m, ICMP_ECHO, 7, 3, 1000), "127.0.0.1"));
    packet(other), packet(other);
    section("peek, truncate, readiness");
    struct pollfd p = { s, POLLIN | POLLOUT, 0 };
    MUST(poll(&p, 1, 0));
    printf("%#x\n", (unsigned)p.revents);
    SHOW(recv(s, buf, 30, MSG_PEEK | MSG_TRUNC));
    SHOW(recv(s, buf, 30, MSG_PEEK));
    int v = 0;
    SHOW(ioctl(s, FIONREAD, &v));
    SHOW(v);
    SHOW(recv(s, buf, 30, MSG_TRUNC));
    packet(s), packet(s);
    section("bound and connected");
    address a = to4("127.0.0.1", 0);
    SHOW(bind(other, &a.any, sizeof a.v4));
    SHOW(send4(s, m, echo(m, ICMP_ECHOREPLY, 7, 4, 0), "127.0.0.2"));
    packet(s), packet(other);
    a = to4("127.0.0.9", 0);
    SHOW(connect(other, &a.any, sizeof a.v4));
    SHOW(send4(s, m, echo(m, ICMP_ECHOREPLY, 7, 5, 0), "127.0.0.1"));
    packet(s), packet(other);
    a = to4("127.0.0.1", 0);
    SHOW(connect(other, &a.any, sizeof a.v4));
    SHOW(send4(s, m, echo(m, ICMP_ECHOREPLY, 7, 6, 0), "127.0.0.1"));
    packet(s), packet(other);
    close(other);
    section("another protocol");
    int x = (int)MUST(socket(AF_INET, SOCK_RAW, 200));
    SHOW(setsockopt(x, SOL_RAW, 1, &filter, sizeof filter));
    SHOW(send4(x, "hello", 5, "127.0.0.1"));
    packet(x), packet(x);
    SHOW(send4(x, buf, 4000, "127.0.0.1"));
    packet(x);
    packet(s); /* somebody knows the protocol: no ICMP error */
    section("control messages");
    SHOW(set_int(x, IPPROTO_IP, IP_PKTINFO, 1));
    SHOW(set_int(x, IPPROTO_IP, IP_RECVTTL, 1));
    _Alignas(8) char control[200] = { 0 };
    a = to4("127.0.0.1", 0);
    struct iovec v1 = { "x", 1 };
    struct msghdr h = { .msg_name = &a, .msg_namelen = sizeof a.v4, .msg_iov = &v1, .msg_iovlen = 1, .msg_control = control,
                        .msg_controllen = CMSG_SPACE(4) };
    *CMSG_FIRSTHDR(&h) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL };
    *(int *)CMSG_DATA(CMSG_FIRSTHDR(&h)) = 33;
    SHOW(sendmsg(x, &h, 0));
    v1 = (struct iovec){ buf, sizeof buf };
    h.msg_controllen = sizeof control;
    SHOW(recvmsg(x, &h, MSG_DONTWAIT));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        struct in_pktinfo *i = (void *)CMSG_DATA(c);
        if (c->cmsg_type == IP_PKTINFO) printf("to %s on %d\n", inet_ntoa(i->ipi_addr), i->ipi_ifindex);
        else printf("%d = %d\n", c->cmsg_type, *(int *)CMSG_DATA(c));
    }
    section("a header of our own");
    int own = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_RAW)), udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    SHOW(get_int(own, IPPROTO_IP, IP_HDRINCL));
    a = to4("127.0.0.1", 0);
    n = sizeof a;
    MUST(bind(udp, &a.any, sizeof a.v4));
    MUST(getsockname(udp, &a.any, &n));
    struct { struct iphdr ip; unsigned short from, to, length, sum; char data[4]; } d = { .ip = { 0 }, .data = "abc" };
    d.ip.version = 4, d.ip.ihl = 5, d.ip.ttl = 3, d.ip.protocol = IPPROTO_UDP;
    d.ip.daddr = inet_addr("127.0.0.1"), d.ip.saddr = inet_addr("127.0.0.5");
    d.from = htons(4321), d.to = a.v4.sin_port, d.length = htons(12);
    SHOW(send4(own, &d, sizeof d, "127.0.0.1"));
    n = sizeof a;
    SHOW(recvfrom(udp, buf, 99, MSG_DONTWAIT, &a.any, &n));
    printf("%s from %s port %d\n", buf, inet_ntoa(a.v4.sin_addr), ntohs(a.v4.sin_port));
    d.ip.saddr = 0;
    SHOW(send4(own, &d, sizeof d, "127.0.0.1"));
    SHOW(recvfrom(udp, buf, 99, MSG_DONTWAIT, &a.any, &n));
    printf("%s from %s port %d\n", buf, inet_ntoa(a.v4.sin_addr), ntohs(a.v4.sin_port));
    SHOW(send4(own, &d, 19, "127.0.0.1"));
    d.ip.ihl = 9;
    SHOW(send4(own, &d, sizeof d, "127.0.0.1"));
    SHOW(recv(own, buf, 99, MSG_DONTWAIT));
    section("what UDP sockets send");
    int watch = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
    n = sizeof a;
    MUST(getsockname(udp, &a.any, &n));
    SHOW(sendto(udp, "self", 4, 0, &a.any, sizeof a.v4));
    packet(watch), packet(watch);
    SHOW(recv(udp, buf, 99, MSG_DONTWAIT));
    section("shut down");
    SHOW(shutdown(s, SHUT_WR));
    a = to4("127.0.0.1", 0);
    SHOW(connect(s, &a.any, sizeof a.v4));
    SHOW(shutdown(s, SHUT_RDWR));
    SHOW(recv(s, buf, 99, 0));
}

static void packet6(int s)
{
    address from;
    socklen_t n = sizeof from;
    char a[50];
    ssize_t got = recvfrom(s, buf, sizeof buf, MSG_DONTWAIT, &from.any, &n);
    if (got < 0) printf("nothing: %s\n", errname(errno));
    else printf("%zd bytes from %s port %d (%d): %d/%d\n", got, inet_ntop(AF_INET6, &from.v6.sin6_addr, a, sizeof a),
                ntohs(from.v6.sin6_port), (int)n, buf[0], buf[1]);
}

static void six(void)
{
    section("IPv6");
    unsigned char m[2000];
    address a = loopback(AF_INET6, 0), b;
    socklen_t n = sizeof b;
    int s = (int)MUST(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
    MUST(getsockname(s, &b.any, &n));
    SHOW(ntohs(b.v6.sin6_port));
    SHOW(get_int(s, IPPROTO_IPV6, IPV6_CHECKSUM));
    SHOW(set_int(s, IPPROTO_IPV6, IPV6_CHECKSUM, 2));
    SHOW(sendto(s, m, echo(m, ICMP6_ECHO_REQUEST, 5, 1, 30), 0, &a.any, sizeof a.v6));
    packet6(s), packet6(s), packet6(s);
    struct icmp6_filter f;
    ICMP6_FILTER_SETBLOCKALL(&f);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &f);
    SHOW(setsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f));
    memset(&f, 0, sizeof f);
    n = sizeof f;
    SHOW(getsockopt(s, IPPROTO_ICMPV6, ICMP6_FILTER, &f, &n));
    SHOW(n);
    SHOW(ICMP6_FILTER_WILLPASS(ICMP6_ECHO_REPLY, &f) && !ICMP6_FILTER_WILLPASS(ICMP6_ECHO_REQUEST, &f));
    SHOW(set_int(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
    SHOW(sendto(s, m, echo(m, ICMP6_ECHO_REQUEST, 5, 2, 30), 0, &a.any, sizeof a.v6));
    packet6(s), packet6(s);
    a.v6.sin6_port = htons(17);
    SHOW(sendto(s, m, 40, 0, &a.any, sizeof a.v6));
    a.v6.sin6_port = htons(IPPROTO_ICMPV6);
    SHOW(sendto(s, m, echo(m, ICMP6_ECHO_REQUEST, 5, 3, 30), 0, &a.any, sizeof a.v6));
    packet6(s);
    a.v6.sin6_port = 0;
    address four = to4("127.0.0.1", 0);
    SHOW(sendto(s, m, 40, 0, &four.any, sizeof four.v4));
    SHOW(bind(s, &four.any, sizeof four.v4));
    SHOW(bind(s, &a.any, sizeof a.v6));
    inet_pton(AF_INET6, "2001:db8::1", &a.v6.sin6_addr);
    SHOW(bind(s, &a.any, sizeof a.v6));
    a = loopback(AF_INET6, 0);
    section("IPv6, another protocol");
    int x = (int)MUST(socket(AF_INET6, SOCK_RAW, 200)), y = (int)MUST(socket(AF_INET6, SOCK_RAW, 200));
    SHOW(get_int(x, IPPROTO_IPV6, IPV6_CHECKSUM));
    SHOW(set_int(x, IPPROTO_IPV6, IPV6_CHECKSUM, 3));
    SHOW(set_int(x, IPPROTO_IPV6, IPV6_CHECKSUM, 4));
    SHOW(get_int(x, IPPROTO_IPV6, IPV6_CHECKSUM));
    memset(m, 0, 10);
    SHOW(sendto(x, m, 10, 0, &a.any, sizeof a.v6));
    packet6(x), packet6(y);
    printf("%d\n", buf[4] | buf[5]);
    SHOW(sendto(y, m, 10, 0, &a.any, sizeof a.v6));
    packet6(x), packet6(y);
    SHOW(sendto(x, m, 5, 0, &a.any, sizeof a.v6));
    SHOW(set_int(x, IPPROTO_IPV6, IPV6_CHECKSUM, -1));
    SHOW(sendto(x, m, 5, 0, &a.any, sizeof a.v6));
    packet6(x), packet6(y);
}

static void ping(void)
{
    section("ping sockets");
    unsigned char m[100];
    int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)), t = (int)MUST(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    SHOW(get_int(s, SOL_SOCKET, SO_TYPE));
    SHOW(get_int(s, SOL_SOCKET, SO_PROTOCOL));
    address a = to4("127.0.0.1", 0x4321);
    socklen_t n = sizeof a;
    SHOW(bind(s, &a.any, sizeof a.v4));
    MUST(getsockname(s, &a.any, &n));
    printf("%#x\n", ntohs(a.v4.sin_port));
    SHOW(send4(s, m, echo(m, ICMP_ECHO, 1, 9, 12), "127.0.0.1"));
    memset(m, 0, sizeof m);
    SHOW(recvfrom(s, m, sizeof m, 0, &a.any, &n));
    printf("%s port %d: %d id %#x seq %d sum %s\n", inet_ntoa(a.v4.sin_addr), ntohs(a.v4.sin_port), m[0], m[4] << 8 | m[5], m[7],
           sum16(m, 20, 0) == 0xffff ? "good" : "bad");
    SHOW(recv(s, m, sizeof m, MSG_DONTWAIT));
    SHOW(recv(t, m, sizeof m, MSG_DONTWAIT));
    SHOW(send4(s, m, echo(m, ICMP_ECHOREPLY, 1, 9, 12), "127.0.0.1"));
    SHOW(send4(s, m, 7, "127.0.0.1"));
    SHOW(send4(t, m, echo(m, ICMP_ECHO, 1, 10, 12), "127.0.0.1"));
    SHOW(recv(t, m, sizeof m, 0));
    SHOW(recv(s, m, sizeof m, MSG_DONTWAIT));
    a = to4("127.0.0.1", 0x4321);
    SHOW(bind(t, &a.any, sizeof a.v4));
    int six = (int)MUST(socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6));
    a = loopback(AF_INET6, 0);
    SHOW(connect(six, &a.any, sizeof a.v6));
    SHOW(send(six, m, echo(m, ICMP6_ECHO_REQUEST, 1, 10, 12), 0));
    SHOW(recv(six, m, sizeof m, 0));
    SHOW(m[0]);
}

int main(void)
{
    open_and_name();
    four();
    six();
    ping();
    return done();
}
