// Packet mode of pipes (pipe2 with O_DIRECT): one read gets one packet, of which the rest is lost; F_SETFL changes it.
//@ env TEST_SCRATCH=/dev/shm
#include "test.h"
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

static int r, w;
static char out[20000], in[20000];

static void make(int flags)
{
    int p[2];
    if (r) close(r), close(w);
    MUST(pipe2(p, flags));
    r = p[0], w = p[1];
}

static int unread(void)
{
    int n;
    MUST(ioctl(r, FIONREAD, &n));
    return n;
}

int main(void)
{
    enter_scratch();
    for (size_t i = 0; i < sizeof out; i++) out[i] = (char)('a' + i % 26);
    make(O_DIRECT | O_NONBLOCK);
    section("flags");
    printf("%o %o\n", fcntl(r, F_GETFL), fcntl(w, F_GETFL));
    section("packets");
    SHOW(write(w, out, 5));
    SHOW(write(w, out, 0));
    SHOW(write(w, out, 7));
    SHOW(unread());
    SHOW(read(r, in, 100));
    SHOW(read(r, in, 3));
    SHOW(memcmp(in, "abc", 3));
    SHOW(unread());
    SHOW(read(r, in, 100));
    section("large");
    SHOW(write(w, out, 10000));
    SHOW(unread());
    SHOW(read(r, in, 20000));
    SHOW(read(r, in, 1000));
    SHOW(memcmp(in, out + 4096, 1000));
    SHOW(read(r, in, 20000));
    SHOW(memcmp(in, out + 8192, 1808));
    SHOW(read(r, in, 20000));
    section("vectors");
    struct iovec v[3] = { { out, 3 }, { out, 4 }, { out, 5 } };
    SHOW(writev(w, v, 3));
    struct iovec u[2] = { { in, 5 }, { in + 100, 50 } };
    SHOW(readv(r, u, 2));
    SHOW(writev(w, v, 3));
    SHOW(readv(r, u, 1));
    SHOW(unread());
    section("full");
    int n = 0;
    while (write(w, out, 10) == 10) n++;
    SHOW(n);
    SHOW(read(r, in, 4));
    SHOW(write(w, out, 10));
    SHOW(write(w, out, 10));
    SHOW(fcntl(w, F_SETPIPE_SZ, 4096));
    n = 0;
    while (read(r, in, 100) == 10) n++;
    SHOW(n);
    section("changed");
    make(O_NONBLOCK);
    SHOW(write(w, out, 4));
    SHOW(fcntl(w, F_SETFL, O_NONBLOCK | O_DIRECT));
    printf("%o\n", fcntl(w, F_GETFL));
    SHOW(write(w, out, 5));
    SHOW(write(w, out, 6));
    SHOW(read(r, in, 100));
    SHOW(read(r, in, 100));
    SHOW(write(w, out, 6));
    SHOW(fcntl(w, F_SETFL, O_NONBLOCK));
    SHOW(write(w, out, 5));
    SHOW(write(w, out, 5));
    SHOW(read(r, in, 2));
    SHOW(read(r, in, 100));
    SHOW(read(r, in, 100));
    SHOW(fcntl(r, F_SETFL, O_NONBLOCK | O_DIRECT));
    SHOW(write(w, out, 5));
    SHOW(write(w, out, 5));
    SHOW(read(r, in, 100));
    section("fault");
    make(O_DIRECT | O_NONBLOCK);
    char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(munmap(m + 4096, 4096));
    SHOW(write(w, out, 10));
    SHOW(read(r, m + 4091, 20));
    SHOW(read(r, m + 4091, 5));
    SHOW(read(r, m, 5));
    section("splice and tee");
    SHOW(write(w, out, 10));
    SHOW(write(w, out, 10));
    int p[2];
    MUST(pipe2(p, O_NONBLOCK));
    SHOW(splice(r, 0, p[1], 0, 5, 0));
    SHOW(read(r, in, 100));
    SHOW(read(r, in, 100));
    section("fifo");
    MUST(mkfifo("f", 0600));
    SHOW(open("f", O_RDWR | O_DIRECT));
    int f = MUST(open("f", O_RDWR | O_NONBLOCK));
    SHOW(fcntl(f, F_SETFL, O_NONBLOCK | O_DIRECT));
    SHOW(write(f, out, 5));
    SHOW(write(f, out, 6));
    SHOW(read(f, in, 100));
    return done();
}
