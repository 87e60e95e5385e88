// futex by number: wait, wake, bitset, requeue, timeouts relative and absolute, many waiters, errors.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { WAIT = 0, WAKE = 1, REQUEUE = 3, CMP_REQUEUE = 4, WAKE_OP = 5, WAIT_BITSET = 9, WAKE_BITSET = 10, PRIVATE = 128, REALTIME = 256 };
static uint32_t word, other;
static volatile int waiting, woken;

static long futex(uint32_t *a, int op, uint32_t v, const void *t, uint32_t *b, uint32_t v3)
{
    return syscall(SYS_futex, a, op, v, t, b, v3);
}

static void *waiter(void *bits)
{
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    long r = bits ? futex(&word, WAIT_BITSET | PRIVATE, 0, 0, 0, (uint32_t)(long)bits) : futex(&word, WAIT | PRIVATE, 0, 0, 0, 0);
    if (r == 0) __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    return (void *)r;
}

enum { MANY = 40 };
static volatile int over;
static pthread_mutex_t mutex;
static pthread_cond_t cond;
static int turn;

/* Waits again as soon as woken. */
static void *again(void *unused)
{
    (void)unused;
    while (!over) {
        if (futex(&word, WAIT | PRIVATE, 0, 0, 0, 0) == 0) __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
    }
    return 0;
}

/* A requeue to the same word moves no waiter and returns their number. */
static int count(uint32_t *w) { return futex(w, REQUEUE | PRIVATE, 0, (void *)INT_MAX, w, 0); }

static void settle(int on_word, int on_other)
{
    while (count(&word) != on_word || count(&other) != on_other) sleep_ms(1);
}

static void *in_turn(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&mutex);
    waiting++;
    while (!turn) pthread_cond_wait(&cond, &mutex);
    woken++;
    pthread_mutex_unlock(&mutex);
    return 0;
}

/* More waiters than any batch: each wake-up is for those already waiting when it began. */
static void many(void)
{
    pthread_t t[MANY];
    section("who waits again is not woken again");
    woken = 0, word = other = 0;
    for (int i = 0; i < MANY; i++) MUST0(pthread_create(&t[i], 0, again, 0));
    settle(MANY, 0);
    SHOW(futex(&word, WAKE | PRIVATE, INT_MAX, 0, 0, 0));
    settle(MANY, 0);
    SHOW(woken);
    SHOW(futex(&word, WAKE_BITSET | PRIVATE, 30, 0, 0, 4));
    settle(MANY, 0);
    SHOW(woken);
    SHOW(futex(&word, CMP_REQUEUE | PRIVATE, 19, (void *)18, &other, 0));
    settle(MANY - 18, 18);
    SHOW(woken);
    /* Adds 0 to the other word, which then is 0. */
    SHOW(futex(&word, WAKE_OP | PRIVATE, 17, (void *)17, &other, 1 << 28));
    settle(MANY - 1, 1);
    SHOW(woken);
    /* At least one of each. */
    SHOW(futex(&word, WAKE_OP | PRIVATE, 0, (void *)0, &other, 1 << 28));
    settle(MANY, 0);
    over = 1;
    SHOW(futex(&word, WAKE | PRIVATE, INT_MAX, 0, 0, 0));
    for (int i = 0; i < MANY; i++) pthread_join(t[i], 0);

    section("broadcast between processes");
    pthread_mutexattr_t ma;
    pthread_condattr_t ca;
    pthread_mutexattr_init(&ma);
    pthread_condattr_init(&ca);
    SHOWE(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED));
    SHOWE(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED));
    pthread_mutex_init(&mutex, &ma);
    pthread_cond_init(&cond, &ca);
    waiting = woken = 0;
    for (int i = 0; i < MANY; i++) MUST0(pthread_create(&t[i], 0, in_turn, 0));
    for (int all = 0; !all; sleep_ms(1)) {
        pthread_mutex_lock(&mutex);
        all = waiting == MANY;
        pthread_mutex_unlock(&mutex);
    }
    /* Their condition is not met: they wait again. */
    SHOWE(pthread_cond_broadcast(&cond));
    pthread_mutex_lock(&mutex);
    turn = 1;
    SHOWE(pthread_cond_broadcast(&cond));
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < MANY; i++) pthread_join(t[i], 0);
    SHOW(woken);
}

static void start(pthread_t *t, int n, long bits)
{
    waiting = woken = 0;
    for (int i = 0; i < n; i++) MUST0(pthread_create(&t[i], 0, waiter, (void *)bits));
    while (waiting < n) sleep_ms(1);
    sleep_ms(30);
}

static void join(pthread_t *t, int n)
{
    for (int i = 0; i < n; i++) pthread_join(t[i], 0);
    printf("woken %d\n", woken);
}

static volatile int leaving;
static void interrupt(int signo) { (void)signo; }

/* Waits that end by themselves; returns how many ended in another way. */
static void *leaves(void *unused)
{
    (void)unused;
    long others = 0;
    for (int i = 0; i < 3000; i++) {
        struct timespec t = { 0, i % 100 * 500 };
        long r = futex(&word, WAIT | PRIVATE, 0, &t, 0, 0);
        others += r != -1 || (errno != ETIMEDOUT && errno != EINTR);
    }
    __atomic_sub_fetch(&leaving, 1, __ATOMIC_SEQ_CST);
    return (void *)others;
}

/* Time-outs and signals end waits of threads that are being requeued to and fro. */
static void requeued(void)
{
    static uint32_t words[33][64];
    pthread_t t[4];
    section("who is requeued can leave");
    word = 0, leaving = 4;
    struct sigaction a = { .sa_handler = interrupt };
    MUST(sigaction(SIGUSR1, &a, 0));
    for (int i = 0; i < 4; i++) MUST0(pthread_create(&t[i], 0, leaves, 0));
    for (unsigned n = 0; leaving; n++) {
        uint32_t *to = words[n % 33];
        futex(&word, REQUEUE | PRIVATE, 0, (void *)9, to, 0);
        futex(to, REQUEUE | PRIVATE, 0, (void *)9, &word, 0);
        if (n % 64 == 0) for (int i = 0; i < 4; i++) pthread_kill(t[i], SIGUSR1);
    }
    for (int i = 0; i < 4; i++) {
        void *others;
        MUST0(pthread_join(t[i], &others));
        SHOW(others);
    }
    SHOW(futex(&word, WAKE | PRIVATE, INT_MAX, 0, 0, 0));
}

int main(void)
{
    pthread_t t[4];
    struct timespec soon = { 0, 20000000 }, bad = { 0, 2000000000 }, when;
    SHOW(futex(&word, WAIT | PRIVATE, 1, 0, 0, 0));
    int64_t s = now_ns();
    SHOW(futex(&word, WAIT | PRIVATE, 0, &soon, 0, 0));
    IS(now_ns() - s >= 20000000);
    SHOW(futex(&word, WAIT, 0, &bad, 0, 0));
    SHOW(futex(&word, WAKE | PRIVATE, 1, 0, 0, 0));
    SHOW(futex((void *)1, WAIT | PRIVATE, 0, 0, 0, 0));
    SHOW(futex((void *)((char *)&word + 2), WAKE | PRIVATE, 1, 0, 0, 0));
    SHOW(futex(0, WAIT | PRIVATE, 0, 0, 0, 0));
    SHOW(futex(&word, WAIT_BITSET | PRIVATE, 0, 0, 0, 0));
    SHOW(futex(&word, 99, 0, 0, 0, 0));
    clock_gettime(CLOCK_MONOTONIC, &when);
    SHOW(futex(&word, WAIT_BITSET | PRIVATE, 0, &when, 0, ~0u));
    clock_gettime(CLOCK_REALTIME, &when);
    when.tv_nsec += 20000000;
    if (when.tv_nsec >= 1000000000) when.tv_sec++, when.tv_nsec -= 1000000000;
    s = now_ns();
    SHOW(futex(&word, WAIT_BITSET | PRIVATE | REALTIME, 0, &when, 0, ~0u));
    IS(now_ns() - s >= 15000000);

    section("wake");
    start(t, 3, 0);
    SHOW(futex(&word, WAKE | PRIVATE, 1, 0, 0, 0));
    SHOW(futex(&word, WAKE | PRIVATE, 10, 0, 0, 0));
    join(t, 3);
    section("bitset");
    start(t, 2, 6);
    SHOW(futex(&word, WAKE_BITSET | PRIVATE, 10, 0, 0, 1));
    SHOW(futex(&word, WAKE_BITSET | PRIVATE, 10, 0, 0, 2));
    join(t, 2);
    section("requeue");
    start(t, 4, 0);
    SHOW(futex(&word, CMP_REQUEUE | PRIVATE, 1, (void *)10, &other, 1));
    SHOW(futex(&word, CMP_REQUEUE | PRIVATE, 1, (void *)10, &other, 0));
    SHOW(futex(&word, WAKE | PRIVATE, 10, 0, 0, 0));
    SHOW(futex(&other, WAKE | PRIVATE, 2, 0, 0, 0));
    SHOW(futex(&other, REQUEUE | PRIVATE, 10, (void *)0, &word, 0));
    join(t, 4);
    section("not private");
    waiting = 0;
    SHOW(futex(&word, WAKE, 1, 0, 0, 0));
    section("not mapped");
    uint32_t *hole = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(munmap(hole, 4096));
    uint32_t *const places[] = { hole, 0, (void *)16, (void *)-4096L };
    for (int i = 0; i < 4; i++) {
        uint32_t *at = places[i];
        printf("%d\n", i);
        SHOW(futex(at, WAKE | PRIVATE, 1, 0, 0, 0));
        SHOW(futex(at, WAKE | PRIVATE, 2, 0, 0, 0));
        SHOW(futex(at, WAKE, 1, 0, 0, 0));
        SHOW(futex(at, WAKE_BITSET | PRIVATE, 1, 0, 0, 1));
        SHOW(futex(at, REQUEUE | PRIVATE, 1, (void *)1, &other, 0));
        SHOW(futex(at, REQUEUE, 1, (void *)1, &other, 0));
        SHOW(futex(&other, REQUEUE, 1, (void *)1, at, 0));
        SHOW(futex(at, CMP_REQUEUE | PRIVATE, 1, (void *)1, &other, 0));
        SHOW(futex(&other, WAKE_OP | PRIVATE, 1, (void *)1, at, 0));
        SHOW(futex(at, WAIT | PRIVATE, 0, 0, 0, 0));
        SHOW(futex(at, WAIT, 0, 0, 0, 0));
        SHOW(futex((void *)((char *)at + 2), WAKE, 1, 0, 0, 0));
    }
    many();
    requeued();
    return done();
}
