// Packet sockets and filters over the loopback interface.
//@ network own
#include "own_net.h"
#include "filter.h"
#include <netinet/if_ether.h>
#include <netpacket/packet.h>

#define TYPE 0x88b5 /* for experiments */

static unsigned char buf[70000];
static int lo;

static struct sockaddr_ll at(int index, int protocol)
{
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = index };
    a.sll_halen = 6;
    return a;
}

static int opened(int type, int protocol)
{
    struct sockaddr_ll a = at(lo, protocol);
    int s = (int)MUST(socket(AF_PACKET, type | SOCK_NONBLOCK, htons((uint16_t)protocol)));
    MUST(bind(s, (void *)&a, sizeof a));
    return s;
}

static void frame(int s)
{
    struct sockaddr_ll a = { 0 };
    socklen_t n = sizeof a;
    ssize_t got = recvfrom(s, buf, sizeof buf, 0, (void *)&a, &n);
    if (got < 0) {
        printf("nothing: %s\n", errname(errno));
        return;
    }
    printf("%zd bytes (%d): family %d protocol %#x lo %d hardware %d kind %d address %d:%02x..%02x, first %02x %02x, last %02x\n", got,
           (int)n, a.sll_family, ntohs(a.sll_protocol), a.sll_ifindex == lo, a.sll_hatype, a.sll_pkttype, a.sll_halen, a.sll_addr[0],
           a.sll_addr[5], buf[0], buf[1], buf[got - 1]);
}

static void nothing(int s) { printf("%s\n", recv(s, buf, sizeof buf, 0) == -1 && errno == EAGAIN ? "nothing" : "something"); }

static void drain(int s) { while (recv(s, buf, sizeof buf, 0) >= 0) {} }

static void opening(void)
{
    section("opening");
    SHOW(socket(AF_PACKET, SOCK_STREAM, 0) == -1 && errno == 94 /* ESOCKTNOSUPPORT */);
    int s = (int)MUST(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
    SHOW(get_int(s, SOL_SOCKET, SO_TYPE));
    SHOW(get_int(s, SOL_SOCKET, SO_DOMAIN));
    SHOW(ntohs((uint16_t)get_int(s, SOL_SOCKET, SO_PROTOCOL)));
    struct sockaddr_ll a;
    socklen_t n = sizeof a;
    MUST(getsockname(s, (void *)&a, &n));
    printf("%d: %d %#x %d %d %d\n", (int)n, a.sll_family, ntohs(a.sll_protocol), a.sll_ifindex, a.sll_hatype, a.sll_halen);
    SHOW(getpeername(s, (void *)&a, &n));
    a = at(lo, 0);
    SHOW(connect(s, (void *)&a, sizeof a));
    SHOW(listen(s, 1));
    SHOW(shutdown(s, SHUT_RD));
    SHOW(bind(s, (void *)&a, 12));
    a.sll_ifindex = 4711;
    SHOW(bind(s, (void *)&a, sizeof a));
    a = at(lo, 0), a.sll_family = AF_INET;
    SHOW(bind(s, (void *)&a, sizeof a));
    a = at(lo, 0);
    SHOW(bind(s, (void *)&a, sizeof a));
    n = sizeof a;
    MUST(getsockname(s, (void *)&a, &n));
    printf("%d: %d %#x %d %d %d\n", (int)n, a.sll_family, ntohs(a.sll_protocol), a.sll_ifindex == lo, a.sll_hatype, a.sll_halen);
    close(s);
}

static void traffic(void)
{
    int all = opened(SOCK_RAW, ETH_P_ALL), one = opened(SOCK_RAW, TYPE), cooked = opened(SOCK_DGRAM, TYPE), other = opened(SOCK_RAW, TYPE + 1);
    int out = (int)MUST(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
    struct sockaddr_ll a = at(lo, TYPE);
    section("a frame");
    unsigned char f[60] = { 0 };
    f[12] = TYPE >> 8, f[13] = TYPE & 255, f[14] = 0x77, f[59] = 0x99, f[6] = 2, f[11] = 9;
    SHOW(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    frame(all), frame(all), nothing(all);
    frame(one), nothing(one);
    frame(cooked), nothing(cooked);
    nothing(other), nothing(out);
    section("for whom it is");
    memset(f, 255, 6);
    SHOW(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    frame(one);
    f[0] = 1;
    SHOW(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    frame(one);
    f[0] = 2;
    SHOW(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    frame(one);
    drain(all), drain(cooked);
    section("with a header of the kernel's");
    int sender = (int)MUST(socket(AF_PACKET, SOCK_DGRAM, 0));
    memset(a.sll_addr, 0, sizeof a.sll_addr);
    SHOW(sendto(sender, "cooked", 6, 0, (void *)&a, sizeof a));
    frame(one);
    frame(cooked);
    drain(all);
    section("a sender does not see its own");
    SHOW(send(all, f, sizeof f, 0));
    frame(all), nothing(all);
    drain(one), drain(cooked);
    section("errors");
    SHOW(send(out, f, sizeof f, 0));
    SHOW(sendto(out, f, sizeof f, 0, (void *)&a, 12));
    SHOW(sendto(out, f, 13, 0, (void *)&a, sizeof a));
    SHOW(sendto(out, buf, 66000, 0, (void *)&a, sizeof a));
    a.sll_ifindex = 4711;
    SHOW(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    a.sll_ifindex = lo;
    section("peek and truncate");
    MUST(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    SHOW(recv(one, buf, 20, MSG_PEEK));
    SHOW(recv(one, buf, 20, MSG_PEEK | MSG_TRUNC));
    int n = 0;
    SHOW(ioctl(one, FIONREAD, &n));
    SHOW(n);
    struct pollfd p = { one, POLLIN | POLLOUT, 0 };
    MUST(poll(&p, 1, 0));
    printf("%#x\n", (unsigned)p.revents);
    SHOW(recv(one, buf, 20, 0));
    MUST(poll(&p, 1, 0));
    printf("%#x\n", (unsigned)p.revents);
    drain(all), drain(cooked);
    section("statistics");
    struct tpacket_stats st;
    socklen_t l = sizeof st;
    SHOW(getsockopt(cooked, SOL_PACKET, PACKET_STATISTICS, &st, &l));
    printf("%u %u\n", st.tp_packets, st.tp_drops);
    SHOW(getsockopt(cooked, SOL_PACKET, PACKET_STATISTICS, &st, &l));
    printf("%u %u\n", st.tp_packets, st.tp_drops);
    section("auxiliary data and time");
    SHOW(set_int(one, SOL_PACKET, PACKET_AUXDATA, 1));
    SHOW(get_int(one, SOL_PACKET, PACKET_AUXDATA));
    SHOW(set_int(one, SOL_SOCKET, SO_TIMESTAMP, 1));
    MUST(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    _Alignas(8) char control[200];
    struct iovec v = { buf, 30 };
    struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    SHOW(recvmsg(one, &h, 0));
    printf("flags %#x\n", (unsigned)h.msg_flags);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
        if (c->cmsg_level == SOL_PACKET) {
            struct tpacket_auxdata *d = (void *)CMSG_DATA(c);
            printf("auxiliary: length %u, seen %u, mac %d, net %d, tag %d\n", d->tp_len, d->tp_snaplen, d->tp_mac, d->tp_net, d->tp_vlan_tci);
        } else printf("level %d, type %d, %zu bytes\n", c->cmsg_level, c->cmsg_type, c->cmsg_len);
    }
    section("outgoing frames ignored");
    drain(all), drain(cooked);
    SHOW(set_int(all, SOL_PACKET, 23 /* PACKET_IGNORE_OUTGOING */, 2));
    SHOW(set_int(all, SOL_PACKET, 23, 1));
    MUST(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    frame(all), nothing(all);
    drain(one), drain(cooked);
    section("memberships");
    struct packet_mreq m = { .mr_ifindex = lo, .mr_type = PACKET_MR_PROMISC };
    SHOW(setsockopt(one, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m));
    SHOW(setsockopt(one, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m));
    SHOW(setsockopt(one, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m - 1));
    m.mr_ifindex = 4711;
    SHOW(setsockopt(one, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m));
    SHOW(setsockopt(one, SOL_PACKET, 999, &n, sizeof n));
    section("datagrams");
    int ip = opened(SOCK_DGRAM, ETH_P_IP), udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    address me = loopback(AF_INET, 0);
    l = sizeof me;
    MUST(bind(udp, &me.any, sizeof me.v4));
    MUST(getsockname(udp, &me.any, &l));
    SHOW(sendto(udp, "hello", 5, 0, &me.any, sizeof me.v4));
    frame(ip), nothing(ip);
    printf("protocol %d, ports the same %d\n", buf[9], buf[20] == buf[22] && buf[21] == buf[23]);
    SHOW(recv(udp, buf, sizeof buf, MSG_DONTWAIT));
}

static int attach(int s, struct sock_filter *f, int n)
{
    struct sock_fprog p = { (unsigned short)n, f };
    return setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p);
}

static void filters(void)
{
    section("filters");
    int s = opened(SOCK_RAW, TYPE), out = opened(SOCK_RAW, TYPE + 1), none = -1;
    struct sock_filter first[] = { { 0x30, 0, 0, 14 }, { 0x15, 0, 1, 5 }, { 6, 0, 0, 20 }, { 6, 0, 0, 0 } };
    SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none));
    SHOW(attach(s, first, 4));
    unsigned char f[60] = { 0 };
    f[12] = TYPE >> 8, f[13] = TYPE & 255;
    struct sockaddr_ll a = at(lo, TYPE);
    for (unsigned char i = 3; i < 7; i++) {
        f[14] = i;
        MUST(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    }
    frame(s), nothing(s);
    SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none));
    struct sock_filter about[] = { { 0x28, 0, 0, (unsigned)SKF_AD_OFF + SKF_AD_PROTOCOL }, { 0x15, 0, 1, TYPE }, { 6, 0, 0, 0xffffffff }, { 6, 0, 0, 0 } };
    SHOW(attach(s, about, 4));
    MUST(sendto(out, f, sizeof f, 0, (void *)&a, sizeof a));
    frame(s);
    SHOW(attach(s, first, 0));
    SHOW(attach(s, first, 3)); /* may run past its end */
    SHOW(attach(s, first, 1));
    struct sock_filter jump[] = { { 0x05, 0, 0, 5 }, { 6, 0, 0, 0 } }, memory[] = { { 0x60, 0, 0, 3 }, { 6, 0, 0, 1 } };
    struct sock_filter zero[] = { { 0x34, 0, 0, 0 }, { 6, 0, 0, 1 } }, odd[] = { { 0xfe, 0, 0, 0 }, { 6, 0, 0, 1 } };
    SHOW(attach(s, jump, 2));
    SHOW(attach(s, memory, 2));
    SHOW(attach(s, zero, 2));
    SHOW(attach(s, odd, 2));
    struct sock_fprog wild = { 2, (void *)16 };
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &wild, sizeof wild));
    SHOW(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &wild, 8));
    section("filters of UDP");
    int udp = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    address me = loopback(AF_INET, 0);
    socklen_t l = sizeof me;
    MUST(bind(udp, &me.any, sizeof me.v4));
    MUST(getsockname(udp, &me.any, &l));
    /* The first byte after the UDP header; keeps three bytes of data. */
    struct sock_filter letter[] = { { 0x30, 0, 0, 8 }, { 0x15, 0, 1, 'x' }, { 6, 0, 0, 11 }, { 6, 0, 0, 0 } };
    SHOW(attach(udp, letter, 4));
    SHOW(sendto(udp, "yellow", 6, 0, &me.any, sizeof me.v4));
    SHOW(sendto(udp, "xylem", 5, 0, &me.any, sizeof me.v4));
    SHOW(recv(udp, buf, 99, MSG_DONTWAIT));
    SHOW(recv(udp, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(udp, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none));
    SHOW(sendto(udp, "yellow", 6, 0, &me.any, sizeof me.v4));
    SHOW(recv(udp, buf, 99, MSG_DONTWAIT));
    SHOW(setsockopt(udp, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none));
}

int main(void)
{
    lo = (int)if_nametoindex("lo");
    opening();
    traffic();
    filters();
    return done();
}
