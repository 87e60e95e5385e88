// splice, tee, vmsplice: between pipes, files and sockets, with offsets, limits and errors.
//@ shows splice tee vmsplice
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

static char big[300000], back[300000];

static void pipes(int p[2]) { MUST(pipe(p)); }
static void finish(int p[2]) { MUST(close(p[0])), MUST(close(p[1])); }

static void *feed(void *arg)
{
    sleep_ms(100);
    MUST(write(*(int *)arg, "late", 4));
    return NULL;
}

int main(void)
{
    int p[2], q[2], s[2];
    char buf[100];
    loff_t at;
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 7 + i / 4096);
    int f = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(write(f, big, sizeof big));

    section("from a file");
    pipes(p);
    MUST(lseek(f, 10, SEEK_SET));
    SHOW(splice(f, NULL, p[1], NULL, 5, 0));
    IS(lseek(f, 0, SEEK_CUR) == 15);
    SHOW(read(p[0], buf, sizeof buf));
    IS(!memcmp(buf, big + 10, 5));
    at = 4090;
    SHOW(splice(f, &at, p[1], NULL, 10, 0));
    IS(at == 4100 && lseek(f, 0, SEEK_CUR) == 15);
    SHOW(read(p[0], buf, sizeof buf));
    IS(!memcmp(buf, big + 4090, 10));
    at = 0;
    SHOW(splice(f, &at, p[1], NULL, sizeof big, 0));
    SHOW(splice(f, &at, p[1], NULL, 1, SPLICE_F_NONBLOCK));
    SHOW(read(p[0], back, sizeof back));
    IS(!memcmp(back, big, 65536));
    at = 100;
    SHOW(splice(f, &at, p[1], NULL, sizeof big, SPLICE_F_MOVE | SPLICE_F_MORE));
    SHOW(read(p[0], back, sizeof back));
    IS(!memcmp(back, big + 100, 65436));
    at = sizeof big;
    SHOW(splice(f, &at, p[1], NULL, 10, 0));
    at = sizeof big - 3;
    SHOW(splice(f, &at, p[1], NULL, 10, 0));
    SHOW(read(p[0], buf, sizeof buf));

    section("to a file");
    int g = (int)MUST(open("g", O_RDWR | O_CREAT, 0644));
    MUST(write(p[1], "0123456789", 10));
    SHOW(splice(p[0], NULL, g, NULL, 4, 0));
    at = 20;
    SHOW(splice(p[0], NULL, g, &at, 100, 0));
    IS(at == 26 && lseek(g, 0, SEEK_CUR) == 4);
    SHOW(pread(g, buf, sizeof buf, 0));
    IS(!memcmp(buf, "0123\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\000456789", 26));
    SHOW(splice(p[0], NULL, g, NULL, 4, SPLICE_F_NONBLOCK));
    pthread_t thread;
    pthread_create(&thread, NULL, feed, &p[1]);
    SHOW(splice(p[0], NULL, g, NULL, 4, 0));
    pthread_join(thread, NULL);
    int append = (int)MUST(open("g", O_WRONLY | O_APPEND));
    MUST(write(p[1], "x", 1));
    SHOW(splice(p[0], NULL, append, NULL, 1, 0));
    SHOW(splice(p[0], NULL, open("/dev/null", O_WRONLY), NULL, 1, 0));
    finish(p);

    section("between pipes");
    pipes(p), pipes(q);
    MUST(write(p[1], "abcdef", 6));
    SHOW(splice(p[0], NULL, q[1], NULL, 4, 0));
    SHOW(read(q[0], buf, sizeof buf));
    SHOW(tee(p[0], q[1], 100, 0));
    SHOW(tee(p[0], q[1], 1, 0));
    SHOW(read(q[0], buf, sizeof buf));
    IS(!memcmp(buf, "efe", 3));
    SHOW(read(p[0], buf, sizeof buf));
    SHOW(tee(p[0], q[1], 1, SPLICE_F_NONBLOCK));
    SHOW(splice(p[0], NULL, q[1], NULL, 1, SPLICE_F_NONBLOCK));
    MUST(write(p[1], big, 65536)), MUST(write(q[1], big, 65536));
    SHOW(splice(p[0], NULL, q[1], NULL, 1, SPLICE_F_NONBLOCK));
    SHOW(tee(p[0], q[1], 1, SPLICE_F_NONBLOCK));
    MUST(read(q[0], back, 8192));
    SHOW(splice(p[0], NULL, q[1], NULL, 100000, 0));
    MUST(read(q[0], back, 65536));
    SHOW(tee(p[0], q[1], 100000, 0));
    MUST(read(q[0], back, 65536)), MUST(read(p[0], back, 65536));

    section("memory");
    struct iovec iov[2] = { { "one", 3 }, { "two", 3 } };
    SHOW(vmsplice(p[1], iov, 2, 0));
    iov[0].iov_base = buf, iov[0].iov_len = 2, iov[1].iov_base = buf + 2, iov[1].iov_len = 50;
    SHOW(vmsplice(p[0], iov, 2, 0));
    IS(!memcmp(buf, "onetwo", 6));
    SHOW(vmsplice(p[0], iov, 2, SPLICE_F_NONBLOCK));
    SHOW(vmsplice(p[0], iov, 0, 0));
    SHOW(vmsplice(f, iov, 1, 0));
    SHOW(vmsplice(p[1], iov, 1, 16));

    section("sockets");
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    MUST(write(p[1], "to a socket", 11));
    SHOW(splice(p[0], NULL, s[0], NULL, 100, 0));
    SHOW(splice(s[1], NULL, p[1], NULL, 100, 0));
    SHOW(read(p[0], buf, sizeof buf));
    IS(!memcmp(buf, "to a socket", 11));
    MUST(fcntl(s[1], F_SETFL, O_NONBLOCK));
    SHOW(splice(s[1], NULL, p[1], NULL, 100, 0));
    MUST(close(s[0]));
    SHOW(splice(s[1], NULL, p[1], NULL, 100, 0));
    MUST(write(p[1], "x", 1));
    SHOW(splice(p[0], NULL, s[1], NULL, 1, 0));

    section("errors");
    int d = (int)MUST(open(".", O_RDONLY));
    SHOW(splice(f, NULL, g, NULL, 1, 0));
    SHOW(splice(f, NULL, g, NULL, 0, 0));
    SHOW(splice(f, NULL, p[1], NULL, 1, 16));
    SHOW(splice(-1, NULL, p[1], NULL, 1, 0));
    SHOW(splice(p[1], NULL, q[0], NULL, 1, 0));
    SHOW(splice(d, NULL, p[1], NULL, 1, 0));
    at = 0;
    SHOW(splice(p[0], &at, q[1], NULL, 1, 0));
    SHOW(splice(p[0], NULL, q[1], &at, 1, 0));
    SHOW(splice(p[0], NULL, p[1], NULL, 1, 0));
    SHOW(tee(p[0], p[1], 1, 0));
    SHOW(tee(f, p[1], 1, 0));
    SHOW(tee(p[0], p[1], 1, 16));
    at = -1;
    SHOW(splice(f, &at, p[1], NULL, 1, 0));
    MUST(close(q[0]));
    SHOW(splice(f, NULL, q[1], NULL, 1, 0));
    MUST(close(p[1]));
    MUST(read(p[0], buf, sizeof buf));
    SHOW(splice(p[0], NULL, g, NULL, 1, 0));
    SHOW(tee(p[0], q[1], 1, 0));
    return done();
}
