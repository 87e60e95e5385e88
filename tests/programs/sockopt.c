// Socket options are honoured or refused; values that are set are read back.
//@ shows setsockopt getsockopt
#include "net.h"
#include <sys/ioctl.h>

static void flag(int s, int level, int option, const char *name, int value)
{
    int got = -1;
    socklen_t n = sizeof got;
    errno = 0;
    int r = setsockopt(s, level, option, &value, sizeof value), e = errno;
    int q = getsockopt(s, level, option, &got, &n);
    printf("%s %d: set %s, get %s %d\n", name, value, r ? errname(e) : "ok", q ? errname(errno) : "ok", q ? 0 : got);
}

#define FLAG(s, level, option, value) flag(s, level, option, #option, value)

/* Sets and reads back; also with every length that is too short. */
static void row(int s, int level, int option, int value)
{
    int got = 0, r = setsockopt(s, level, option, &value, sizeof value), e = errno;
    socklen_t n = sizeof got;
    int q = getsockopt(s, level, option, &got, &n);
    printf(" %s", r ? errname(e) : "ok");
    if (q) printf("/%s", errname(errno));
    else printf("=%d", got);
}

static const struct { const char *name; int family, type; } kinds[] = {
    { "tcp", AF_INET, SOCK_STREAM }, { "tcp6", AF_INET6, SOCK_STREAM }, { "udp", AF_INET, SOCK_DGRAM },
    { "udp6", AF_INET6, SOCK_DGRAM }, { "stream", AF_UNIX, SOCK_STREAM }, { "dgram", AF_UNIX, SOCK_DGRAM },
    { "seqpacket", AF_UNIX, SOCK_SEQPACKET }, { "netlink", AF_NETLINK, SOCK_RAW },
};

#define EVERY 0xff
#define INTERNET 0xf
#define SIX (2 | 8)
#define DATAGRAM (4 | 8)
#define LOCAL 0xf0
#define END -12345

/* Kinds of sockets, level, option, values. Only options that need no privilege and behave the same on any current
   Linux. */
static const struct { int kinds, level, option, values[8]; } rows[] = {
    { EVERY, SOL_SOCKET, SO_REUSEADDR, { 1, 0, -1, END } },
    { EVERY, SOL_SOCKET, SO_REUSEPORT, { 0, 1, END } },
    { EVERY, SOL_SOCKET, SO_DONTROUTE, { 0, 7, END } },
    { EVERY, SOL_SOCKET, SO_BROADCAST, { 0, 1, END } },
    { EVERY, SOL_SOCKET, SO_KEEPALIVE, { 0, 100, END } },
    { EVERY, SOL_SOCKET, SO_OOBINLINE, { 0, 1, END } },
    { EVERY, SOL_SOCKET, SO_BSDCOMPAT, { 0, 1, END } },
    { EVERY, SOL_SOCKET, SO_PRIORITY, { 0, 6, 3, END } },
    { EVERY, SOL_SOCKET, SO_PASSCRED, { 0, 1, END } },
    { EVERY, SOL_SOCKET, SO_SNDBUF, { 0, 1, 2303, 20000, 65536, END } },
    { EVERY, SOL_SOCKET, SO_RCVBUF, { 0, 1, 2303, 20000, 65536, END } },
    { EVERY, SOL_SOCKET, SO_RCVLOWAT, { 0, 1, 100, END } },
    { EVERY & ~3, SOL_SOCKET, SO_RCVLOWAT, { -1, END } },
    { EVERY & ~3, SOL_SOCKET, SO_TIMESTAMP, { 0, 1, END } },
    { EVERY & ~3, SOL_SOCKET, SO_TIMESTAMPNS, { 0, 1, END } },
    { EVERY, SOL_SOCKET, SO_SNDLOWAT, { 1, END } },
    { EVERY, SOL_SOCKET, SO_TYPE, { 1, END } },
    { EVERY, SOL_SOCKET, SO_DOMAIN, { 1, END } },
    { EVERY, SOL_SOCKET, SO_PROTOCOL, { 1, END } },
    { EVERY, SOL_SOCKET, SO_ERROR, { 0, END } },
    { EVERY, SOL_SOCKET, SO_ACCEPTCONN, { 0, END } },
    /* Accepted only with their current value. */
    { EVERY, SOL_SOCKET, SO_NO_CHECK, { 0, END } },
    { EVERY, SOL_SOCKET, SO_RXQ_OVFL, { 0, END } },
    { EVERY, SOL_SOCKET, SO_BUSY_POLL, { 0, END } },
    { EVERY, SOL_SOCKET, SO_MAX_PACING_RATE, { -1, END } },
    { EVERY, SOL_SOCKET, SO_INCOMING_CPU, { -1, END } },
    { INTERNET, SOL_SOCKET, SO_ZEROCOPY, { 0, END } },
    { EVERY, SOL_SOCKET, 9999, { 0, 1, END } },
    { EVERY, IPPROTO_IP, IP_TOS, { 0, 0x10, 0xb8, 3, 300, -1, END } },
    { EVERY, IPPROTO_IP, IP_TTL, { 1, 255, -1, 0, 256, -2, END } },
    { INTERNET, IPPROTO_IP, IP_PKTINFO, { 0, 2, END } },
    { INTERNET, IPPROTO_IP, IP_RECVTTL, { 0, 2, END } },
    { INTERNET, IPPROTO_IP, IP_RECVTOS, { 0, 2, END } },
    { INTERNET, IPPROTO_IP, IP_MTU_DISCOVER, { 0, 1, 2, 3, 5, 6, -1, END } },
    { DATAGRAM, IPPROTO_IP, IP_MULTICAST_TTL, { 0, 255, -1, 256, END } },
    { INTERNET, IPPROTO_IP, IP_MULTICAST_LOOP, { 0, 2, END } },
    { INTERNET, IPPROTO_IP, 49 /* IP_MULTICAST_ALL */, { 0, 1, 2, END } },
    { EVERY, IPPROTO_IP, 9999, { 0, END } },
    { EVERY, IPPROTO_IPV6, IPV6_V6ONLY, { 1, 0, END } },
    { SIX, IPPROTO_IPV6, IPV6_UNICAST_HOPS, { 0, 255, -1, 256, -2, END } },
    { DATAGRAM, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, { 0, 255, -1, 256, END } },
    { SIX, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, { 0, 1, 2, END } },
    { SIX, IPPROTO_IPV6, 29 /* IPV6_MULTICAST_ALL */, { 0, 1, END } },
    { SIX, IPPROTO_IPV6, IPV6_RECVPKTINFO, { 0, 2, END } },
    { SIX, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, { 0, 2, END } },
    { SIX, IPPROTO_IPV6, IPV6_RECVTCLASS, { 0, 2, END } },
    { SIX, IPPROTO_IPV6, IPV6_TCLASS, { 0, 0x28, 255, -1, 256, END } },
    { SIX, IPPROTO_IPV6, IPV6_MTU_DISCOVER, { 0, 2, 6, END } },
    { SIX, IPPROTO_IPV6, IPV6_DONTFRAG, { 0, 1, END } },
    { EVERY, IPPROTO_IPV6, 9999, { 0, END } },
    { EVERY & ~3, IPPROTO_TCP, TCP_NODELAY, { 0, END } },
    { 3, IPPROTO_TCP, TCP_DEFER_ACCEPT, { 1, 2, 30, 100, 0, END } },
    { EVERY & ~DATAGRAM, IPPROTO_UDP, 1, { 0, END } },
    { DATAGRAM, IPPROTO_UDP, 1 /* UDP_CORK */, { 1, 0, END } },
    { EVERY, 999, 1, { 0, END } },
    { EVERY, -1, 1, { 0, END } },
    { EVERY, IPPROTO_ICMPV6, 1, { 0, END } },
};

static void every_kind(void)
{
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        section(kinds[k].name);
        for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
            if (!(rows[i].kinds >> k & 1)) continue;
            int s = (int)MUST(socket(kinds[k].family, kinds[k].type, 0)), level = rows[i].level, option = rows[i].option;
            printf("%d %d:", level, option);
            for (const int *v = rows[i].values; *v != END; v++) row(s, level, option, *v);
            printf("\n");
            close(s);
        }
        int s = (int)MUST(socket(kinds[k].family, kinds[k].type, 0)), v = 1;
        char bytes[8];
        socklen_t n;
        for (unsigned length = 0; length < 9; length += 1 + length / 4 * 3) {
            int r = setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, length), e = errno;
            n = length;
            int q = getsockopt(s, SOL_SOCKET, SO_TYPE, bytes, &n);
            printf("%u bytes: set %s, get %d of %u\n", length, r ? errname(e) : "ok", q, n);
        }
        SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &v, (socklen_t)-1));
        n = (socklen_t)-1;
        SHOW(getsockopt(s, SOL_SOCKET, SO_TYPE, bytes, &n));
        struct linger l = { 1, 77 };
        SHOW(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, 4));
        MUST(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l));
        l = (struct linger){ 0, 5 };
        MUST(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof l));
        n = sizeof l;
        MUST(getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &n));
        printf("linger %d %d\n", l.l_onoff, l.l_linger);
        uint64_t cookies[2] = { 0, 0 };
        n = 8;
        MUST(getsockopt(s, SOL_SOCKET, SO_COOKIE, cookies, &n));
        MUST(getsockopt(s, SOL_SOCKET, SO_COOKIE, cookies + 1, &n));
        IS(n == 8 && cookies[0] != 0 && cookies[0] == cookies[1]);
        close(s);
    }
}

/* What an accepted connection inherits from its listener. */
static void inherited(void)
{
    section("inherited");
    address a;
    int l = listener(AF_INET, &a, 5), on = 1, tos = 0x50, low = 100, v;
    struct timeval t = { 3, 0 };
    MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    MUST(setsockopt(l, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
    MUST(setsockopt(l, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
    MUST(setsockopt(l, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    MUST(setsockopt(l, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    socklen_t n = sizeof v;
    MUST(getsockopt(l, SOL_SOCKET, SO_PRIORITY, &v, &n));
    SHOW(v);
    int c = connected(&a), s = (int)MUST(accept(l, 0, 0));
    int options[] = { SO_KEEPALIVE, SO_OOBINLINE, SO_RCVLOWAT, SO_PRIORITY };
    for (int i = 0; i < 4; i++) {
        MUST(getsockopt(s, SOL_SOCKET, options[i], &v, &n));
        printf("%d: %d\n", options[i], v);
    }
    MUST(getsockopt(s, IPPROTO_IP, IP_TOS, &v, &n));
    SHOW(v);
    n = sizeof t;
    MUST(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &t, &n));
    SHOW(t.tv_sec);
    /* Until SO_RCVLOWAT is reached, or the peer ends. */
    char buf[200];
    MUST(send(c, buf, 60, 0));
    wait_for(s, POLLIN);
    MUST(send(c, buf, 60, 0));
    SHOW(recv(s, buf, sizeof buf, 0) >= 100);
    int more = 65536;
    SHOW(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &more, sizeof more));
    SHOW(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &more, sizeof more));
    more = 4096;
    SHOW(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &more, sizeof more));
    n = sizeof v;
    MUST(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &n));
    SHOW(v);
    close(c), close(s), close(l);
}

static void device(void)
{
    section("device");
    address a = loopback(AF_INET, 0);
    char name[16];
    int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), none = 0;
    socklen_t n = sizeof name;
    SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "nosuch0", 8));
    SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    SHOW(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    printf("%.*s %u\n", (int)n, name, n);
    MUST(bind(s, &a.any, sizeof a.v4));
    n = sizeof a;
    MUST(getsockname(s, &a.any, &n));
    SHOW(sendto(s, "self", 4, 0, &a.any, sizeof a.v4));
    SHOW(recv(s, name, sizeof name, MSG_DONTWAIT));
    SHOW(setsockopt(s, SOL_SOCKET, 62 /* SO_BINDTOIFINDEX */, &none, sizeof none));
    n = sizeof name;
    SHOW(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
    SHOW(n);
}

static void refused(void)
{
    section("sockets that there are not");
    int pair[2];
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, pair));
    SHOW(socketpair(AF_INET, SOCK_STREAM, IPPROTO_UDP, pair));
    SHOW(socketpair(AF_INET, SOCK_DGRAM, IPPROTO_TCP, pair));
    SHOW(socketpair(AF_INET6, SOCK_STREAM, 0, pair));
    SHOW(socketpair(AF_INET, 77, 0, pair));
    SHOW(socketpair(AF_INET, SOCK_SEQPACKET, 0, pair) == -1 && errno == 94 /* ESOCKTNOSUPPORT */);
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (void *)8));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 9, pair));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, -1, pair));
    SHOW(socketpair(AF_NETLINK, SOCK_RAW, 0, pair));
    SHOW(socketpair(200, SOCK_STREAM, 0, pair));
    SHOW(socket(AF_INET, SOCK_STREAM, 9999));
    SHOW(socket(AF_INET6, SOCK_DGRAM, -1));
    SHOW(socket(AF_INET, SOCK_RAW, 0));
    SHOW(socket(AF_INET, 0, 0) == -1 && errno == 94);
    SHOW(socket(AF_INET, SOCK_RDM, 0) == -1 && errno == 94);
    SHOW(socket(AF_UNIX, SOCK_STREAM, 2));
}

int main(void)
{
    every_kind();
    inherited();
    device();
    refused();
    int tcp = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    int six = (int)MUST(socket(AF_INET6, SOCK_STREAM, 0)), v;
    socklen_t n = sizeof v;
    section("flags");
    FLAG(tcp, IPPROTO_TCP, TCP_NODELAY, 1);
    FLAG(tcp, IPPROTO_TCP, TCP_NODELAY, 0);
    FLAG(tcp, IPPROTO_TCP, TCP_CORK, 1);
    FLAG(tcp, IPPROTO_TCP, TCP_CORK, 0);
    FLAG(tcp, SOL_SOCKET, SO_KEEPALIVE, 1);
    FLAG(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    FLAG(tcp, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    FLAG(tcp, IPPROTO_TCP, TCP_KEEPCNT, 3);
    FLAG(tcp, SOL_SOCKET, SO_REUSEADDR, 1);
    FLAG(tcp, SOL_SOCKET, SO_REUSEPORT, 1);
    FLAG(udp, SOL_SOCKET, SO_BROADCAST, 1);
    FLAG(six, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    FLAG(six, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    FLAG(tcp, IPPROTO_IP, IP_TTL, 33);
    FLAG(tcp, SOL_SOCKET, 9999, 1);
    FLAG(tcp, IPPROTO_TCP, 9999, 1);
    FLAG(udp, IPPROTO_TCP, TCP_NODELAY, 1);
    section("facts");
    MUST(getsockopt(tcp, SOL_SOCKET, SO_TYPE, &v, &n));
    SHOW(v == SOCK_STREAM);
    MUST(getsockopt(udp, SOL_SOCKET, SO_TYPE, &v, &n));
    SHOW(v == SOCK_DGRAM);
    MUST(getsockopt(six, SOL_SOCKET, SO_DOMAIN, &v, &n));
    SHOW(v == AF_INET6);
    MUST(getsockopt(tcp, SOL_SOCKET, SO_PROTOCOL, &v, &n));
    SHOW(v == IPPROTO_TCP);
    MUST(getsockopt(tcp, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
    SHOW(v);
    MUST(getsockopt(tcp, SOL_SOCKET, SO_ERROR, &v, &n));
    SHOW(v);
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_ERROR, &v, n));
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &v, 1));
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, (void *)8, 4));
    SHOW(setsockopt(99, SOL_SOCKET, SO_REUSEADDR, &v, 4));
    SHOW(setsockopt(1, SOL_SOCKET, SO_REUSEADDR, &v, 4));
    int small = 4096;
    MUST(getsockopt(tcp, SOL_SOCKET, SO_SNDBUF, &v, &n));
    IS(v >= 16384);
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_RCVBUF, &small, 4));
    MUST(getsockopt(tcp, SOL_SOCKET, SO_RCVBUF, &v, &n));
    IS(v >= small && v < 65536);
    struct linger l = { 1, 3 };
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    socklen_t ln = sizeof l;
    MUST(getsockopt(tcp, SOL_SOCKET, SO_LINGER, &l, &ln));
    printf("linger %d %d\n", l.l_onoff, l.l_linger);
    struct timeval tv = { 2, 500000 };
    SHOW(setsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
    ln = sizeof tv;
    MUST(getsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &tv, &ln));
    printf("timeout %ld.%ld\n", (long)tv.tv_sec, (long)tv.tv_usec);

    section("bind");
    address a, b;
    int s = listener(AF_INET, &a, 3);
    MUST(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
    SHOW(v);
    int t = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));
    SHOW(bind(t, &a.any, sizeof a.v4));
    SHOW(bind(t, &a.any, 4));
    b = a;
    b.v4.sin_addr.s_addr = inet_addr("192.0.2.77"); /* documentation address: assigned to no host */
    SHOW(bind(t, &b.any, sizeof b.v4));
    b = loopback(AF_INET6, 0);
    SHOW(bind(t, &b.any, sizeof b.v6));
    SHOW(bind(99, &a.any, sizeof a.v4));
    SHOW(connect(s, &a.any, sizeof a.v4));
    SHOW(listen(udp, 1));
    SHOW(accept(udp, 0, 0));
    SHOW(accept(tcp, 0, 0));
    SHOW(getpeername(tcp, &b.any, &n));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    SHOW(socket(AF_INET, 77, 0));
    SHOW(socket(200, SOCK_STREAM, 0));
    SHOW(setsockopt(t, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, 4));
    SHOW(bind(t, &a.any, sizeof a.v4));

    section("reuseport");
    int r1 = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), r2 = (int)MUST(socket(AF_INET, SOCK_STREAM, 0)), one = 1;
    MUST(setsockopt(r1, SOL_SOCKET, SO_REUSEPORT, &one, 4));
    MUST(setsockopt(r2, SOL_SOCKET, SO_REUSEPORT, &one, 4));
    b = loopback(AF_INET, 0);
    MUST(bind(r1, &b.any, sizeof b.v4));
    n = sizeof b;
    MUST(getsockname(r1, &b.any, &n));
    SHOW(bind(r2, &b.any, sizeof b.v4));
    SHOW(listen(r1, 8));
    SHOW(listen(r2, 8));
    int reached = 0;
    for (int i = 0; i < 6; i++) {
        close(connected(&b));
        struct pollfd f[2] = { { r1, POLLIN, 0 }, { r2, POLLIN, 0 } };
        poll(f, 2, 5000);
        for (int k = 0; k < 2; k++)
            if (f[k].revents & POLLIN) close(accept(f[k].fd, 0, 0)), reached++;
    }
    SHOW(reached);
    section("ioctl");
    int p[2], bytes = -1;
    tcp_pair(AF_INET, p);
    MUST(write(p[0], "12345", 5));
    wait_for(p[1], POLLIN);
    SHOW(ioctl(p[1], FIONREAD, &bytes));
    SHOW(bytes);
    int on = 1;
    SHOW(ioctl(p[1], FIONBIO, &on));
    SHOW(fcntl(p[1], F_GETFL) & O_NONBLOCK);
    struct tcp_info info;
    n = sizeof info;
    SHOW(getsockopt(p[0], IPPROTO_TCP, TCP_INFO, &info, &n));
    IS(info.tcpi_state == TCP_ESTABLISHED);
    return done();
}
