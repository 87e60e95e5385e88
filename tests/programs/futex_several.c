// Newer futex calls: several words at once, wake, wait and requeue; and one page at two addresses is one futex.
//@ shows futex_waitv futex_wake futex_wait futex_requeue
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct waitv { uint64_t val, uaddr; uint32_t flags, reserved; };
#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_PRIVATE_FLAG 128
#define U32 2
#define PRIVATE 128
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef SYS_futex_wake
#define SYS_futex_wake 454
#define SYS_futex_wait 455
#define SYS_futex_requeue 456
#endif

static uint32_t words[4];
static struct waitv list[130];
static void fill(void)
{
    for (int i = 0; i < 130; i++) list[i] = (struct waitv){ 0, (uintptr_t)&words[i % 4], U32 | PRIVATE, 0 };
}
static long waitv(unsigned n, unsigned flags, void *t, int clock) { return syscall(SYS_futex_waitv, list, n, flags, t, clock); }
static long wake(void *a, uint64_t mask, int n, unsigned flags) { return syscall(SYS_futex_wake, a, mask, n, flags); }
static long wait(void *a, uint64_t v, uint64_t mask, unsigned flags, void *t, int clock) { return syscall(SYS_futex_wait, a, v, mask, flags, t, clock); }
static long requeue(void *both, unsigned flags, int n, int m) { return syscall(SYS_futex_requeue, both, flags, n, m); }
static volatile int entered;
static void *waits_on_all(void *arg) { (void)arg; entered = 1; return (void *)(intptr_t)waitv(4, 0, 0, 0); }
static void *waits_on_one(void *arg)
{
    __atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
    return (void *)(intptr_t)(wait(arg, 0, 3, U32 | PRIVATE, 0, 0) ? errno : 0);
}
static void *waits_shared(void *arg)
{
    __atomic_add_fetch(&entered, 1, __ATOMIC_SEQ_CST);
    return (void *)(intptr_t)(syscall(SYS_futex, arg, FUTEX_WAIT, 0, 0, 0, 0) ? errno : 0);
}
static void begin(int n)
{
    while (entered < n) sleep_ms(1);
    sleep_ms(30);
}
static struct timespec in_ms(clockid_t c, long ms)
{
    struct timespec t;
    clock_gettime(c, &t);
    int64_t ns = t.tv_nsec + ms * 1000000;
    return (struct timespec){ t.tv_sec + ns / 1000000000, ns % 1000000000 };
}

int main(void)
{
    pthread_t t, u[3];
    void *r;
    struct timespec soon, bad = { 0, 1000000000 };
    section("several");
    fill();
    SHOW(waitv(0, 0, 0, 0));
    SHOW(waitv(129, 0, 0, 0));
    SHOW(waitv(1, 1, 0, 0));
    SHOW(syscall(SYS_futex_waitv, NULL, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex_waitv, (void *)8, 1, 0, 0, 0));
    SHOW(waitv(1, 0, &bad, CLOCK_MONOTONIC));
    soon = in_ms(CLOCK_MONOTONIC, 30);
    SHOW(waitv(1, 0, &soon, CLOCK_BOOTTIME));
    SHOW(waitv(1, 0, (void *)8, CLOCK_MONOTONIC));
    list[1].reserved = 1;
    SHOW(waitv(2, 0, 0, 0));
    fill();
    list[1].flags = 1;
    SHOW(waitv(2, 0, 0, 0));
    fill();
    list[1].val = 1ull << 32;
    SHOW(waitv(2, 0, 0, 0));
    fill();
    list[1].uaddr++;
    SHOW(waitv(2, 0, 0, 0));
    fill();
    list[1].uaddr = 8;
    SHOW(waitv(2, 0, 0, 0));
    fill();
    list[2].val = 7;
    SHOW(waitv(4, 0, 0, 0));
    fill();
    int64_t from = now_ns();
    soon = in_ms(CLOCK_MONOTONIC, 30);
    SHOW(waitv(128, 0, &soon, CLOCK_MONOTONIC));
    soon = in_ms(CLOCK_REALTIME, 30);
    SHOW(waitv(4, 0, &soon, CLOCK_REALTIME));
    IS(now_ns() - from >= 50000000);
    for (int i = 0; i < 4; i++) {
        entered = 0;
        MUST0(pthread_create(&t, 0, waits_on_all, 0));
        begin(1);
        SHOW(syscall(SYS_futex, &words[i], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
        pthread_join(t, &r);
        SHOW((intptr_t)r);
    }

    section("one by one");
    SHOW(wait(&words[0], 1, 1, U32 | PRIVATE, 0, 0));
    SHOW(wait(&words[0], 0, 0, U32 | PRIVATE, 0, 0));
    SHOW(wait(&words[0], 0, 1, PRIVATE, 0, 0));
    SHOW(wait(&words[0], 1ull << 32, 1, U32 | PRIVATE, 0, 0));
    SHOW(wait(&words[0], 0, 1ull << 32, U32 | PRIVATE, 0, 0));
    soon = in_ms(CLOCK_MONOTONIC, 20);
    SHOW(wait(&words[0], 0, 1, U32 | PRIVATE, &soon, CLOCK_MONOTONIC));
    SHOW(wait(&words[0], 0, 1, U32 | PRIVATE, &soon, CLOCK_BOOTTIME));
    SHOW(wake(&words[0], 1, 1, U32 | PRIVATE));
    SHOW(wake(&words[0], 0, 1, U32 | PRIVATE));
    SHOW(wake(&words[0], 1, 1, PRIVATE));
    SHOW(wake((void *)((char *)words + 1), 1, 1, U32 | PRIVATE));
    SHOW(wake((void *)8, 1, 1, U32));
    entered = 0;
    for (int i = 0; i < 3; i++) MUST0(pthread_create(&u[i], 0, waits_on_one, &words[0]));
    begin(3);
    SHOW(wake(&words[0], 4, 9, U32 | PRIVATE));
    SHOW(wake(&words[0], 2, 0, U32 | PRIVATE));
    SHOW(wake(&words[0], 2, 1, U32 | PRIVATE));
    SHOW(requeue(list, 1, 0, 0));
    SHOW(requeue(NULL, 0, 0, 0));
    list[0].val = 1;
    SHOW(requeue(list, 0, 0, 9));
    fill();
    SHOW(requeue(list, 0, -1, 9));
    SHOW(requeue(list, 0, 1, 9));
    SHOW(wake(&words[0], 1, 9, U32 | PRIVATE));
    SHOW(wake(&words[1], 1, 9, U32 | PRIVATE));
    for (int i = 0; i < 3; i++) {
        pthread_join(u[i], &r);
        SHOW((intptr_t)r);
    }

    section("one page at two addresses");
    int fd = (int)MUST(memfd_create("page", 0));
    MUST(ftruncate(fd, 8192));
    uint32_t *a = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *b = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    entered = 0;
    MUST0(pthread_create(&t, 0, waits_shared, a + 5));
    begin(1);
    SHOW(syscall(SYS_futex, b + 6, FUTEX_WAKE, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, b + 1024 + 5, FUTEX_WAKE, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, p + 5, FUTEX_WAKE, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, b + 5, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, b + 5, FUTEX_WAKE, 1, 0, 0, 0));
    pthread_join(t, &r);
    SHOW((intptr_t)r);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init((void *)(a + 64), &attr);
    SHOWE(pthread_mutex_lock((void *)(b + 64)));
    SHOWE(pthread_mutex_trylock((void *)(a + 64)));
    SHOWE(pthread_mutex_unlock((void *)(a + 64)));
    return done();
}
