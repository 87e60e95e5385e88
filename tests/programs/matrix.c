// Everything that a machine must provide, in one program: threads on all processors, timers, entropy, files, sockets,
// memory.
//@ shows getrandom
#include "net.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/random.h>

static void need(bool ok, const char *what)
{
    if (!ok) {
        printf("does not work: %s (%s)\n", what, errname(errno));
        fflush(stdout);
        _exit(1);
    }
}

static pthread_barrier_t barrier;
static unsigned long cpus;

/* They all wait for each other without sleeping, and until every processor was seen: so they must really run in
   parallel or be preempted. */
static volatile int here;
static int wanted = 1;
static void *meet(void *arg)
{
    int n = (int)(long)arg;
    __atomic_add_fetch(&here, 1, __ATOMIC_SEQ_CST);
    int64_t end = now_ns() + 20000000000LL;
    while ((here < n || __builtin_popcountl(cpus) < wanted) && now_ns() < end)
        __atomic_or_fetch(&cpus, 1ul << sched_getcpu(), __ATOMIC_SEQ_CST);
    pthread_barrier_wait(&barrier);
    return 0;
}

static void *echo(void *arg)
{
    char buf[1000];
    ssize_t n;
    while ((n = read((int)(long)arg, buf, sizeof buf)) > 0) write_all((int)(long)arg, buf, (size_t)n);
    return 0;
}

int main(int argc, char **argv)
{
    int want = argc > 1 ? atoi(argv[1]) : 1;
    need(argc < 2 || sysconf(_SC_NPROCESSORS_ONLN) == want, "the number of processors");

    wanted = want;
    pthread_t t[8];
    int n = want * 2;
    MUST0(pthread_barrier_init(&barrier, 0, (unsigned)n));
    for (int i = 0; i < n; i++) MUST0(pthread_create(&t[i], 0, meet, (void *)(long)n));
    for (int i = 0; i < n; i++) MUST0(pthread_join(t[i], 0));
    need(here == n, "threads");
    need(__builtin_popcountl(cpus) >= want, "threads on every processor");

    int64_t start = now_ns();
    sleep_ms(30);
    int64_t slept = now_ns() - start;
    need(slept >= 30000000 && slept < 5000000000LL, "timers");
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    need(real.tv_sec > 1700000000, "the wall clock");

    unsigned char a[32] = { 0 }, b[32] = { 0 };
    need(getrandom(a, 32, 0) == 32 && getrandom(b, 32, 0) == 32 && memcmp(a, b, 32), "entropy");

    char *p = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(p != MAP_FAILED, "mmap");
    for (int i = 0; i < 4 << 20; i += 4096) p[i] = 1;
    need(munmap(p, 4 << 20) == 0, "munmap");

    enter_scratch();
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    char word[5] = "";
    need(fd >= 0 && write(fd, "text", 4) == 4 && pread(fd, word, 4, 0) == 4 && !strcmp(word, "text"), "files");

    for (int family = 0; family < 2; family++) {
        int pair[2];
        tcp_pair(family ? AF_INET6 : AF_INET, pair);
        MUST0(pthread_create(&t[0], 0, echo, (void *)(long)pair[1]));
        char back[4];
        need(write_all(pair[0], "ping", 4) && read_all(pair[0], back, 4) && !memcmp(back, "ping", 4), "TCP");
        shutdown(pair[0], SHUT_WR);
        pthread_join(t[0], 0);
    }
    printf("everything works\n");
    return 0;
}
