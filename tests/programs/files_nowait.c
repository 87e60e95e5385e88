// RWF_NOWAIT: available data or EAGAIN, on pipes, sockets, eventfds and devices; what refuses it.
#include "test.h"
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define NOWAIT 8

static char buf[100], big[70000];

static long in(int fd, size_t n, off_t at)
{
    struct iovec v = { buf, n };
    return syscall(SYS_preadv2, fd, &v, 1, at, 0, NOWAIT);
}
static long out(int fd, const char *text, size_t n, off_t at)
{
    struct iovec v = { (void *)text, n };
    return syscall(SYS_pwritev2, fd, &v, 1, at, 0, NOWAIT);
}

static void stream(const char *name, int from, int to)
{
    section(name);
    SHOW(in(from, 5, -1));
    SHOW(out(to, "abc", 3, -1));
    SHOW(in(from, 5, -1));
    IS(!memcmp(buf, "abc", 3));
    SHOW(in(from, 5, 0));
    SHOW(out(to, "abc", 3, 0));
    SHOW(in(from, 5, -1));
    long n = 0, sum = 0;
    while ((n = out(to, big, sizeof big, -1)) > 0) sum += n;
    show_call("one more", n);
    IS(sum >= 4096);
    // The description's flags are unchanged.
    IS((fcntl(from, F_GETFL) & O_NONBLOCK) == 0 && (fcntl(to, F_GETFL) & O_NONBLOCK) == 0);
    MUST(close(to));
    while ((n = in(from, sizeof buf, -1)) > 0) sum -= n;
    show_call("at the end", n);
    IS(sum == 0);
}

int main(void)
{
    int p[2], s[2], d[2];
    uint64_t one = 1;
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    MUST(pipe(p)), MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s)), MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, d));
    stream("a pipe", p[0], p[1]);
    stream("a socket", s[0], s[1]);
    section("datagrams");
    SHOW(in(d[0], 5, -1));
    SHOW(out(d[1], "abc", 3, -1));
    SHOW(in(d[0], 5, -1));
    section("nobody reads");
    MUST(pipe(p)), MUST(close(p[0]));
    SHOW(out(p[1], "x", 1, -1));
    SHOW(in(p[1], 1, -1));
    section("an eventfd");
    int e = (int)MUST(eventfd(0, 0));
    SHOW(in(e, 8, -1));
    MUST(write(e, &one, 8));
    SHOW(in(e, 8, -1));
    SHOW(out(e, (char *)&one, 8, -1));
    section("devices");
    int null = (int)MUST(open("/dev/null", O_RDWR)), zero = (int)MUST(open("/dev/zero", O_RDWR));
    SHOW(in(null, 5, -1));
    SHOW(out(null, "abc", 3, -1));
    SHOW(in(zero, 5, -1));
    SHOW(in(zero, 5, 10));
    SHOW(in((int)MUST(open("/dev/urandom", O_RDONLY)), 5, -1));
    section("files");
    int f = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(write(f, "content", 7));
    SHOW(out(f, "x", 1, 0));
    SHOW(out(f, "x", 1, -1));
    SHOW(in((int)MUST(open(".", O_RDONLY)), 5, 0));
    SHOW(in(-1, 5, -1));
    return done();
}
