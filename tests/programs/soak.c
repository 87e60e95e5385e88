// Threads, files, sockets and timers at once for a while: nothing is lost, nothing hangs.
//@ smp 2
//@ memory 64M
//@ timeout 120
#include "net.h"
#include <signal.h>

static volatile int stop;
static volatile long ticks, bad;
static void tick(int s) { (void)s; ticks++; }

static void *files(void *arg)
{
    char name[32], buf[3000];
    for (int i = 0; !stop; i++) {
        snprintf(name, sizeof name, "f%ld-%d", (long)arg, i % 8);
        int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
        memset(buf, i, sizeof buf);
        if (fd < 0 || write(fd, buf, sizeof buf) != sizeof buf || pread(fd, buf, 1, 2999) != 1 || buf[0] != (char)i) bad++;
        close(fd);
        if (i % 3 == 0) unlink(name);
    }
    return 0;
}

static void *memory(void *arg)
{
    char *p[64] = { 0 };
    for (uint32_t i = 1 + (uint32_t)(long)arg; !stop; i = i * 1664525 + 1013904223) {
        int k = i >> 20 & 63;
        free(p[k]);
        size_t n = 16 + (i >> 8) % 9000;
        p[k] = malloc(n);
        if (!p[k]) bad++;
        else memset(p[k], k, n);
    }
    for (int k = 0; k < 64; k++) free(p[k]);
    return 0;
}

static void *server(void *arg)
{
    int l = (int)(long)arg, c;
    while ((c = accept(l, 0, 0)) >= 0) {
        char buf[2000];
        ssize_t n = read(c, buf, sizeof buf);
        if (n > 0) write_all(c, buf, (size_t)n);
        close(c);
    }
    return 0;
}

static address where;
static void *client(void *arg)
{
    char buf[1500], back[1500];
    for (int i = 0; !stop; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        memset(buf, i + (int)(long)arg, sizeof buf);
        if (connect(s, &where.any, length(&where)) || !write_all(s, buf, sizeof buf) || !read_all(s, back, sizeof back) || memcmp(buf, back, sizeof buf)) bad++;
        close(s);
    }
    return 0;
}

int main(void)
{
    enter_scratch();
    struct sigaction a = { .sa_handler = tick, .sa_flags = SA_RESTART };
    sigaction(SIGALRM, &a, 0);
    signal(SIGPIPE, SIG_IGN);
    int l = listener(AF_INET, &where, 64);
    pthread_t s, t[6];
    sigset_t m;
    sigemptyset(&m);
    sigaddset(&m, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &m, 0);
    MUST0(pthread_create(&s, 0, server, (void *)(long)l));
    for (long i = 0; i < 6; i++) MUST0(pthread_create(&t[i], 0, i < 2 ? files : i < 4 ? memory : client, (void *)i));
    pthread_sigmask(SIG_UNBLOCK, &m, 0);
    ualarm(10000, 10000);
    int64_t end = now_ns() + 3000000000LL;
    while (now_ns() < end) sleep_ms(10);
    ualarm(0, 0);
    stop = 1;
    for (int i = 0; i < 6; i++) MUST0(pthread_join(t[i], 0));
    shutdown(l, SHUT_RDWR);
    pthread_join(s, 0);
    SHOW(bad);
    IS(ticks > 20);
    return done();
}
