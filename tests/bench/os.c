/* What the services of an operating system cost. The same source runs in both guests of `cargo unibody bench os`:
 *
 *   os FOLDER [SCALE]       FOLDER is in memory; everything is done SCALE times as often
 *
 * Each line `bench: op=NAME count=N ticks=T ns=NS` is one service: so often, so many ticks of the time-stamp counter,
 * so long. Under `-icount shift=0` a tick is an instruction, whatever the speed of the machine: nothing here is ever
 * idle. Every service's effect is checked. Lines that begin with "bench:" are for the bench; at `begin` and `end` it
 * answers with a line. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MIB = 1 << 20, REQUEST = 128, PAGE = 612, LARGE = 65536 };

#define CHECK(condition) do { if (!(condition)) wrong(__LINE__, #condition); } while (0)

static void wrong(int line, const char *what)
{
    printf("bench: error=os.c:%d: %s: %m\n", line, what);
    exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned long long ticks(void)
{
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (unsigned long long)high << 32;
}

static void gate(const char *word)
{
    char line[80];
    printf("bench: %s\n", word);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(3);
}

static char path[256], block[BLOCK];
static int ends[2], quiet[2], pair[2], file, epoll;

static void getppid_call(int n)
{
    while (n--)
        CHECK(syscall(SYS_getppid) >= 0);
}

static void gettid_call(int n)
{
    while (n--)
        CHECK(gettid() > 0);
}

/* The way in and out, with a handler that finds nothing to do. */
static void refused_call(int n)
{
    while (n--)
        CHECK(syscall(SYS_close, -1) < 0);
}

static void clock_call(int n)
{
    for (long long last = now(); n--;) {
        long long next = now();
        CHECK(next >= last);
        last = next;
    }
}

static void wall_clock_call(int n)
{
    struct timespec t;
    while (n--)
        CHECK(!clock_gettime(CLOCK_REALTIME, &t));
}

static void yield_call(int n)
{
    while (n--)
        CHECK(!sched_yield());
}

static void *same(void *p)
{
    return p;
}

static void thread(int n)
{
    while (n--) {
        pthread_t t;
        void *back;
        CHECK(!pthread_create(&t, 0, same, block) && !pthread_join(t, &back) && back == block);
    }
}

static void *allocates(void *p)
{
    volatile char *block = malloc(100);
    CHECK(block);
    *block = 1;
    free((void *)block);
    return p;
}

static void thread_that_allocates(int n)
{
    while (n--) {
        pthread_t t;
        CHECK(!pthread_create(&t, 0, allocates, 0) && !pthread_join(t, 0));
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn, rounds;

static void lock(int n)
{
    while (n--) {
        pthread_mutex_lock(&mutex);
        pthread_mutex_unlock(&mutex);
    }
}

static void play(int mine)
{
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != mine)
            pthread_cond_wait(&condition, &mutex);
        turn = !mine;
        pthread_cond_signal(&condition);
        pthread_mutex_unlock(&mutex);
    }
}

static void *second(void *p)
{
    play(1);
    return p;
}

static void ping_pong(int n)
{
    pthread_t t;
    turn = 0, rounds = n;
    CHECK(!pthread_create(&t, 0, second, 0));
    play(0);
    CHECK(!pthread_join(t, 0));
}

static void byte_through(int in, int out, int n)
{
    for (char c = 0, d; n--; c++)
        CHECK(write(in, &c, 1) == 1 && read(out, &d, 1) == 1 && c == d);
}

static void pipe_byte(int n)
{
    byte_through(ends[1], ends[0], n);
}

static void socket_byte(int n)
{
    byte_through(pair[0], pair[1], n);
}

static void write_block(int n)
{
    while (n--)
        CHECK(pwrite(file, block, BLOCK, (n & 63) * BLOCK) == BLOCK);
}

static void read_block(int n)
{
    static char back[BLOCK];
    while (n--)
        CHECK(pread(file, back, BLOCK, (n & 63) * BLOCK) == BLOCK);
    CHECK(!memcmp(back, block, BLOCK));
}

static void open_close(int n)
{
    while (n--) {
        int f = open(path, O_RDONLY);
        CHECK(f >= 0 && !close(f));
    }
}

static void map(int n)
{
    while (n--) {
        volatile char *p = mmap(0, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED);
        for (int i = 0; i < MIB; i += BLOCK) {
            p[i] = 1;
            CHECK(!p[i + 1]);
        }
        CHECK(!munmap((void *)p, MIB));
    }
}

static void epoll_nothing(int n)
{
    struct epoll_event event;
    while (n--)
        CHECK(!epoll_wait(epoll, &event, 1, 0));
}

static void allocate(int n)
{
    while (n--) {
        volatile char *p = malloc(64 + (n & 1023));
        CHECK(p);
        *p = 1;
        free((void *)p);
    }
}

static void copy(int n)
{
    static char from[MIB], to[MIB];
    while (n--) {
        from[n & (MIB - 1)] = 1;
        memcpy(to, from, MIB);
        __asm__ volatile("" ::"r"(to) : "memory");
    }
    CHECK(!memcmp(from, to, MIB));
}

/* A server thread answers `exchanges` requests of 128 bytes with `answer` bytes each, which the client checks. */
static int listener, exchanges, answer;
static char sent[LARGE], got[LARGE];

static void all(int s, char *bytes, int n, int out)
{
    for (int done = 0, some; done < n; done += some)
        CHECK((some = out ? write(s, bytes + done, n - done) : read(s, bytes + done, n - done)) > 0);
}

static void no_delay(int s)
{
    CHECK(s >= 0 && !setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
}

static void *serve(void *p)
{
    char request[REQUEST];
    int s = accept(listener, 0, 0);
    no_delay(s);
    for (int i = 0; i < exchanges; i++)
        all(s, request, REQUEST, 0), all(s, sent, answer, 1);
    CHECK(!close(s));
    return p;
}

static void connection(int n, int size)
{
    static char request[REQUEST];
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    pthread_t t;
    exchanges = n, answer = size;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!bind(listener, (void *)&a, length) && !listen(listener, 8) && !getsockname(listener, (void *)&a, &length));
    CHECK(!pthread_create(&t, 0, serve, 0));
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!connect(s, (void *)&a, length));
    no_delay(s);
    for (int i = 0; i < n; i++)
        all(s, request, REQUEST, 1), all(s, got, size, 0);
    CHECK(!memcmp(sent, got, size) && !close(s) && !pthread_join(t, 0) && !close(listener));
    memset(got, 0, size);
}

static void tcp_page(int n)
{
    connection(n, PAGE);
}

static void tcp_large(int n)
{
    connection(n, LARGE);
}

static void tcp_connect(int n)
{
    while (n--)
        connection(1, PAGE);
}

static const struct {
    const char *name;
    int count;
    void (*run)(int);
} services[] = {
    {"getppid", 1000, getppid_call},
    {"gettid", 1000, gettid_call},
    {"close-of-nothing", 1000, refused_call},
    {"clock_gettime", 1000, clock_call},
    {"clock_gettime-wall", 1000, wall_clock_call},
    {"sched_yield", 1000, yield_call},
    {"thread-create-join", 200, thread},
    {"thread-create-malloc-free-join", 200, thread_that_allocates},
    {"mutex-lock-unlock", 10000, lock},
    {"condvar-round", 500, ping_pong},
    {"pipe-1-byte", 1000, pipe_byte},
    {"socketpair-1-byte", 500, socket_byte},
    {"pwrite-4-KiB", 500, write_block},
    {"pread-4-KiB", 500, read_block},
    {"open-close", 200, open_close},
    {"mmap-1-MiB-touch-munmap", 20, map},
    {"epoll_wait-nothing-ready", 1000, epoll_nothing},
    {"malloc-free", 10000, allocate},
    {"memcpy-1-MiB", 20, copy},
    {"TCP-128-B-612-B", 500, tcp_page},
    {"TCP-128-B-64-KiB", 100, tcp_large},
    {"TCP-connect-exchange-close", 100, tcp_connect},
};

int main(int argc, char **argv)
{
    int scale = argc > 2 ? atoi(argv[2]) : 1;
    struct epoll_event event = {.events = EPOLLIN};
    CHECK(argc > 1 && scale > 0);
    snprintf(path, sizeof path, "%s/os.data", argv[1]);
    memset(block, 'b', sizeof block);
    for (int i = 0; i < LARGE; i++)
        sent[i] = i * 31 + (i >> 8);
    CHECK((file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
    CHECK(!pipe(ends) && !pipe(quiet) && !socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CHECK((epoll = epoll_create1(0)) >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, quiet[0], &event));
    gate("begin");
    long long start = now();
    for (unsigned i = 0; i < sizeof services / sizeof *services; i++) {
        int n = services[i].count * scale;
        services[i].run(n / 10 + 1);
        long long from = now();
        unsigned long long first = ticks();
        services[i].run(n);
        unsigned long long last = ticks();
        long long to = now();
        printf("bench: op=%s count=%d ticks=%llu ns=%lld\n", services[i].name, n, last - first, to - from);
    }
    fflush(stdout);
    long long end = now();
    gate("end");
    printf("bench: ns=%lld\nbench: done\n", end - start);
    return 0;
}
