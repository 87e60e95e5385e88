// Locks that lend priorities: by number and as mutexes; errors, time-outs, owners that end, waiters that are moved.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_LOCK_PI 6
#define FUTEX_UNLOCK_PI 7
#define FUTEX_TRYLOCK_PI 8
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_CMP_REQUEUE_PI 12
#define FUTEX_LOCK_PI2 13
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_WAITERS 0x80000000
#define FUTEX_OWNER_DIED 0x40000000
#define FUTEX_TID_MASK 0x3fffffff

static uint32_t word, other, third;
static long futex(uint32_t *a, int op, uint32_t v, const void *t, uint32_t *b, uint32_t v3) { return syscall(SYS_futex, a, op, v, t, b, v3); }
static long lock(uint32_t *w, const struct timespec *t) { return futex(w, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG, 0, t, 0, 0); }
static long unlock(uint32_t *w) { return futex(w, FUTEX_UNLOCK_PI | FUTEX_PRIVATE_FLAG, 0, 0, 0, 0); }
static uint32_t me(void) { return (uint32_t)syscall(SYS_gettid); }
static uint32_t now(uint32_t *w) { return __atomic_load_n(w, __ATOMIC_SEQ_CST); }
static void until(bool (*f)(void)) { while (!f()) sleep_ms(1); }
static struct timespec in_ms(clockid_t c, long ms)
{
    struct timespec t;
    clock_gettime(c, &t);
    int64_t ns = t.tv_nsec + ms * 1000000;
    return (struct timespec){ t.tv_sec + ns / 1000000000, ns % 1000000000 };
}

static volatile uint32_t holder;
static volatile int release, asked;
static void *holds(void *w)
{
    if (lock(w, 0)) return (void *)1;
    holder = me();
    while (!release) sleep_ms(1);
    return (void *)(intptr_t)(unlock(w) ? errno : 0);
}
static void *takes(void *w)
{
    __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
    if (lock(w, 0)) return (void *)(intptr_t)errno;
    bool mine = (now(w) & FUTEX_TID_MASK) == me();
    if (!mine) return (void *)-1L;
    return (void *)(intptr_t)(unlock(w) ? errno : 0);
}
static void *dies(void *w)
{
    if (lock(w, 0)) return (void *)1;
    holder = me();
    while (!release) sleep_ms(1);
    return 0;
}
static bool waited(void) { return now(&word) & FUTEX_WAITERS; }
static bool held(void) { return holder != 0; }
static void on_signal(int s) { (void)s; }
static void start(pthread_t *t, void *(*f)(void *), void *arg)
{
    holder = 0;
    release = 0;
    MUST0(pthread_create(t, 0, f, arg));
}

static void *crosses(void *arg)
{
    (void)arg;
    MUST(lock(&other, 0));
    holder = me();
    long r = lock(&word, 0);
    int e = errno;
    if (!r) unlock(&word);
    unlock(&other);
    return (void *)(intptr_t)(r ? e : 0);
}

static volatile int moved;
static void *requeued(void *arg)
{
    __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
    long r = futex(&third, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 0, arg, &word, 0);
    int e = errno;
    if (r) return (void *)(intptr_t)e;
    bool mine = (now(&word) & FUTEX_TID_MASK) == me();
    __atomic_add_fetch(&moved, 1, __ATOMIC_SEQ_CST);
    if (unlock(&word)) return (void *)(intptr_t)errno;
    return (void *)(intptr_t)(mine ? 0 : -1);
}

static void by_number(void)
{
    pthread_t t, u[3];
    void *r;
    section("by number");
    SHOW(lock(&word, 0));
    IS(now(&word) == me());
    SHOW(lock(&word, 0));
    SHOW(futex(&word, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
    SHOW(unlock(&word));
    IS(now(&word) == 0);
    SHOW(unlock(&word));
    SHOW(futex(&word, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
    SHOW(unlock(&word));
    word = FUTEX_OWNER_DIED;
    SHOW(lock(&word, 0));
    IS(now(&word) == (me() | FUTEX_OWNER_DIED));
    SHOW(unlock(&word));
    SHOW(now(&word));
    word = 0x3ffffff0;
    SHOW(lock(&word, 0));
    printf("%x\n", now(&word));
    word = 0;
    SHOW(lock((void *)((char *)&word + 1), 0));
    SHOW(lock((void *)8, 0));
    SHOW(unlock((void *)8));
    SHOW(futex(&word, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, 0, 0, 0));
    struct timespec bad = { 0, 1000000000 };
    SHOW(lock(&word, &bad));
    SHOW(futex(&word, FUTEX_LOCK_PI2, 0, 0, 0, 0));
    SHOW(unlock(&word));

    section("waiting");
    start(&t, holds, &word);
    until(held);
    SHOW(unlock(&word));
    SHOW(futex(&word, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
    IS(now(&word) == (holder | FUTEX_WAITERS));
    struct timespec past = { 1, 0 }, soon;
    SHOW(lock(&word, &past));
    int64_t from = now_ns();
    soon = in_ms(CLOCK_REALTIME, 50);
    SHOW(lock(&word, &soon));
    IS(now_ns() - from >= 40000000);
    soon = in_ms(CLOCK_MONOTONIC, 50);
    SHOW(futex(&word, FUTEX_LOCK_PI2, 0, &soon, 0, 0));
    soon = in_ms(CLOCK_REALTIME, 50);
    SHOW(futex(&word, FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, 0, &soon, 0, 0));
    IS(now_ns() - from >= 130000000);
    asked = 0;
    for (int i = 0; i < 3; i++) MUST0(pthread_create(&u[i], 0, takes, &word));
    while (asked < 3) sleep_ms(1);
    sleep_ms(30);
    /* A signal does not end it. */
    struct sigaction sa = { .sa_handler = on_signal };
    sigaction(SIGUSR1, &sa, 0);
    pthread_kill(u[0], SIGUSR1);
    sleep_ms(20);
    release = 1;
    pthread_join(t, &r);
    SHOW((intptr_t)r);
    for (int i = 0; i < 3; i++) {
        pthread_join(u[i], &r);
        SHOW((intptr_t)r);
    }
    SHOW(now(&word));
    start(&t, takes, &word);
    pthread_join(t, &r);
    SHOW((intptr_t)r);

    section("an owner that ends");
    start(&t, dies, &word);
    until(held);
    asked = 0;
    MUST0(pthread_create(&u[0], 0, takes, &word));
    until(waited);
    sleep_ms(20);
    release = 1;
    pthread_join(t, 0);
    pthread_join(u[0], &r);
    SHOW((intptr_t)r);
    SHOW(now(&word));
    start(&t, dies, &word);
    until(held);
    release = 1;
    pthread_join(t, 0);
    sleep_ms(10);
    SHOW(lock(&word, 0));
    IS(now(&word) == (holder | FUTEX_WAITERS));
    word = 0;

    section("rings");
    SHOW(lock(&word, 0));
    start(&t, crosses, 0);
    until(held);
    until(waited);
    sleep_ms(20);
    SHOW(lock(&other, 0));
    SHOW(unlock(&word));
    pthread_join(t, &r);
    SHOW((intptr_t)r);
    SHOW(now(&word));
    SHOW(now(&other));

    section("waiters that are moved");
    SHOW(futex(&third, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, 0, &word, 0));
    SHOW(futex(&third, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 0, 0, &third, 0));
    soon = in_ms(CLOCK_MONOTONIC, 30);
    SHOW(futex(&third, FUTEX_WAIT_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 0, &soon, &word, 0));
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, 0, &word, 1));
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 2, 0, &word, 0));
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, 0, &third, 0));
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, (void *)9, &word, 0));
    SHOW(lock(&word, 0));
    asked = moved = 0;
    for (int i = 0; i < 3; i++) MUST0(pthread_create(&u[i], 0, requeued, 0));
    while (asked < 3) sleep_ms(1);
    sleep_ms(30);
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, (void *)1, &other, 0));
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, (void *)1, &word, 0));
    sleep_ms(30);
    SHOW(moved);
    SHOW(unlock(&word));
    while (moved < 2) sleep_ms(1);
    sleep_ms(20);
    SHOW(moved);
    SHOW(futex(&third, FUTEX_CMP_REQUEUE_PI | FUTEX_PRIVATE_FLAG, 1, (void *)9, &word, 0));
    for (int i = 0; i < 3; i++) {
        pthread_join(u[i], &r);
        SHOW((intptr_t)r);
    }
    SHOW(now(&word));
}

static pthread_mutex_t mutex;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static volatile int step, count;
static void *locks_and_ends(void *arg) { (void)arg; pthread_mutex_lock(&mutex); step = 1; while (step < 2) sleep_ms(1); return 0; }
static void *tries(void *arg) { (void)arg; return (void *)(intptr_t)pthread_mutex_trylock(&mutex); }
static void *unlocks(void *arg) { (void)arg; return (void *)(intptr_t)pthread_mutex_unlock(&mutex); }
static void *counts(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        if (pthread_mutex_lock(&mutex)) return (void *)1;
        count++;
        if (pthread_mutex_unlock(&mutex)) return (void *)1;
    }
    return 0;
}
static void *waits(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
    __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
    while (!step) pthread_cond_wait(&cond, &mutex);
    pthread_mutex_unlock(&mutex);
    return 0;
}
static void make(int type, int robust)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    SHOWE(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    pthread_mutexattr_settype(&a, type);
    pthread_mutexattr_setrobust(&a, robust);
    SHOWE(pthread_mutex_init(&mutex, &a));
    step = count = asked = 0;
}

static void as_mutexes(void)
{
    pthread_t t[4];
    void *r;
    section("mutexes");
    pthread_mutexattr_t a;
    int p;
    pthread_mutexattr_init(&a);
    SHOWE(pthread_mutexattr_setprotocol(&a, 77));
    SHOWE(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    SHOWE(pthread_mutexattr_getprotocol(&a, &p));
    IS(p == PTHREAD_PRIO_INHERIT);
    make(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED);
    SHOWE(pthread_mutex_lock(&mutex));
    SHOWE(pthread_mutex_lock(&mutex));
    SHOWE(pthread_mutex_trylock(&mutex));
    pthread_create(&t[0], 0, tries, 0);
    pthread_join(t[0], &r);
    SHOWE((int)(intptr_t)r);
    pthread_create(&t[0], 0, unlocks, 0);
    pthread_join(t[0], &r);
    SHOWE((int)(intptr_t)r);
    SHOWE(pthread_mutex_unlock(&mutex));
    SHOWE(pthread_mutex_unlock(&mutex));
    SHOWE(pthread_mutex_destroy(&mutex));
    make(PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED);
    SHOWE(pthread_mutex_lock(&mutex));
    SHOWE(pthread_mutex_lock(&mutex));
    SHOWE(pthread_mutex_unlock(&mutex));
    SHOWE(pthread_mutex_unlock(&mutex));
    make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED);
    for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, counts, 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(t[i], &r);
        SHOW((intptr_t)r);
    }
    SHOW(count);
    SHOWE(pthread_mutex_lock(&mutex));
    struct timespec soon = in_ms(CLOCK_REALTIME, 30);
    SHOWE(pthread_mutex_timedlock(&mutex, &soon));
    SHOWE(pthread_mutex_unlock(&mutex));
    for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, waits, 0);
    while (asked < 3) sleep_ms(1);
    pthread_mutex_lock(&mutex);
    step = 1;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    section("robust ones");
    make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST);
    pthread_create(&t[0], 0, locks_and_ends, 0);
    while (!step) sleep_ms(1);
    SHOWE(pthread_mutex_trylock(&mutex));
    step = 2;
    SHOWE(pthread_mutex_lock(&mutex));
    pthread_join(t[0], 0);
    SHOWE(pthread_mutex_consistent(&mutex));
    SHOWE(pthread_mutex_unlock(&mutex));
    SHOWE(pthread_mutex_lock(&mutex));
    SHOWE(pthread_mutex_unlock(&mutex));
    step = 0;
    pthread_create(&t[0], 0, locks_and_ends, 0);
    while (!step) sleep_ms(1);
    step = 2;
    pthread_join(t[0], 0);
    SHOWE(pthread_mutex_trylock(&mutex));
    SHOWE(pthread_mutex_unlock(&mutex));
    SHOWE(pthread_mutex_lock(&mutex));
    SHOWE(pthread_mutex_trylock(&mutex));
}

int main(void)
{
    by_number();
    as_mutexes();
    return done();
}
