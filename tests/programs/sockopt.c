// Socket options are honoured or refused; what is set is read back.
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

int main(void)
{
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
    b.v4.sin_addr.s_addr = inet_addr("192.0.2.77"); /* documentation address: nobody's */
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
