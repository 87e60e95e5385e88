// Multicast on the loopback interface, and what control messages report of the header: TTL, TOS, hop limit, address.
#include "net.h"
#include <net/if.h>

#define GROUP "239.7.7.7"
#define OTHER "239.7.7.8"

static char buf[1000];

static int bound(const char *at, int *port)
{
    address a = loopback(AF_INET, *port);
    int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), one = 1;
    MUST(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    a.v4.sin_addr.s_addr = inet_addr(at);
    MUST(bind(s, &a.any, sizeof a.v4));
    socklen_t n = sizeof a;
    MUST(getsockname(s, &a.any, &n));
    *port = ntohs(a.v4.sin_port);
    return s;
}

static long to(int s, const char *group, int port)
{
    address a = loopback(AF_INET, port);
    a.v4.sin_addr.s_addr = inet_addr(group);
    return sendto(s, "hello", 5, 0, &a.any, sizeof a.v4);
}

/* What recvmsg reports besides the data. */
static void told(int s)
{
    _Alignas(8) char control[400];
    struct iovec v = { buf, sizeof buf };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    ssize_t got = recvmsg(s, &m, MSG_DONTWAIT);
    printf("recvmsg %zd:", got);
    if (got < 0) m.msg_controllen = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        int n = 0;
        size_t length = c->cmsg_len - CMSG_LEN(0);
        memcpy(&n, CMSG_DATA(c), length < sizeof n ? length : sizeof n);
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo *p = (void *)CMSG_DATA(c);
            printf(" to %s on lo %d", inet_ntoa(p->ipi_addr), p->ipi_ifindex == (int)if_nametoindex("lo"));
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo *p = (void *)CMSG_DATA(c);
            printf(" to %s", inet_ntop(AF_INET6, &p->ipi6_addr, buf, sizeof buf));
        } else if (c->cmsg_level == SOL_SOCKET) printf(" %s of %zu", c->cmsg_type == SO_TIMESTAMP ? "time" : "other", length);
        else printf(" %d/%d=%d of %zu", c->cmsg_level, c->cmsg_type, n, length);
    }
    printf("\n");
}

static int option(int s, int level, int name, int value) { return setsockopt(s, level, name, &value, sizeof value); }

static void groups(void)
{
    int port = 0, any = bound("0.0.0.0", &port), second = bound("0.0.0.0", &port), at = bound(GROUP, &port);
    int out = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct in_addr lo = { htonl(INADDR_LOOPBACK) }, read = { 1 };
    struct ip_mreqn by_index = { { inet_addr(GROUP) }, { 0 }, (int)if_nametoindex("lo") };
    struct ip_mreq by_address = { { inet_addr(GROUP) }, lo };
    section("membership");
    socklen_t n = sizeof read;
    SHOW(getsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &read, &n));
    IS(read.s_addr == 0 && n == 4);
    SHOW(setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    MUST(getsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &read, &n));
    IS(read.s_addr == lo.s_addr);
    struct in_addr nobody = { inet_addr("192.0.2.77") };
    SHOW(setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &nobody, sizeof nobody));
    SHOW(setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &lo, 3));
    SHOW(to(out, GROUP, port));
    SHOW(recv(any, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_index, sizeof by_index));
    SHOW(setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address));
    SHOW(setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, 7));
    struct ip_mreq wrong = { lo, lo }, nowhere = { { inet_addr(GROUP) }, nobody };
    SHOW(setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &wrong, sizeof wrong));
    SHOW(setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &nowhere, sizeof nowhere));
    section("delivery");
    SHOW(to(out, GROUP, port));
    SHOW(recv(any, buf, 99, MSG_DONTWAIT));
    SHOW(recv(any, buf, 99, MSG_DONTWAIT));
    SHOW(recv(second, buf, 99, MSG_DONTWAIT)); /* not a member, but IP_MULTICAST_ALL */
    SHOW(recv(at, buf, 99, MSG_DONTWAIT));
    SHOW(option(second, IPPROTO_IP, 49 /* IP_MULTICAST_ALL */, 0));
    SHOW(to(out, OTHER, port));
    SHOW(to(out, GROUP, port));
    SHOW(recv(any, buf, 99, MSG_DONTWAIT));
    SHOW(recv(any, buf, 99, MSG_DONTWAIT));
    SHOW(recv(second, buf, 99, MSG_DONTWAIT));
    SHOW(recv(at, buf, 99, MSG_DONTWAIT));
    SHOW(to(out, "127.0.0.1", port)); /* not for a socket bound to the group */
    SHOW(recv(at, buf, 99, MSG_DONTWAIT));
    SHOW(option(out, IPPROTO_IP, IP_MULTICAST_LOOP, 0)); /* over the loopback interface it is not an echo */
    SHOW(to(out, GROUP, port));
    SHOW(recv(at, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(any, IPPROTO_IP, IP_DROP_MEMBERSHIP, &by_address, sizeof by_address));
    SHOW(setsockopt(any, IPPROTO_IP, IP_DROP_MEMBERSHIP, &by_address, sizeof by_address));
    while (recv(any, buf, 99, MSG_DONTWAIT) >= 0) {}
    SHOW(to(out, GROUP, port));
    SHOW(recv(any, buf, 99, MSG_DONTWAIT));
    section("any protocol");
    struct group_req r = { if_nametoindex("lo"), { 0 } };
    address g = loopback(AF_INET, 0);
    g.v4.sin_addr.s_addr = inet_addr(GROUP);
    memcpy(&r.gr_group, &g, sizeof g.v4);
    SHOW(setsockopt(second, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof r));
    SHOW(to(out, GROUP, port));
    SHOW(recv(second, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(second, IPPROTO_IP, MCAST_LEAVE_GROUP, &r, sizeof r));
    SHOW(setsockopt(second, IPPROTO_IP, MCAST_LEAVE_GROUP, &r, sizeof r));
    int tcp = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), many = 0;
    IS(setsockopt(tcp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address) == -1);
    for (int i = 1; i < 30; i++) {
        by_address.imr_multiaddr.s_addr = htonl(0xef070700 + (unsigned)i);
        if (!setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address)) many++;
    }
    SHOW(many);
    SHOW(setsockopt(any, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address));
    section("control messages");
    by_address.imr_multiaddr.s_addr = inet_addr(GROUP);
    MUST(setsockopt(second, IPPROTO_IP, IP_ADD_MEMBERSHIP, &by_address, sizeof by_address));
    while (recv(second, buf, 99, MSG_DONTWAIT) >= 0) {}
    SHOW(option(second, IPPROTO_IP, IP_RECVTTL, 1));
    SHOW(option(second, IPPROTO_IP, IP_RECVTOS, 1));
    SHOW(option(second, IPPROTO_IP, IP_PKTINFO, 1));
    SHOW(option(second, SOL_SOCKET, SO_TIMESTAMP, 1));
    SHOW(to(out, GROUP, port));
    told(second);
    SHOW(option(out, IPPROTO_IP, IP_MULTICAST_TTL, 7));
    SHOW(option(out, IPPROTO_IP, IP_TOS, 0xb8));
    SHOW(option(second, SOL_SOCKET, SO_TIMESTAMP, 0));
    SHOW(to(out, GROUP, port));
    told(second);
    SHOW(option(out, IPPROTO_IP, IP_TTL, 99));
    close(any), close(at);
    SHOW(to(out, "127.0.0.1", port));
    told(second);
    /* For one datagram. */
    _Alignas(8) char control[100] = { 0 };
    address a = loopback(AF_INET, port);
    struct iovec v = { "x", 1 };
    struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof a.v4, .msg_iov = &v, .msg_iovlen = 1,
                        .msg_control = control, .msg_controllen = CMSG_SPACE(4) * 2 };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL };
    *(int *)CMSG_DATA(c) = 11;
    c = CMSG_NXTHDR(&m, c);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(4), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TOS };
    *(int *)CMSG_DATA(c) = 0x20;
    SHOW(sendmsg(out, &m, 0));
    told(second);
    *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m)) = 256;
    SHOW(sendmsg(out, &m, 0));
    CMSG_FIRSTHDR(&m)->cmsg_level = 999; /* unknown level: ignored */
    SHOW(sendmsg(out, &m, 0));
    told(second);
}

/* Who is heard in a group (RFC 3678). */
static int source(int s, int name, const char *group, const char *from)
{
    struct ip_mreq_source r = { { inet_addr(group) }, { htonl(INADDR_LOOPBACK) }, { inet_addr(from) } };
    return setsockopt(s, IPPROTO_IP, name, &r, sizeof r);
}

static long say(const char *from, const char *group, int port)
{
    int out = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    struct in_addr lo = { htonl(INADDR_LOOPBACK) };
    address a = loopback(AF_INET, 0);
    a.v4.sin_addr.s_addr = inet_addr(from);
    MUST(bind(out, &a.any, sizeof a.v4));
    MUST(setsockopt(out, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
    long n = to(out, group, port);
    close(out);
    return n;
}

static void sources(void)
{
    section("sources");
    int port = 0, s = bound("0.0.0.0", &port), other = bound("0.0.0.0", &port);
    SHOW(source(s, IP_BLOCK_SOURCE, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_ADD_SOURCE_MEMBERSHIP, "127.0.0.9", "127.0.0.3"));
    SHOW(source(s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.4"));
    SHOW(source(s, IP_BLOCK_SOURCE, GROUP, "127.0.0.5"));
    SHOW(say("127.0.0.5", GROUP, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(recv(other, buf, 99, MSG_DONTWAIT)); /* no member: hears what stays on this host, whoever else wants it */
    SHOW(say("127.0.0.4", GROUP, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(recv(other, buf, 99, MSG_DONTWAIT));
    SHOW(source(s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.4"));
    SHOW(source(s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.4"));
    SHOW(say("127.0.0.4", GROUP, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(source(s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "127.0.0.3"));
    struct ip_mreq all = { { inet_addr(GROUP) }, { htonl(INADDR_LOOPBACK) } };
    SHOW(setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &all, sizeof all));
    SHOW(source(s, IP_BLOCK_SOURCE, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_BLOCK_SOURCE, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "127.0.0.4"));
    SHOW(say("127.0.0.3", GROUP, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(say("127.0.0.4", GROUP, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(source(s, IP_UNBLOCK_SOURCE, GROUP, "127.0.0.3"));
    SHOW(source(s, IP_UNBLOCK_SOURCE, GROUP, "127.0.0.3"));
    SHOW(say("127.0.0.3", GROUP, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    int many = 0;
    for (int i = 1; i < 20; i++) {
        char from[20];
        snprintf(from, sizeof from, "127.0.1.%d", i);
        many += source(s, IP_BLOCK_SOURCE, GROUP, from) == 0;
    }
    SHOW(many);
    SHOW(source(s, IP_BLOCK_SOURCE, GROUP, "127.0.2.1"));
    SHOW(setsockopt(s, IPPROTO_IP, IP_BLOCK_SOURCE, &all, sizeof all));
    struct group_source_req r = { .gsr_interface = if_nametoindex("lo") };
    address a = loopback(AF_INET, 0);
    a.v4.sin_addr.s_addr = inet_addr(OTHER), memcpy(&r.gsr_group, &a, sizeof a.v4);
    a.v4.sin_addr.s_addr = inet_addr("127.0.0.8"), memcpy(&r.gsr_source, &a, sizeof a.v4);
    SHOW(setsockopt(s, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &r, sizeof r));
    SHOW(say("127.0.0.7", OTHER, port));
    SHOW(say("127.0.0.8", OTHER, port));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(recv(s, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(s, IPPROTO_IP, MCAST_BLOCK_SOURCE, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &r, 20));
}

static void six(void)
{
    section("IPv6");
    address a = loopback(AF_INET6, 0);
    socklen_t n = sizeof a;
    int s = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0)), out = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    a.v6.sin6_addr = in6addr_any;
    MUST(bind(s, &a.any, sizeof a.v6));
    MUST(getsockname(s, &a.any, &n));
    struct ipv6_mreq r = { .ipv6mr_interface = if_nametoindex("lo") };
    inet_pton(AF_INET6, "ff15::7:7", &r.ipv6mr_multiaddr);
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, 19));
    SHOW(option(out, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex("lo")));
    SHOW(option(out, IPPROTO_IPV6, IPV6_MULTICAST_IF, 9999));
    SHOW(option(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1));
    SHOW(option(s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1));
    SHOW(option(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
    a.v6.sin6_addr = in6addr_loopback;
    SHOW(sendto(out, "uni", 3, 0, &a.any, sizeof a.v6));
    told(s);
    SHOW(option(out, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5));
    SHOW(option(out, IPPROTO_IPV6, IPV6_TCLASS, 0x28));
    SHOW(sendto(out, "uni", 3, 0, &a.any, sizeof a.v6));
    told(s);
    /* Whether the loopback interface takes IPv6 multicasts depends on Linux's routes. */
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &r, sizeof r));
    r.ipv6mr_multiaddr = in6addr_loopback;
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_JOIN_GROUP, &r, sizeof r));
    SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &r, sizeof r));
}

int main(void)
{
    groups();
    sources();
    six();
    return done();
}
