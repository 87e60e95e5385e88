// TCP and UDP with memory that is not present yet, or never will be: first touches, files, EFAULT.
//@ smp 2
#include "net.h"
#include <sys/mman.h>
#include <sys/uio.h>

enum { BIG = 300 * 1024, PAGE = 4096 };

static char *fresh(size_t n, int fd)
{
    char *p = mmap(0, n, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? 0 : p;
}

static char pattern(size_t i) { return (char)(i * 31 + i / 4093); }

static bool is_pattern(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != pattern(i)) return false;
    return true;
}

static int to_write, to_read;
static char *source;

static void *writer(void *q)
{
    bool whole = write_all(to_write, source, BIG);
    return whole ? q : 0;
}

static void *reader(void *q)
{
    unsigned long *sum = q;
    for (;;) {
        unsigned char *p = (unsigned char *)fresh(3 * PAGE, -1);
        ssize_t n = read(to_read, p, 3 * PAGE - 100);
        for (ssize_t i = 0; i < n; i++) sum[0] += p[i];
        if (n > 0) sum[1] += (unsigned long)n;
        munmap(p, 3 * PAGE);
        if (n <= 0) return 0;
    }
}

int main(void)
{
    int p[2], q[2], u[2];
    pthread_t t, r[2];
    void *whole;
    tcp_pair(AF_INET, p);

    section("a page at its first touch");
    char *to = fresh(BIG, -1);
    source = fresh(BIG, -1);
    for (size_t i = 0; i < BIG; i++) source[i] = pattern(i);
    to_write = p[0];
    MUST(pthread_create(&t, 0, writer, source));
    IS(read_all(p[1], to, BIG) && is_pattern(to, BIG));
    MUST(pthread_join(t, &whole));
    IS(whole == source);
    SHOW(write(p[0], fresh(PAGE, -1), PAGE));
    to = fresh(PAGE, -1);
    IS(read_all(p[1], to, PAGE) && to[0] == 0 && to[PAGE - 1] == 0);
    to = fresh(2 * PAGE, -1);
    SHOW(write(p[0], source, 200));
    SHOW(recv(p[1], to + PAGE - 100, 300, MSG_PEEK));
    to = fresh(2 * PAGE, -1);
    SHOW(recv(p[1], to + PAGE - 100, 300, 0));
    IS(is_pattern(to + PAGE - 100, 200));

    section("pages of a file");
    enter_scratch();
    int f = (int)MUST(open("bytes", O_RDWR | O_CREAT | O_TRUNC, 0600));
    int g = (int)MUST(open("copy", O_RDWR | O_CREAT | O_TRUNC, 0600));
    IS(write_all(f, source, BIG));
    MUST(ftruncate(g, BIG));
    source = fresh(BIG, f), to = fresh(BIG, g);
    MUST(pthread_create(&t, 0, writer, source));
    IS(read_all(p[1], to, BIG) && is_pattern(to, BIG));
    MUST(pthread_join(t, &whole));
    IS(whole == source);
    munmap(to, BIG);
    to = fresh(BIG, -1);
    IS(pread(g, to, BIG, 0) == BIG && is_pattern(to, BIG));
    struct iovec parts[] = { { source, 3000 }, { fresh(PAGE, -1), 0 }, { source + 3000, 2000 } };
    SHOW(writev(p[0], parts, 3));
    to = fresh(2 * PAGE, -1);
    IS(read_all(p[1], to, 5000) && is_pattern(to, 5000));

    section("cork");
    int on = 1, off = 0;
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &on, sizeof on));
    char *again = fresh(BIG, f);
    SHOW(write(p[0], again, 100));
    SHOW(write(p[0], again + 100, 9000));
    SHOW(write(p[0], again + 9100, 100));
    MUST(setsockopt(p[0], IPPROTO_TCP, TCP_CORK, &off, sizeof off));
    to = fresh(3 * PAGE, -1);
    IS(read_all(p[1], to, 9200) && is_pattern(to, 9200));

    section("no memory there");
    char *none = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(mprotect(none + PAGE, PAGE, PROT_NONE));
    memcpy(none, source, PAGE);
    SHOW(write(p[0], none + PAGE, 100));
    SHOW(write(p[0], none + PAGE - 50, 100));
    SHOW(recv(p[1], to, 10, MSG_DONTWAIT));
    MUST(write(p[0], source, 100));
    SHOW(recv(p[1], none + PAGE, 100, MSG_PEEK));
    SHOW(recv(p[1], none + PAGE, 100, 0));
    SHOW(recv(p[1], none + PAGE, 40, MSG_TRUNC));
    SHOW(recv(p[1], to, 100, 0));
    IS(memcmp(to, source + 40, 60) == 0);
    SHOW(recv(p[1], none + PAGE, 100, MSG_DONTWAIT));
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    while (write(p[0], source, BIG) > 0) {}
    SHOW(write(p[0], none + PAGE, 100));
    close(p[1]);
    wait_for(p[0], POLLHUP);
    tcp_pair(AF_INET, q);
    shutdown(q[0], SHUT_WR);
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(q[0], none + PAGE, 100));
    SHOW(recv(q[1], none + PAGE, 100, 0));

    section("datagrams");
    address a = loopback(AF_INET, 0);
    socklen_t n = sizeof a;
    u[0] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), u[1] = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    MUST(bind(u[1], &a.any, length(&a)));
    MUST(getsockname(u[1], &a.any, &n));
    MUST(connect(u[0], &a.any, length(&a)));
    SHOW(send(u[0], none + PAGE, 10, 0));
    SHOW(send(u[0], source, 5000, 0));
    to = fresh(2 * PAGE, -1);
    SHOW(recv(u[1], to, 5000, MSG_PEEK));
    IS(is_pattern(to, 5000));
    to = fresh(2 * PAGE, -1);
    SHOW(recv(u[1], to, 5000, 0));
    IS(is_pattern(to, 5000));
    SHOW(send(u[0], source, 10, 0));
    SHOW(recv(u[1], none + PAGE, 10, MSG_PEEK));
    SHOW(recv(u[1], none + PAGE, 10, 0));
    SHOW(recv(u[1], to, 10, MSG_DONTWAIT));

    section("two readers");
    unsigned long sums[2][2] = { { 0 } }, sum = 0;
    tcp_pair(AF_INET, p);
    to_write = p[0], to_read = p[1];
    source = fresh(BIG, f);
    MUST(pthread_create(&t, 0, writer, source));
    for (int i = 0; i < 2; i++) MUST(pthread_create(&r[i], 0, reader, sums[i]));
    MUST(pthread_join(t, &whole));
    close(p[0]);
    for (int i = 0; i < 2; i++) MUST(pthread_join(r[i], 0));
    for (size_t i = 0; i < BIG; i++) sum += (unsigned char)pattern(i);
    SHOW(sums[0][1] + sums[1][1]);
    IS(sums[0][0] + sums[1][0] == sum);
    return done();
}
