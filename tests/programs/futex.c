// futex by number: wait, wake, bitset, requeue, timeouts relative and absolute, errors.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { WAIT = 0, WAKE = 1, REQUEUE = 3, CMP_REQUEUE = 4, WAIT_BITSET = 9, WAKE_BITSET = 10, PRIVATE = 128, REALTIME = 256 };
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
    return done();
}
