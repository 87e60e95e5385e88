// The end of a TCP connection: data for a closed socket, shutdown in every state, connecting again.
//@ smp 2
#include "net.h"
#include <sys/ioctl.h>

static char buf[1 << 16];

static int state(int s)
{
    struct tcp_info i;
    socklen_t n = sizeof i;
    return getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &n) ? -1 : i.tcpi_state;
}

static const char *pending(int s)
{
    int e = 0;
    socklen_t n = sizeof e;
    MUST(getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &n));
    return e ? errname(e) : "0";
}

static int revents(int s)
{
    struct pollfd f = { s, POLLIN | POLLOUT | POLLRDHUP, 0 };
    MUST(poll(&f, 1, 0));
    return f.revents;
}

/* Waits until the connection is over, one second at most. */
static bool over(int s)
{
    for (int i = 0; i < 200 && state(s) != 7; i++) sleep_ms(5);
    return state(s) == 7;
}

/* A pair whose first end has small buffers. */
static void narrow_pair(int family, int p[2])
{
    address a;
    int l = listener(family, &a, 5), small = 4096;
    p[0] = (int)MUST(socket(family, SOCK_STREAM, 0));
    MUST(setsockopt(p[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small));
    MUST(connect(p[0], &a.any, length(&a)));
    p[1] = (int)MUST(accept(l, 0, 0));
    close(l);
}

/* Writes until nothing more is accepted. */
static long fill(int s)
{
    long total = 0, n;
    for (int quiet = 0; quiet < 4; quiet++, sleep_ms(5))
        while ((n = send(s, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) total += n, quiet = 0;
    return total;
}

static void closed_peer(int family)
{
    int p[2];
    section("data for a closed socket is answered with a reset");
    tcp_pair(family, p);
    close(p[1]);
    SHOW(send(p[0], "meow", 4, MSG_NOSIGNAL));
    IS(over(p[0]));
    SHOW(send(p[0], "meow", 4, MSG_NOSIGNAL));
    SHOW(send(p[0], "meow", 4, MSG_NOSIGNAL));
    SHOW(revents(p[0]));
    SHOW(read(p[0], buf, 1));
    close(p[0]);

    section("an error that was not asked for before");
    tcp_pair(family, p);
    close(p[1]);
    SHOW(send(p[0], "meow", 4, MSG_NOSIGNAL));
    IS(over(p[0]));
    SHOW(revents(p[0]));
    printf("error %s\n", pending(p[0]));
    SHOW(revents(p[0]));
    close(p[0]);

    section("an answer, and then more of the question");
    tcp_pair(family, p);
    MUST(write(p[0], "question", 8));
    MUST(read_all(p[1], buf, 8) ? 0 : -1);
    MUST(write(p[1], "no thanks\n", 10));
    close(p[1]);
    int n = 0;
    while (n < 100 && send(p[0], buf, 10000, MSG_NOSIGNAL) > 0) n++, sleep_ms(2);
    printf("%s\n", errname(errno));
    IS(n < 100);
    SHOW(read(p[0], buf, sizeof buf));
    SHOW(read(p[0], buf, sizeof buf));
    close(p[0]);

    section("in CLOSE-WAIT with its writing end shut down");
    tcp_pair(family, p);
    MUST(shutdown(p[1], SHUT_WR));
    IS(wait_for(p[0], POLLRDHUP) & POLLRDHUP);
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
    IS(wait_for(p[1], POLLIN) & POLLIN);
    SHOW(read(p[1], buf, 10));
    close(p[1]);
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
    IS(over(p[0]));
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
    close(p[0]);
}

static void reading_shut(int family)
{
    int p[2];
    section("SHUT_RD takes data all the same");
    tcp_pair(family, p);
    SHOW(shutdown(p[1], SHUT_RD));
    SHOW(send(p[0], "data", 4, MSG_NOSIGNAL));
    IS(wait_for(p[1], POLLIN) & POLLIN);
    for (int i = 0, n = 0; i < 200 && n < 4; i++, sleep_ms(5)) ioctl(p[1], FIONREAD, &n);
    SHOW(read(p[1], buf, 10));
    SHOW(read(p[1], buf, 10));
    SHOW(state(p[1]));
    close(p[0]), close(p[1]);

    section("SHUT_RDWR does not");
    tcp_pair(family, p);
    SHOW(shutdown(p[1], SHUT_RDWR));
    IS(wait_for(p[0], POLLRDHUP) & POLLRDHUP);
    SHOW(send(p[0], "data", 4, MSG_NOSIGNAL));
    IS(over(p[0]) && over(p[1]));
    SHOW(revents(p[1]));
    SHOW(read(p[1], buf, 10));
    SHOW(read(p[1], buf, 10));
    SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
    close(p[0]), close(p[1]);
}

static void shutdowns(int family)
{
    int p[2], s, l, r;
    address a, b;
    socklen_t n;
    section("shutdown, once and twice");
    tcp_pair(family, p);
    SHOW(shutdown(p[0], SHUT_WR));
    SHOW(shutdown(p[0], SHUT_WR));
    SHOW(shutdown(p[0], SHUT_RD));
    SHOW(shutdown(p[0], SHUT_RDWR));
    IS(wait_for(p[1], POLLRDHUP) & POLLRDHUP);
    SHOW(state(p[1]));
    SHOW(shutdown(p[1], SHUT_RD));
    SHOW(state(p[1]));
    SHOW(shutdown(p[1], SHUT_WR));
    IS(over(p[0]) && over(p[1]));
    for (int i = 0; i < 2; i++) {
        SHOW(shutdown(p[i], SHUT_WR));
        SHOW(shutdown(p[i], SHUT_RD));
        SHOW(shutdown(p[i], SHUT_RDWR));
        SHOW(revents(p[i]));
        n = sizeof b;
        SHOW(getpeername(p[i], &b.any, &n));
        SHOW(getsockname(p[i], &b.any, &n));
        SHOW(read(p[i], buf, 1));
        SHOW(send(p[i], "x", 1, MSG_NOSIGNAL));
        printf("error %s\n", pending(p[i]));
    }
    close(p[0]), close(p[1]);

    section("after a reset");
    tcp_pair(family, p);
    struct linger lin = { 1, 0 };
    MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
    close(p[0]);
    IS(over(p[1]));
    SHOW(shutdown(p[1], SHUT_WR));
    SHOW(revents(p[1]));
    SHOW(shutdown(p[1], SHUT_RDWR));
    printf("error %s\n", pending(p[1]));
    SHOW(read(p[1], buf, 1));
    SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
    close(p[1]);

    section("a reset in LAST-ACK");
    narrow_pair(family, p);
    MUST(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
    fill(p[1]);
    MUST(shutdown(p[0], SHUT_WR));
    IS(wait_for(p[1], POLLRDHUP) & POLLRDHUP);
    SHOW(shutdown(p[1], SHUT_WR));
    SHOW(state(p[1]));
    close(p[0]);
    IS(over(p[1]));
    printf("error %s\n", pending(p[1]));
    close(p[1]);

    section("not connected, listening, connecting");
    s = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(shutdown(s, SHUT_WR));
    SHOW(shutdown(s, SHUT_RD));
    close(s);
    l = listener(family, &a, 5);
    SHOW(shutdown(l, SHUT_WR));
    SHOW(state(l));
    s = connected(&a);
    r = (int)MUST(accept(l, 0, 0));
    SHOW(shutdown(l, SHUT_RD));
    SHOW(state(l));
    SHOW(accept(l, 0, 0));
    SHOW(shutdown(l, SHUT_RD));
    close(s), close(r), close(l);
    /* The accept queue of 1 + 1 is full: a third connection stays in SYN-SENT. */
    l = listener(family, &a, 0);
    int c[8];
    for (int i = 0; i < 8; i++) {
        c[i] = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
        connect(c[i], &a.any, length(&a));
    }
    sleep_ms(20);
    SHOW(state(c[7]));
    SHOW(connect(c[7], &a.any, length(&a)));
    SHOW(shutdown(c[7], SHUT_WR));
    SHOW(state(c[7]));
    SHOW(revents(c[7]));
    SHOW(shutdown(c[7], SHUT_WR));
    printf("error %s\n", pending(c[7]));
    SHOW(connect(c[7], &a.any, length(&a)));
    for (int i = 0; i < 8; i++) close(c[i]);
    close(l);
}

static int64_t seconds_to_close(int s)
{
    int64_t start = now_ns();
    close(s);
    return (now_ns() - start) / 1000000000;
}

static void *reset_later(void *s)
{
    sleep_ms(200);
    send((int)(long)s, "x", 1, MSG_NOSIGNAL);
    return 0;
}

static void lingering(int family)
{
    int p[2];
    struct linger lin = { 1, 3 };
    pthread_t t;
    section("lingering");
    tcp_pair(family, p);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
    MUST(write(p[0], "unread", 6));
    MUST(wait_for(p[1], POLLIN) ? 0 : -1);
    IS(seconds_to_close(p[1]) < 2);
    IS(over(p[0]));
    printf("error %s\n", pending(p[0]));
    close(p[0]);
    /* Nothing is read: the linger time passes, and the rest is still sent. */
    narrow_pair(family, p);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
    long total = fill(p[1]), n;
    n = seconds_to_close(p[1]);
    IS(n >= 2 && n < 30);
    while ((n = read(p[0], buf, sizeof buf)) > 0) total -= n;
    SHOW(n);
    SHOW(total);
    close(p[0]);
    /* Data for a socket that is being closed ends the waiting. */
    lin.l_linger = 1000;
    narrow_pair(family, p);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
    fill(p[1]);
    MUST0(pthread_create(&t, 0, reset_later, (void *)(long)p[0]));
    IS(seconds_to_close(p[1]) < 30);
    pthread_join(t, 0);
    IS(over(p[0]));
    printf("error %s\n", pending(p[0]));
    close(p[0]);
}

static void again(int family)
{
    int p[2], s, t;
    address a;
    int l = listener(family, &a, 5);
    section("connecting again");
    s = connected(&a);
    t = (int)MUST(accept(l, 0, 0));
    SHOW(connect(s, &a.any, length(&a)));
    close(t);
    IS(wait_for(s, POLLRDHUP) & POLLRDHUP);
    SHOW(connect(s, &a.any, length(&a)));
    MUST(shutdown(s, SHUT_WR));
    IS(over(s));
    SHOW(connect(s, &a.any, length(&a)));
    struct sockaddr unspec = { .sa_family = AF_UNSPEC };
    SHOW(connect(s, &unspec, sizeof unspec));
    SHOW(connect(s, &a.any, length(&a)));
    t = (int)MUST(accept(l, 0, 0));
    SHOW(connect(s, &a.any, length(&a)));
    close(s), close(t);
    tcp_pair(family, p);
    MUST(write(p[0], "unread", 6));
    MUST(wait_for(p[1], POLLIN) ? 0 : -1);
    close(p[1]);
    IS(over(p[0]));
    SHOW(connect(p[0], &a.any, length(&a)));
    SHOW(read(p[0], buf, 1));
    SHOW(connect(p[0], &a.any, length(&a)));
    close(p[0]);

    section("without blocking");
    s = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(connect(s, &a.any, length(&a)));
    IS(wait_for(s, POLLOUT) == POLLOUT);
    printf("error %s\n", pending(s));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(connect(s, &a.any, length(&a)));
    t = (int)MUST(accept(l, 0, 0));
    SHOW(send(s, "x", 1, 0));
    SHOW(read(t, buf, 10));
    close(s), close(t);
    s = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(fcntl(s, F_SETFL, 0));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(connect(s, &a.any, length(&a)));
    t = (int)MUST(accept(l, 0, 0));
    close(s), close(t);
    close(l);

    section("refused without blocking");
    s = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(connect(s, &a.any, length(&a)));
    IS(wait_for(s, POLLOUT) & POLLOUT);
    SHOW(revents(s));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(connect(s, &a.any, length(&a)));
    IS(wait_for(s, POLLOUT) & POLLOUT);
    printf("error %s\n", pending(s));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(connect(s, &a.any, length(&a)));
    IS(wait_for(s, POLLOUT) & POLLOUT);
    SHOW(send(s, "x", 1, MSG_NOSIGNAL));
    SHOW(send(s, "x", 1, MSG_NOSIGNAL));
    close(s);
}

/* connect() to AF_UNSPEC, and calls on a socket without a connection. */
static void disconnected(int family)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    int p[2], n = 7;
    section("reset after the peer's FIN: the stream has ended, the error is the writer's");
    tcp_pair(family, p);
    MUST(shutdown(p[1], SHUT_WR));
    IS(wait_for(p[0], POLLRDHUP) & POLLRDHUP);
    SHOW(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger)));
    close(p[1]);
    IS(over(p[0]));
    SHOW(read(p[0], buf, 1));
    SHOW(recv(p[0], buf, 1, MSG_PEEK));
    SHOW(revents(p[0]));
    SHOW(send(p[0], "x", 1, MSG_NOSIGNAL));
    SHOW(revents(p[0]));
    SHOW(read(p[0], buf, 1));
    close(p[0]);

    section("nothing asked for");
    tcp_pair(family, p);
    SHOW(recv(p[0], buf, 0, MSG_DONTWAIT));
    SHOW(read(p[0], buf, 0));
    MUST(write(p[1], "x", 1));
    IS(wait_for(p[0], POLLIN) & POLLIN);
    SHOW(recv(p[0], buf, 0, MSG_DONTWAIT));

    section("disconnected");
    SHOW(connect(p[0], &none, sizeof none));
    SHOW(revents(p[0]));
    SHOW(ioctl(p[0], FIONREAD, &n));
    SHOW(n);
    SHOW(recv(p[0], buf, 1, MSG_DONTWAIT));
    SHOW(recv(p[0], buf, 1, MSG_DONTWAIT));
    SHOW(revents(p[0]));
    IS(over(p[1]));
    SHOW(connect(p[1], &none, sizeof none));
    SHOW(revents(p[1]));
    SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
    SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
    close(p[0]), close(p[1]);

    section("a listener, disconnected");
    address a;
    int l = listener(family, &a, 5), v = 7;
    socklen_t vn = sizeof v;
    SHOW(ioctl(l, FIONREAD, &n));
    SHOW(connect(l, &none, sizeof none));
    SHOW(revents(l));
    SHOW(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &v, &vn));
    SHOW(v);
    SHOW(accept(l, 0, 0));
    int s = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(connect(s, &a.any, length(&a)));
    close(s), close(l);
}

static int blocked;
static char much[4 << 20];

static void *write_much(void *q)
{
    ssize_t n = write(blocked, much, sizeof much);
    return n > 0 && n < (ssize_t)sizeof much ? q : 0;
}

static void *read_much(void *q) { return recv(blocked, much, sizeof much, MSG_WAITALL) == 1000 ? q : 0; }

/* A reset while a call that did part of its work is waiting: the next call gets the error. */
static void reset_in_a_call(int family)
{
    section("a reset in the middle of a call");
    struct linger at_once = { 1, 0 };
    for (int writing = 0; writing < 2; writing++) {
        int p[2], unread = 1;
        pthread_t t;
        void *some;
        tcp_pair(family, p);
        blocked = p[0];
        MUST0(pthread_create(&t, 0, writing ? write_much : read_much, p));
        if (writing)
            do sleep_ms(50);
            while (revents(p[0]) & POLLOUT);
        else {
            MUST(write(p[1], buf, 1000));
            for (sleep_ms(50); unread; sleep_ms(10)) MUST(ioctl(p[0], FIONREAD, &unread));
        }
        MUST(setsockopt(p[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
        close(p[1]);
        MUST0(pthread_join(t, &some));
        IS(some == p);
        if (writing) SHOW(send(p[0], buf, 10, MSG_NOSIGNAL));
        else SHOW(read(p[0], buf, 10));
        SHOW(read(p[0], buf, 10));
        SHOW(send(p[0], buf, 10, MSG_NOSIGNAL));
        close(p[0]);
    }
}

int main(void)
{
    int families[] = { AF_INET, AF_INET6 };
    for (int i = 0; i < 2; i++) {
        printf("== %s\n", i ? "IPv6" : "IPv4");
        closed_peer(families[i]);
        reading_shut(families[i]);
        shutdowns(families[i]);
        lingering(families[i]);
        again(families[i]);
        disconnected(families[i]);
        reset_in_a_call(families[i]);
    }
    return done();
}
