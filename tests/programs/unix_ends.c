// AF_UNIX: bytes waiting to be read here or at the peer (SIOCINQ, SIOCOUTQ), receivers that have gone, empty packets.
//@ shows socketpair
#include "test.h"
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[4096];

static int revents(int s)
{
    struct pollfd p = { s, POLLIN | POLLOUT | POLLRDHUP, 0 };
    poll(&p, 1, 0);
    return p.revents;
}

static int inq(int s)
{
    int n = -2;
    return ioctl(s, FIONREAD, &n) ? -1 : n;
}

static int outq(int s)
{
    int n = -2;
    return ioctl(s, TIOCOUTQ, &n) ? -1 : n;
}

static struct sockaddr_un named(const char *name, socklen_t *n)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    strcpy(a.sun_path, name);
    *n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1);
    return a;
}

static int bound(int type, const char *name)
{
    socklen_t n;
    struct sockaddr_un a = named(name, &n);
    int s = (int)MUST(socket(AF_UNIX, type, 0));
    MUST(bind(s, (struct sockaddr *)&a, n));
    return s;
}

static int to(int s, const char *name)
{
    socklen_t n;
    struct sockaddr_un a = named(name, &n);
    return connect(s, (struct sockaddr *)&a, n);
}

static long put(int s, const char *name, size_t len)
{
    socklen_t n;
    struct sockaddr_un a = named(name, &n);
    return sendto(s, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&a, n);
}

static long say(int s, size_t len) { return send(s, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL); }
static long hear(int s, size_t len) { return recv(s, buf, len, MSG_DONTWAIT); }

static void pending(int s)
{
    int v = 0;
    socklen_t n = sizeof v;
    MUST(getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &n));
    printf("error %s\n", v ? errname(v) : "none");
}

static void queues(int type)
{
    int p[2], before, v;
    printf("-- type %d: queues\n", type);
    MUST(socketpair(AF_UNIX, type, 0, p));
    SHOW(inq(p[0]));
    SHOW(outq(p[0]));
    SHOW(say(p[0], 100));
    SHOW(inq(p[1]));
    IS((before = outq(p[0])) >= 100);
    SHOW(outq(p[1]));
    SHOW(inq(p[0]));
    SHOW(say(p[0], 50));
    SHOW(inq(p[1]));
    IS(outq(p[0]) >= before + 50 || type == SOCK_STREAM);
    SHOW(recv(p[1], buf, 30, MSG_PEEK));
    SHOW(inq(p[1]));
    SHOW(hear(p[1], 30));
    SHOW(inq(p[1]));
    IS(outq(p[0]) > 0);
    SHOW(hear(p[1], 1000));
    SHOW(hear(p[1], 1000));
    SHOW(inq(p[1]));
    SHOW(outq(p[0]));
    SHOW(say(p[0], 0));
    SHOW(inq(p[1]));
    IS((outq(p[0]) > 0) == (type != SOCK_STREAM));
    SHOW(say(p[0], 10));
    SHOW(inq(p[1]));
    SHOW(hear(p[1], 1000));
    SHOW(inq(p[1]));
    SHOW(shutdown(p[0], SHUT_RDWR));
    SHOW(inq(p[1]));
    SHOW(inq(p[0]));
    IS(outq(p[0]) >= 0);
    SHOW(ioctl(p[0], FIONREAD, (void *)8));
    SHOW(ioctl(p[0], TIOCOUTQ, (void *)8));
    close(p[1]);
    SHOW(outq(p[0]));
    SHOW(inq(p[0]));
    close(p[0]);
    int l = bound(type, "q");
    if (type != SOCK_DGRAM) {
        SHOW(listen(l, 5));
        SHOW(inq(l));
        SHOW(outq(l));
        SHOW(ioctl(l, FIONREAD, (void *)8));
        int s = (int)MUST(socket(AF_UNIX, type, 0));
        SHOW(inq(s));
        SHOW(outq(s));
        SHOW(to(s, "q"));
        SHOW(say(s, 10));
        IS(outq(s) >= 10);
        SHOW(inq(s));
        SHOW(inq(l));
        v = (int)MUST(accept(l, 0, 0));
        SHOW(inq(v));
        close(s), close(v);
    } else {
        int a = (int)MUST(socket(AF_UNIX, type, 0)), b = (int)MUST(socket(AF_UNIX, type, 0));
        SHOW(put(a, "q", 10));
        SHOW(put(b, "q", 20));
        IS(outq(a) >= 10 && outq(b) >= 20);
        SHOW(inq(l));
        SHOW(hear(l, 100));
        SHOW(outq(a));
        IS(outq(b) > 0);
        close(b);
        SHOW(hear(l, 100));
        SHOW(put(a, "q", 10));
        close(l);
        SHOW(outq(a));
        close(a);
        l = bound(type, "q2");
    }
    close(l);
    unlink("q"), unlink("q2");
}

static void gone(void)
{
    int a, b, r;
    section("a receiver that is closed with datagrams in its queue");
    r = bound(SOCK_DGRAM, "r");
    a = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    b = bound(SOCK_DGRAM, "b");
    SHOW(to(a, "r"));
    SHOW(revents(a));
    SHOW(say(a, 10));
    SHOW(put(b, "r", 10));
    close(r);
    SHOW(revents(a));
    SHOW(revents(b));
    pending(a);
    pending(b);
    SHOW(hear(a, 10));
    SHOW(say(a, 10));
    SHOW(revents(a));
    SHOW(say(a, 10));
    SHOW(put(a, "r", 10));
    SHOW(put(b, "r", 10));
    SHOW(unlink("r"));
    SHOW(put(b, "r", 10));
    SHOW(to(a, "r"));
    close(a), close(b), unlink("b");

    section("closed with an empty queue");
    r = bound(SOCK_DGRAM, "r");
    a = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    SHOW(to(a, "r"));
    close(r);
    SHOW(revents(a));
    pending(a);
    struct sockaddr_un name;
    socklen_t n = sizeof name;
    SHOW(getpeername(a, (struct sockaddr *)&name, &n));
    SHOW(n);
    SHOW(revents(a));
    SHOW(send(a, buf, 0, MSG_NOSIGNAL));
    SHOW(getpeername(a, (struct sockaddr *)&name, &n));
    SHOW(revents(a));
    SHOW(say(a, 10));
    unlink("r");
    r = bound(SOCK_DGRAM, "r");
    SHOW(say(a, 10));
    SHOW(to(a, "r"));
    SHOW(say(a, 10));
    SHOW(hear(r, 100));
    close(a), close(r), unlink("r");

    section("a pair of datagram sockets");
    for (int unread = 0; unread < 2; unread++) {
        int p[2];
        MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
        SHOW(say(p[1], 10));
        if (unread) SHOW(say(p[0], 20));
        close(p[1]);
        SHOW(revents(p[0]));
        pending(p[0]);
        SHOW(hear(p[0], 100));
        SHOW(hear(p[0], 100));
        SHOW(revents(p[0]));
        SHOW(say(p[0], 10));
        SHOW(revents(p[0]));
        SHOW(say(p[0], 10));
        SHOW(hear(p[0], 10));
        close(p[0]);
    }

    section("what a peer sent goes with it");
    for (int how = 0; how < 3; how++) {
        int p[2];
        struct sockaddr none = { .sa_family = AF_UNSPEC };
        MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
        r = bound(SOCK_DGRAM, "r");
        SHOW(say(p[1], 10));
        IS(outq(p[1]) > 0);
        if (how == 0) {
            close(p[1]);
            SHOW(say(p[0], 1));
        } else if (how == 1) {
            SHOW(connect(p[0], &none, sizeof none));
        } else {
            SHOW(to(p[0], "r"));
        }
        SHOW(revents(p[0]));
        SHOW(hear(p[0], 100));
        if (how) {
            SHOW(outq(p[1]));
            SHOW(revents(p[1]));
            SHOW(say(p[1], 1));
            SHOW(say(p[1], 1));
            close(p[1]);
        }
        close(p[0]), close(r), unlink("r");
    }

    section("a full queue, and its receiver goes");
    r = bound(SOCK_DGRAM, "r");
    a = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    b = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    SHOW(to(a, "r"));
    int count = 0;
    while (count < 1000 && say(a, 10) == 10) count++;
    SHOW(count);
    SHOW(put(b, "r", 10));
    SHOW(revents(a));
    SHOW(revents(b));
    SHOW(hear(r, 10));
    SHOW(revents(a));
    SHOW(say(a, 10));
    SHOW(say(a, 10));
    close(r);
    SHOW(revents(a));
    SHOW(say(a, 10));
    close(a), close(b), unlink("r");

    section("shut and gone");
    for (int how = 0; how < 3; how++) {
        r = bound(SOCK_DGRAM, "r");
        a = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
        MUST(to(a, "r"));
        SHOW(say(a, 10));
        SHOW(shutdown(r, how));
        SHOW(revents(a));
        SHOW(revents(r));
        SHOW(say(a, 10));
        SHOW(put(a, "r", 10));
        SHOW(hear(r, 100));
        SHOW(hear(r, 100));
        close(r);
        SHOW(revents(a));
        SHOW(shutdown(a, how));
        SHOW(revents(a));
        SHOW(say(a, 10));
        SHOW(say(a, 10));
        SHOW(hear(a, 10));
        close(a), unlink("r");
    }

    section("a receiver that has another peer");
    r = bound(SOCK_DGRAM, "r");
    a = bound(SOCK_DGRAM, "a");
    b = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    SHOW(to(b, "r"));
    SHOW(say(b, 10));
    SHOW(to(r, "a"));
    SHOW(hear(r, 100));
    SHOW(say(b, 10));
    SHOW(put(b, "r", 10));
    SHOW(revents(b));
    SHOW(to(b, "r"));
    SHOW(put(a, "r", 10));
    SHOW(to(a, "r"));
    SHOW(say(r, 10));
    SHOW(say(r, 20));
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    SHOW(connect(r, &none, sizeof none));
    SHOW(revents(a));
    pending(a);
    SHOW(hear(a, 100));
    SHOW(say(a, 10));
    SHOW(say(b, 10));
    close(r);
    SHOW(hear(a, 100));
    close(a), close(b), unlink("r"), unlink("a");

    section("a name that was taken again");
    r = bound(SOCK_DGRAM, "r");
    a = bound(SOCK_DGRAM, "a");
    SHOW(to(a, "r"));
    SHOW(to(r, "a"));
    SHOW(say(r, 10));
    close(r);
    SHOW(revents(a));
    SHOW(hear(a, 100));
    SHOW(hear(a, 100));
    SHOW(say(a, 1));
    close(a), unlink("r"), unlink("a");
}

static void ends(int type)
{
    int p[2];
    printf("-- type %d: closed with something empty waiting\n", type);
    for (int i = 0; i < 6; i++) {
        MUST(socketpair(AF_UNIX, type, 0, p));
        printf("case %d\n", i);
        if (i & 1) SHOW(say(p[0], 0));
        if (i & 2) SHOW(say(p[0], 5));
        if (i & 1) SHOW(say(p[0], 0));
        if (i & 4) SHOW(say(p[1], 0));
        close(p[0]);
        SHOW(revents(p[1]));
        pending(p[1]);
        SHOW(hear(p[1], 100));
        SHOW(revents(p[1]));
        SHOW(hear(p[1], 100));
        SHOW(hear(p[1], 100));
        SHOW(hear(p[1], 100));
        SHOW(revents(p[1]));
        SHOW(say(p[1], 1));
        pending(p[1]);
        close(p[1]);
    }
    printf("-- type %d: closed with something unread\n", type);
    for (int i = 0; i < 4; i++) {
        MUST(socketpair(AF_UNIX, type, 0, p));
        printf("case %d\n", i);
        if (i & 1) SHOW(say(p[0], 3));
        SHOW(say(p[1], i & 2 ? 0 : 10));
        close(p[0]);
        SHOW(revents(p[1]));
        SHOW(hear(p[1], 100));
        SHOW(hear(p[1], 100));
        SHOW(hear(p[1], 100));
        SHOW(say(p[1], 1));
        SHOW(say(p[1], 1));
        SHOW(revents(p[1]));
        close(p[1]);
    }
    printf("-- type %d: closed with something unread, and written to\n", type);
    MUST(socketpair(AF_UNIX, type, 0, p));
    SHOW(say(p[1], 10));
    close(p[0]);
    SHOW(say(p[1], 1));
    SHOW(say(p[1], 1));
    SHOW(hear(p[1], 1));
    SHOW(hear(p[1], 1));
    close(p[1]);
    printf("-- type %d: shut with something waiting\n", type);
    for (int how = 0; how < 3; how++) {
        MUST(socketpair(AF_UNIX, type, 0, p));
        SHOW(say(p[0], 3));
        SHOW(say(p[0], 0));
        SHOW(say(p[1], 4));
        SHOW(shutdown(p[0], how));
        SHOW(revents(p[0]));
        SHOW(revents(p[1]));
        SHOW(hear(p[0], 100));
        SHOW(hear(p[0], 100));
        SHOW(hear(p[1], 100));
        SHOW(hear(p[1], 100));
        SHOW(hear(p[1], 100));
        SHOW(say(p[0], 1));
        SHOW(say(p[1], 1));
        pending(p[0]);
        pending(p[1]);
        close(p[0]), close(p[1]);
    }
}

int main(void)
{
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    for (int i = 0; i < 3; i++) queues(types[i]);
    gone();
    ends(SOCK_STREAM);
    ends(SOCK_SEQPACKET);
    return done();
}
