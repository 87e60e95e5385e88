// What a TCP connection says of its bytes: how many wait to be acknowledged (SIOCOUTQ), how many were acknowledged and
// received (TCP_INFO); and a peek that waits for all of them.
//@ smp 2
#include "net.h"
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/time.h>

static char buf[1 << 16];

static int outq(int s)
{
    int n = -2;
    MUST(ioctl(s, TIOCOUTQ, &n));
    return n;
}

static int inq(int s)
{
    int n = -2;
    MUST(ioctl(s, FIONREAD, &n));
    return n;
}

static int state(int s)
{
    struct tcp_info i;
    socklen_t n = sizeof i;
    MUST(getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n));
    return i.tcpi_state;
}

/* The C library's structure may end before these: they follow `tcpi_total_retrans`, four numbers of 64 bits in all. */
static uint64_t counter(int s, int which)
{
    uint64_t info[40];
    socklen_t n = sizeof info;
    MUST(getsockopt(s, IPPROTO_TCP, TCP_INFO, info, &n));
    if (n < 136) return ~0ull;
    return info[15 + which];
}
#define bytes_acked(s) (long)counter(s, 0)
#define bytes_received(s) (long)counter(s, 1)

/* Waits until all is acknowledged, one second at most. */
static bool settled(int s)
{
    for (int i = 0; i < 200 && outq(s); i++) sleep_ms(5);
    return !outq(s);
}

static bool over(int s)
{
    for (int i = 0; i < 200 && state(s) != 7; i++) sleep_ms(5);
    return state(s) == 7;
}

static void counters(int family)
{
    int p[2];
    section("bytes acknowledged and received");
    tcp_pair(family, p);
    /* Whoever has connected counts its SYN. */
    SHOW(bytes_acked(p[0])), SHOW(bytes_received(p[0]));
    SHOW(bytes_acked(p[1])), SHOW(bytes_received(p[1]));
    SHOW(write_all(p[0], buf, 1000));
    SHOW(read_all(p[1], buf, 1000));
    IS(settled(p[0]));
    SHOW(bytes_acked(p[0])), SHOW(bytes_received(p[1]));
    SHOW(write_all(p[1], buf, 60000));
    SHOW(read_all(p[0], buf, 60000));
    IS(settled(p[1]));
    SHOW(bytes_acked(p[1])), SHOW(bytes_received(p[0]));
    SHOW(bytes_acked(p[0])), SHOW(bytes_received(p[1]));
    /* A FIN counts, too. */
    SHOW(shutdown(p[0], SHUT_WR));
    SHOW(read(p[1], buf, 1));
    IS(settled(p[0]));
    SHOW(bytes_acked(p[0])), SHOW(bytes_received(p[1]));
    SHOW(inq(p[1]));
    close(p[0]), close(p[1]);
}

/* Fills the receiver's buffer, so that something stays in the sender's. Returns how much was sent. */
static long fill(int s)
{
    long total = 0, n;
    for (int quiet = 0; quiet < 4; quiet++, sleep_ms(5))
        while ((n = send(s, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) total += n, quiet = 0;
    return total;
}

static void queues(int family)
{
    struct linger now = { 1, 0 };
    int p[2], before;
    long sent;
    section("what was not acknowledged when a reset came");
    tcp_pair(family, p);
    sent = fill(p[0]);
    before = outq(p[0]);
    IS(sent > 0 && before > 0 && before < sent);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    close(p[1]);
    IS(over(p[0]));
    IS(outq(p[0]) == before);
    SHOW(inq(p[0]));
    close(p[0]);

    section("a FIN that was not acknowledged counts");
    tcp_pair(family, p);
    sent = fill(p[0]);
    before = outq(p[0]);
    SHOW(shutdown(p[0], SHUT_WR));
    IS(outq(p[0]) == before + 1);
    close(p[1]);
    IS(over(p[0]));
    IS(outq(p[0]) == before + 1);
    close(p[0]);

    section("and everything that was acknowledged does not");
    tcp_pair(family, p);
    SHOW(write_all(p[0], buf, 100));
    IS(settled(p[0]));
    SHOW(write_all(p[1], buf, 30));
    IS(wait_for(p[0], POLLIN) == POLLIN);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &now, sizeof now));
    close(p[1]);
    IS(over(p[0]));
    SHOW(outq(p[0]));
    SHOW(inq(p[0]));
    close(p[0]);
}

static void *later(void *arg)
{
    int s = *(int *)arg;
    for (int i = 0; i < 4; i++) {
        sleep_ms(20);
        MUST(write(s, "0123456789" + 2 * i, 2));
    }
    return 0;
}

static void peeks(int family)
{
    struct timeval short_time = { 0, 60000 }, no_limit = { 0, 0 };
    pthread_t t;
    int p[2], low = 4;
    section("a peek that waits for all of it");
    tcp_pair(family, p);
    MUST0(pthread_create(&t, 0, later, &p[0]));
    SHOW(recv(p[1], buf, 8, MSG_PEEK | MSG_WAITALL));
    pthread_join(t, 0);
    IS(!memcmp(buf, "01234567", 8));
    SHOW(inq(p[1]));
    SHOW(recv(p[1], buf, 10, MSG_PEEK | MSG_WAITALL | MSG_DONTWAIT));

    section("until the time is up");
    MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time));
    SHOW(recv(p[1], buf, 10, MSG_PEEK | MSG_WAITALL));
    SHOW(recv(p[1], buf, 8, MSG_WAITALL));
    SHOW(recv(p[1], buf, 10, MSG_PEEK | MSG_WAITALL));

    section("or SO_RCVLOWAT is reached");
    MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof no_limit));
    MUST(setsockopt(p[1], SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low));
    MUST0(pthread_create(&t, 0, later, &p[0]));
    IS(recv(p[1], buf, 8, MSG_PEEK) >= 4);
    pthread_join(t, 0);
    SHOW(recv(p[1], buf, 8, MSG_WAITALL));

    section("or the peer has sent its last");
    MUST(write(p[0], "abc", 3));
    shutdown(p[0], SHUT_WR);
    SHOW(recv(p[1], buf, 8, MSG_PEEK | MSG_WAITALL));
    SHOW(recv(p[1], buf, 8, MSG_WAITALL));
    SHOW(recv(p[1], buf, 8, MSG_PEEK | MSG_WAITALL));
    close(p[0]), close(p[1]);
}

int main(void)
{
    counters(AF_INET), counters(AF_INET6);
    queues(AF_INET), queues(AF_INET6);
    peeks(AF_INET);
    return done();
}
