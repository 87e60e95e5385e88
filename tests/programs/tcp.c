// TCP over loopback, IPv4 and IPv6: echo, addresses, half close, reset, end of stream, bulk in both directions.
//@ shows socket connect accept accept4 listen shutdown getpeername
//@ smp 2
#include "net.h"

static void *echo(void *arg)
{
    int fd = (int)(long)arg;
    char buf[5000];
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        if (!write_all(fd, buf, (size_t)n)) break;
    shutdown(fd, SHUT_WR);
    return (void *)n;
}

static void *pour(void *arg)
{
    int fd = (int)(long)arg;
    static char block[65536];
    for (int i = 0; i < 65536; i++) block[i] = (char)(i * 7 + i / 256);
    for (int i = 0; i < 64; i++)
        if (!write_all(fd, block, sizeof block)) return (void *)1;
    shutdown(fd, SHUT_WR);
    return 0;
}

/* A late reader opens its window, and the rest must follow at once: waiting for the writer's probes takes seconds.
 * `half`: the reader has shut down its own side, and by then so has the writer. */
static void late_reader(int f, bool half)
{
    static char buf[65536];
    int p[2];
    long sent = 0, got = 0;
    ssize_t n;
    tcp_pair(f, p);
    if (half) {
        MUST(shutdown(p[1], SHUT_WR));
        IS(wait_for(p[0], POLLRDHUP) & POLLRDHUP);
    }
    for (int quiet = 0; quiet < 4; quiet++, sleep_ms(5))
        while ((n = send(p[0], buf, sizeof buf, MSG_DONTWAIT)) > 0) sent += n, quiet = 0;
    MUST(shutdown(p[0], SHUT_WR));
    sleep_ms(1500);
    int64_t start = now_ns();
    while ((n = read(p[1], buf, sizeof buf)) > 0) got += n;
    IS(got == sent);
    IS(now_ns() - start < 2000000000);
    close(p[0]), close(p[1]);
}

static void family(int f)
{
    section(f == AF_INET ? "IPv4" : "IPv6");
    address a, b, c;
    socklen_t n = sizeof b;
    char buf[70000];
    int l = listener(f, &a, 5);
    int s = connected(&a), t = (int)MUST(accept4(l, &c.any, &n, SOCK_CLOEXEC | SOCK_NONBLOCK));
    SHOW(fcntl(t, F_GETFL) & O_NONBLOCK);
    SHOW(fcntl(t, F_GETFD));
    fcntl(t, F_SETFL, 0);
    n = sizeof b;
    MUST(getsockname(s, &b.any, &n));
    IS(n == length(&b) && !memcmp(&b, &c, n));
    n = sizeof b;
    MUST(getpeername(s, &b.any, &n));
    IS(!memcmp(&b, &a, n));
    pthread_t th;
    void *r;
    MUST0(pthread_create(&th, 0, echo, (void *)(long)t));
    for (int size = 1; size < 70000; size = size * 3 + 1) {
        memset(buf, size, sizeof buf);
        write_all(s, buf, (size_t)size);
        char back[70000];
        printf("%d %s\n", size, read_all(s, back, (size_t)size) && !memcmp(buf, back, (size_t)size) ? "echoed" : "lost");
    }
    SHOW(shutdown(s, SHUT_WR));
    SHOW(read(s, buf, 10));
    pthread_join(th, &r);
    SHOW(r);
    SHOW(send(s, "x", 1, MSG_NOSIGNAL));
    close(s), close(t);

    int p[2];
    tcp_pair(f, p);
    pthread_t up, down;
    MUST0(pthread_create(&up, 0, pour, (void *)(long)p[0]));
    MUST0(pthread_create(&down, 0, pour, (void *)(long)p[1]));
    for (int e = 0; e < 2; e++) {
        long total = 0, bad = 0;
        ssize_t k;
        while ((k = read(p[e], buf, sizeof buf)) > 0) {
            for (long i = 0; i < k; i++) bad += buf[i] != (char)((total + i) % 65536 * 7 + (total + i) % 65536 / 256);
            total += k;
        }
        printf("%ld bytes, %ld bad\n", total, bad);
    }
    pthread_join(up, 0), pthread_join(down, 0);
    close(p[0]), close(p[1]);
    late_reader(f, false);
    late_reader(f, true);

    tcp_pair(f, p);
    struct linger lin = { 1, 0 };
    SHOW(setsockopt(p[0], SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
    close(p[0]);
    wait_for(p[1], POLLIN);
    SHOW(read(p[1], buf, 1));
    SHOW(read(p[1], buf, 1));
    SHOW(send(p[1], "x", 1, MSG_NOSIGNAL));
    close(p[1]);

    tcp_pair(f, p);
    MUST(write(p[0], "unread", 6));
    wait_for(p[1], POLLIN);
    close(p[1]); /* closing with unread data resets */
    wait_for(p[0], POLLIN);
    SHOW(read(p[0], buf, 1));
    close(p[0]);

    section("refused");
    close(l);
    s = (int)MUST(socket(f, SOCK_STREAM, 0));
    SHOW(connect(s, &a.any, length(&a)));
    SHOW(getpeername(s, &b.any, &n));
    SHOW(send(s, "x", 1, MSG_NOSIGNAL));
    SHOW(read(s, buf, 1));
    SHOW(accept(s, 0, 0));
    close(s);
}

static void on_pipe(int s) { if (s == SIGPIPE) write(1, "SIGPIPE\n", 8); }

int main(void)
{
    family(AF_INET);
    family(AF_INET6);
    section("SIGPIPE");
    int p[2];
    char c;
    tcp_pair(AF_INET, p);
    MUST(shutdown(p[0], SHUT_WR));
    signal(SIGPIPE, on_pipe);
    SHOW(write(p[0], "x", 1));
    SHOW(read(p[1], &c, 1));
    SHOW(shutdown(p[1], SHUT_RDWR));
    SHOW(shutdown(p[1], 9));
    SHOW(shutdown(99, SHUT_RD));
    SHOW(shutdown(0, SHUT_RD));
    return done();
}
