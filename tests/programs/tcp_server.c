// Options that servers use: cork, no delay, deferred accept, sendfile, vectors, MSG_WAITALL.
//@ smp 2
#include "net.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

static char page[300000];
static int file;

static void *send_page(void *arg)
{
    int fd = (int)(long)arg, on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    write(fd, "head:", 5);
    off_t at = 0;
    while (at < (off_t)sizeof page)
        if (sendfile(fd, file, &at, sizeof page - (size_t)at) <= 0) return (void *)1;
    on = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    shutdown(fd, SHUT_WR);
    return 0;
}

static void *dribble(void *arg)
{
    for (int i = 0; i < 5; i++) {
        write((int)(long)arg, "abcd", 4);
        sleep_ms(10);
    }
    return 0;
}

int main(void)
{
    static char got[300100];
    enter_scratch();
    file = (int)MUST(open("page", O_RDWR | O_CREAT, 0600));
    for (size_t i = 0; i < sizeof page; i++) page[i] = (char)(i * 31 >> 3);
    MUST(write(file, page, sizeof page));
    int p[2];
    pthread_t t;
    void *r;
    tcp_pair(AF_INET, p);
    section("sendfile");
    MUST0(pthread_create(&t, 0, send_page, (void *)(long)p[0]));
    SHOW(recv(p[1], got, sizeof page + 5, MSG_WAITALL));
    IS(!memcmp(got, "head:", 5) && !memcmp(got + 5, page, sizeof page));
    SHOW(read(p[1], got, 1));
    pthread_join(t, &r);
    SHOW(r);
    close(p[0]), close(p[1]);
    tcp_pair(AF_INET, p);
    lseek(file, 10, SEEK_SET);
    SHOW(sendfile(p[0], file, 0, 20));
    SHOW(lseek(file, 0, SEEK_CUR));
    off_t at = sizeof page - 5;
    SHOW(sendfile(p[0], file, &at, 100));
    SHOW(at);
    SHOW(sendfile(p[0], file, &at, 100));
    SHOW(sendfile(p[0], 99, 0, 1));
    SHOW(sendfile(99, file, 0, 1));
    SHOW(recv(p[1], got, 25, MSG_WAITALL));
    IS(!memcmp(got, page + 10, 20) && !memcmp(got + 20, page + sizeof page - 5, 5));
    int out = (int)MUST(open("copy", O_RDWR | O_CREAT, 0600));
    at = 0;
    SHOW(sendfile(out, file, &at, 1000));

    section("cork");
    int on = 1;
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    MUST(write(p[0], "a", 1));
    struct pollfd f = { p[1], POLLIN, 0 };
    SHOW(poll(&f, 1, 60)); /* held back: a cork keeps partial segments up to 200 ms */
    MUST(write(p[0], "b", 1));
    on = 0;
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    SHOW(poll(&f, 1, 5000));
    SHOW(recv(p[1], got, 10, 0));
    on = 1;
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    MUST(write(p[0], "c", 1));
    SHOW(poll(&f, 1, 5000)); /* and releases them by itself after that */
    SHOW(recv(p[1], got, 10, 0));
    SHOW(send(p[0], "d", 1, MSG_MORE));
    on = 0;
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    SHOW(recv(p[1], got, 10, 0));

    section("vectors");
    struct iovec v[3] = { { "one ", 4 }, { "two ", 4 }, { "three", 5 } };
    SHOW(writev(p[0], v, 3));
    SHOW(recv(p[1], got, 13, MSG_WAITALL));
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 3 };
    SHOW(sendmsg(p[0], &m, 0));
    char a[5], b[20];
    struct iovec w[2] = { { a, 5 }, { b, 20 } };
    m = (struct msghdr){ .msg_iov = w, .msg_iovlen = 2 };
    SHOW(recvmsg(p[1], &m, 0));
    printf("%.5s|%.8s\n", a, b);
    SHOW(send(p[0], "peek", 4, 0));
    SHOW(recv(p[1], got, 2, MSG_PEEK | MSG_WAITALL));
    SHOW(recv(p[1], got, 10, 0));
    MUST0(pthread_create(&t, 0, dribble, (void *)(long)p[0]));
    SHOW(recv(p[1], got, 20, MSG_WAITALL));
    pthread_join(t, 0);
    SHOW(send(p[0], (void *)8, 10, MSG_NOSIGNAL));

    section("deferred accept");
    address addr;
    int l = listener(AF_INET, &addr, 5), secs = 5;
    MUST(fcntl(l, F_SETFL, O_NONBLOCK));
    SHOW(setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &secs, sizeof secs));
    int c = connected(&addr);
    f = (struct pollfd){ l, POLLIN, 0 };
    SHOW(poll(&f, 1, 60));
    MUST(write(c, "data", 4));
    SHOW(poll(&f, 1, 5000));
    int s = (int)MUST(accept(l, 0, 0));
    SHOW(recv(s, got, 10, MSG_DONTWAIT));

    section("backlog");
    int l2 = listener(AF_INET, &addr, 5), cs[4];
    for (int i = 0; i < 4; i++) {
        cs[i] = connected(&addr);
        MUST(write(cs[i], &i, sizeof i));
    }
    for (int i = 0; i < 4; i++) {
        int x = (int)MUST(accept(l2, 0, 0)), n;
        MUST(read(x, &n, sizeof n));
        printf("accepted %d\n", n);
        close(x);
    }
    return done();
}
