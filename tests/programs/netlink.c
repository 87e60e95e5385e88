// NETLINK_ROUTE: names, groups, dumps.
#include "test.h"
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SOL_NETLINK 270
enum { ADD_MEMBERSHIP = 1, DROP_MEMBERSHIP = 2, NO_ENOBUFS = 5, LIST_MEMBERSHIPS = 9 };
enum { NLMSG_ERROR = 2, NLMSG_DONE = 3, RTM_NEWLINK = 16, RTM_NEWADDR = 20, RTM_NEWROUTE = 24 };

struct name { uint16_t family, pad; uint32_t pid, groups; };
struct header { uint32_t length; uint16_t type, flags; uint32_t sequence, pid; };

static int named(int s, uint32_t pid, uint32_t groups)
{
    struct name a = { AF_NETLINK, 0, pid, groups };
    return bind(s, (void *)&a, sizeof a);
}

static struct name of(int s)
{
    struct name a = { 0 };
    socklen_t n = sizeof a;
    MUST(getsockname(s, (void *)&a, &n));
    IS(n == sizeof a && a.family == AF_NETLINK);
    return a;
}

static int member(int s, int option, int group) { return setsockopt(s, SOL_NETLINK, option, &group, sizeof group); }

/* Dumps everything of a kind: prints whether each message is of that kind, and the last one the end. */
static void dump(int s, int family, uint16_t kind)
{
    static char buf[65536];
    struct { struct header h; char family, rest[15]; } ask = { { sizeof ask, (uint16_t)(kind + 2), 0x301, 7, 0 }, (char)family, { 0 } };
    struct name from;
    socklen_t n = sizeof from;
    MUST(send(s, &ask, sizeof ask, 0));
    uint32_t mine = of(s).pid;
    bool end = false, right = true, kernel = true;
    int count = 0;
    while (!end) {
        ssize_t got = MUST(recvfrom(s, buf, sizeof buf, 0, (void *)&from, &n));
        kernel &= from.pid == 0 && from.groups == 0;
        for (ssize_t at = 0; at < got && !end; count++) {
            struct header *h = (void *)(buf + at);
            end = h->type == NLMSG_DONE || h->type == NLMSG_ERROR;
            right &= (h->type == kind || h->type == NLMSG_DONE) && h->sequence == 7 && h->pid == mine && h->flags & 2;
            at += (h->length + 3) & ~3u;
        }
    }
    printf("%d/%d: ", family, kind);
    IS(right && kernel && count >= (kind == RTM_NEWROUTE ? 1 : 2));
}

int main(void)
{
    struct name a;
    char buf[100];
    int s = (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0)), second = (int)MUST(socket(AF_NETLINK, SOCK_DGRAM, 0));
    int third = (int)MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, 0));
    uint32_t self = (uint32_t)getpid();
    section("names");
    a = of(s);
    IS(a.pid == 0 && a.groups == 0);
    SHOW(named(s, 0, 0x40));
    a = of(s);
    IS(a.pid == self && a.groups == 0x40);
    socklen_t n = sizeof a;
    SHOW(getpeername(s, (void *)&a, &n));
    IS(a.pid == 0 && a.groups == 0);
    SHOW(named(s, self + 1, 1));
    SHOW(named(s, self, 0x111));
    IS(of(s).groups == 0x111);
    SHOW(named(third, self, 0));
    SHOW(named(second, 0, 0));
    a = of(second);
    IS(a.pid != self && a.pid != 0);
    SHOW(named(third, a.pid - 1, 0xffffffff));
    IS(of(third).groups == 0xffffffff);
    a = (struct name){ AF_NETLINK, 0, 0, 0 };
    SHOW(bind(second, (void *)&a, 11));
    a.family = AF_UNIX;
    SHOW(bind(second, (void *)&a, sizeof a));
    section("groups");
    SHOW(named(third, of(third).pid, 0));
    SHOW(member(third, ADD_MEMBERSHIP, 1));
    SHOW(member(third, ADD_MEMBERSHIP, 9));
    SHOW(member(third, ADD_MEMBERSHIP, 33));
    SHOW(member(third, ADD_MEMBERSHIP, 0));
    SHOW(member(third, ADD_MEMBERSHIP, 1000));
    IS(of(third).groups == 0x101);
    uint32_t all[4] = { 0 };
    n = sizeof all;
    SHOW(getsockopt(third, SOL_NETLINK, LIST_MEMBERSHIPS, all, &n));
    IS(n == 8 && all[0] == 0x101 && all[1] == 1);
    SHOW(member(third, DROP_MEMBERSHIP, 1));
    IS(of(third).groups == 0x100);
    SHOW(member(third, NO_ENOBUFS, 1));
    SHOW(recv(third, buf, sizeof buf, 0)); /* nothing has changed */
    section("dumps");
    int fresh = (int)MUST(socket(AF_NETLINK, SOCK_RAW, 0));
    int families[] = { 0, AF_INET, AF_INET6 };
    dump(fresh, 0, RTM_NEWLINK);
    for (int i = 0; i < 2; i++) dump(fresh, families[i], RTM_NEWADDR);
    for (int i = 0; i < 3; i++) dump(fresh, families[i], RTM_NEWROUTE);
    IS(of(fresh).pid != 0);
    struct ifreq r = { .ifr_name = "lo" };
    SHOW(ioctl(s, SIOCGIFFLAGS, &r));
    IS((r.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING)) == (IFF_UP | IFF_LOOPBACK | IFF_RUNNING));
    section("what there is not");
    SHOW(listen(s, 1));
    SHOW(accept(s, 0, 0));
    SHOW(shutdown(s, 2));
    SHOW(socket(AF_NETLINK, SOCK_STREAM, 0));
    SHOW(socket(AF_NETLINK, SOCK_RAW, 99));
    return done();
}
