// membarrier: what is there, what needs a registration, and that it is a barrier.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

enum { QUERY = 0, GLOBAL = 1, GLOBAL_EXPEDITED = 2, REGISTER_GLOBAL = 4, PRIVATE = 8, REGISTER_PRIVATE = 16, REGISTRATIONS = 512 };
static long barrier(int command, int flags) { return syscall(SYS_membarrier, command, flags, 0); }

/* Each thread stores to its word and looks at the other's; without barriers both may see 0. */
static volatile int a, b, seen_a, seen_b, round_number, ready;
static void *fast(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 500; i++) {
        while (__atomic_load_n(&round_number, __ATOMIC_ACQUIRE) < i) sched_yield();
        a = 1;
        __asm__ volatile("" ::: "memory");
        seen_b = b;
        __atomic_store_n(&ready, i, __ATOMIC_RELEASE);
    }
    return 0;
}

int main(void)
{
    pthread_t t;
    const int all = GLOBAL | GLOBAL_EXPEDITED | REGISTER_GLOBAL | PRIVATE | REGISTER_PRIVATE;
    IS((barrier(QUERY, 0) & all) == all);
    SHOW(barrier(QUERY, 1));
    SHOW(barrier(PRIVATE, 0));
    SHOW(barrier(GLOBAL, 0));
    SHOW(barrier(GLOBAL_EXPEDITED, 0));
    SHOW(barrier(REGISTER_GLOBAL, 0));
    SHOW(barrier(PRIVATE, 0));
    SHOW(barrier(REGISTER_PRIVATE, 0));
    SHOW(barrier(PRIVATE, 0));
    SHOW(barrier(PRIVATE, 1));
    SHOW(barrier(3, 0));
    SHOW(barrier(1024, 0));
    SHOW(barrier(-1, 0));
    long registrations = barrier(REGISTRATIONS, 0);
    IS(registrations == (REGISTER_GLOBAL | REGISTER_PRIVATE) || (registrations == -1 && errno == EINVAL));
    int missed = 0;
    MUST0(pthread_create(&t, 0, fast, 0));
    for (int i = 1; i <= 500; i++) {
        a = b = 0;
        __atomic_store_n(&round_number, i, __ATOMIC_RELEASE);
        b = 1;
        MUST(barrier(PRIVATE, 0));
        seen_a = a;
        while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < i) sched_yield();
        missed += !seen_a && !seen_b;
    }
    pthread_join(t, 0);
    SHOW(missed);
    return done();
}
