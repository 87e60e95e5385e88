// Scheduling policies: what the calls accept, keep and tell; who may use them; what a new thread inherits.
//@ user root
//@ shows sched_setattr sched_getattr sched_setscheduler sched_getscheduler sched_setparam sched_getparam
//@ shows sched_rr_get_interval
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SCHED_RESET_ON_FORK
#define SCHED_RESET_ON_FORK 0x40000000
#endif

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
    uint64_t later[2];
};

enum { FLAG_RESET = 1, FLAG_KEEP_POLICY = 8, FLAG_KEEP_PARAMS = 16, FLAG_CLAMP = 32 };

static long set(int policy, int priority)
{
    struct sched_param p = { .sched_priority = priority };
    return sched_setscheduler(0, policy, &p);
}
static long set_attr(struct attr a)
{
    return syscall(SYS_sched_setattr, 0, &a, 0);
}
static void show(void)
{
    struct sched_param p = { .sched_priority = -1 };
    struct attr a;
    memset(&a, 0xff, sizeof a);
    int policy = sched_getscheduler(0);
    MUST(sched_getparam(0, &p));
    MUST(syscall(SYS_sched_getattr, 0, &a, 56, 0));
    printf("   policy %d%s, priority %d, nice %d; size %u policy %u flags %llu nice %d priority %u\n",
        policy & ~SCHED_RESET_ON_FORK, policy & SCHED_RESET_ON_FORK ? " reset" : "", p.sched_priority,
        getpriority(PRIO_PROCESS, 0), a.size, a.policy, (unsigned long long)a.flags, a.nice, a.priority);
}
static sem_t made;
static void *show_it(void *title)
{
    sem_wait(&made);
    puts(title);
    show();
    return 0;
}
static void thread(const char *title, const pthread_attr_t *a)
{
    pthread_t t;
    if (SHOWE(pthread_create(&t, a, show_it, (void *)title))) return;
    sem_post(&made);
    MUST0(pthread_join(t, 0));
}
static void interval(void)
{
    struct timespec t = { -1, -1 };
    SHOW(sched_rr_get_interval(0, &t));
    printf("   %s\n", t.tv_sec || t.tv_nsec < 0 || t.tv_nsec > 200000000 ? "strange"
        : t.tv_nsec == 0 ? "for ever" : t.tv_nsec == 100000000 ? "100 ms" : "some time");
}
static void limit(int which, rlim_t v)
{
    struct rlimit l = { v, v };
    MUST(setrlimit(which, &l));
}
static void *wait_for_end(void *x)
{
    sleep_ms(100);
    return x;
}

int main(void)
{
    struct sched_param p = { .sched_priority = 5 };
    struct attr a;

    // Whoever runs the tests may have lowered it.
    MUST(setpriority(PRIO_PROCESS, 0, 0));
    section("each policy");
    show();
    SHOW(set(SCHED_FIFO, 1));
    show();
    interval();
    SHOW(set(SCHED_RR, 99));
    show();
    interval();
    SHOW(set(SCHED_BATCH, 0));
    show();
    SHOW(set(SCHED_IDLE, 0));
    show();
    SHOW(set(SCHED_OTHER, 0));
    show();

    section("what does not fit");
    SHOW(set(SCHED_FIFO, 0));
    SHOW(set(SCHED_FIFO, 100));
    SHOW(set(SCHED_FIFO, -1));
    SHOW(set(SCHED_OTHER, 1));
    SHOW(set(SCHED_BATCH, 1));
    SHOW(set(SCHED_IDLE, 99));
    SHOW(set(6, 0));
    SHOW(set(4, 0));
    SHOW(set(8, 0));
    SHOW(set(99, 0));
    SHOW(set(-1, 0));
    SHOW(sched_setscheduler(0, SCHED_OTHER, 0));
    SHOW(sched_setscheduler(-1, SCHED_OTHER, &p));
    SHOW(sched_setscheduler(99999999, SCHED_FIFO, &p));
    SHOW(sched_setscheduler(0, SCHED_FIFO, (void *)1));
    SHOW(sched_getscheduler(-1));
    SHOW(sched_getscheduler(99999999));
    SHOW(sched_getparam(0, 0));
    SHOW(sched_getparam(-1, &p));
    SHOW(sched_getparam(99999999, &p));
    SHOW(sched_setparam(0, 0));
    SHOW(sched_setparam(0, &p));
    SHOW(sched_setparam(-1, &p));
    struct timespec t;
    SHOW(sched_rr_get_interval(-1, &t));
    SHOW(sched_rr_get_interval(99999999, &t));
    SHOW(sched_rr_get_interval(0, (void *)1));
    show();

    section("priorities");
    SHOW(set(SCHED_RR, 7));
    SHOW(sched_setparam(0, &p));
    show();
    p.sched_priority = 0;
    SHOW(sched_setparam(0, &p));
    p.sched_priority = 100;
    SHOW(sched_setparam(0, &p));
    show();
    // The nice value stays for later.
    SHOW(setpriority(PRIO_PROCESS, 0, 7));
    show();
    SHOW(set(SCHED_OTHER, 0));
    show();
    SHOW(set(SCHED_IDLE, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, -3));
    show();
    SHOW(set(SCHED_BATCH, 0));
    show();
    SHOW(set(SCHED_OTHER, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 0));

    section("sched_setattr");
    SHOW(set_attr((struct attr){ .size = 48, .policy = SCHED_FIFO, .priority = 20 }));
    show();
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .nice = 9 }));
    show();
    SHOW(set_attr((struct attr){ .size = 0, .policy = SCHED_BATCH, .nice = -100 }));
    show();
    SHOW(set_attr((struct attr){ .size = 72, .policy = SCHED_RR, .priority = 3, .nice = 5 }));
    show();
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .priority = 4, .flags = FLAG_KEEP_POLICY }));
    show();
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_FIFO, .priority = 5, .flags = FLAG_KEEP_PARAMS }));
    show();
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_IDLE, .nice = 5 }));
    show();
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .flags = FLAG_KEEP_PARAMS, .nice = 11 }));
    show();
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .nice = 0 }));
    show();
    a = (struct attr){ .size = 72, .policy = SCHED_OTHER, .later = { 0, 1 } };
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    a = (struct attr){ .size = 47, .policy = SCHED_OTHER };
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    IS(a.size >= 48);
    a = (struct attr){ .size = 4097, .policy = SCHED_OTHER };
    SHOW(syscall(SYS_sched_setattr, 0, &a, 0));
    SHOW(set_attr((struct attr){ .size = 56, .policy = 99 }));
    SHOW(set_attr((struct attr){ .size = 56, .policy = -1 }));
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .priority = 1 }));
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_FIFO, .priority = 100 }));
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_FIFO }));
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .flags = 1 << 20 }));
    SHOW(set_attr((struct attr){ .size = 48, .policy = SCHED_OTHER, .flags = FLAG_CLAMP }));
    // A deadline that nobody could keep.
    SHOW(set_attr((struct attr){ .size = 48, .policy = 6 }));
    SHOW(set_attr((struct attr){ .size = 48, .policy = 6, .runtime = 2000000, .deadline = 1000000 }));
    SHOW(set_attr((struct attr){ .size = 48, .policy = 6, .runtime = 100, .deadline = 1000000 }));
    a = (struct attr){ .size = 56 };
    SHOW(syscall(SYS_sched_setattr, 0, 0, 0));
    SHOW(syscall(SYS_sched_setattr, 0, &a, 1));
    SHOW(syscall(SYS_sched_setattr, -1, &a, 0));
    SHOW(syscall(SYS_sched_setattr, 99999999, &a, 0));
    SHOW(syscall(SYS_sched_setattr, 0, (void *)8, 0));
    section("sched_getattr");
    SHOW(syscall(SYS_sched_getattr, 0, 0, 56, 0));
    SHOW(syscall(SYS_sched_getattr, 0, &a, 47, 0));
    SHOW(syscall(SYS_sched_getattr, 0, &a, 4097, 0));
    SHOW(syscall(SYS_sched_getattr, 0, &a, 56, 1));
    SHOW(syscall(SYS_sched_getattr, -1, &a, 56, 0));
    SHOW(syscall(SYS_sched_getattr, 99999999, &a, 56, 0));
    SHOW(syscall(SYS_sched_getattr, 0, (void *)8, 56, 0));
    memset(&a, 0xff, sizeof a);
    SHOW(syscall(SYS_sched_getattr, 0, &a, 48, 0));
    SHOW(a.size);
    IS(a.util_min == 0xffffffff);

    section("new threads");
    pthread_attr_t at;
    int inherit, policy;
    pthread_attr_init(&at);
    MUST0(pthread_attr_getinheritsched(&at, &inherit));
    IS(inherit == PTHREAD_INHERIT_SCHED);
    SHOW(set(SCHED_RR, 12));
    thread("inherits", 0);
    SHOWE(pthread_attr_setinheritsched(&at, PTHREAD_EXPLICIT_SCHED));
    SHOWE(pthread_attr_setschedpolicy(&at, SCHED_FIFO));
    p.sched_priority = 30;
    SHOWE(pthread_attr_setschedparam(&at, &p));
    thread("explicit", &at);
    p.sched_priority = 0;
    MUST0(pthread_attr_setschedpolicy(&at, SCHED_OTHER));
    MUST0(pthread_attr_setschedparam(&at, &p));
    thread("explicit and ordinary", &at);
    MUST0(pthread_attr_setschedpolicy(&at, SCHED_FIFO));
    thread("explicit and wrong", &at);
    SHOW(set(SCHED_RR | SCHED_RESET_ON_FORK, 12));
    show();
    thread("after a reset", 0);
    SHOW(set(SCHED_OTHER | SCHED_RESET_ON_FORK, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, -5));
    thread("after a reset, from a low nice value", 0);
    SHOW(setpriority(PRIO_PROCESS, 0, 5));
    thread("from a high one", 0);
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_IDLE, .flags = FLAG_RESET }));
    show();
    thread("of an idle thread", 0);
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER }));
    show();

    section("another thread");
    pthread_t other;
    MUST0(pthread_create(&other, 0, wait_for_end, 0));
    p.sched_priority = 9;
    SHOWE(pthread_setschedparam(other, SCHED_RR, &p));
    SHOWE(pthread_setschedprio(other, 10));
    SHOWE(pthread_getschedparam(other, &policy, &p));
    printf("%d %d\n", policy, p.sched_priority);
    SHOWE(pthread_setschedparam(other, SCHED_RR, &(struct sched_param){ .sched_priority = 0 }));
    SHOWE(pthread_setschedprio(other, 100));
    SHOWE(pthread_setschedparam(other, 77, &p));
    MUST0(pthread_join(other, 0));
    SHOW(sched_getscheduler(0));

    section("without the privilege");
    limit(RLIMIT_RTPRIO, 0);
    limit(RLIMIT_NICE, 0);
    SHOW(set(SCHED_RR | SCHED_RESET_ON_FORK, 5));
    MUST(setresuid(33, 33, 33));
    show();
    SHOW(set(SCHED_RR, 5));
    SHOW(set(SCHED_RR | SCHED_RESET_ON_FORK, 5));
    SHOW(set(SCHED_RR | SCHED_RESET_ON_FORK, 6));
    SHOW(set(SCHED_RR | SCHED_RESET_ON_FORK, 4));
    SHOW(set(SCHED_FIFO | SCHED_RESET_ON_FORK, 3));
    SHOW(set(SCHED_OTHER | SCHED_RESET_ON_FORK, 0));
    SHOW(set(SCHED_RR | SCHED_RESET_ON_FORK, 1));
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .flags = FLAG_RESET, .nice = 3 }));
    SHOW(set_attr((struct attr){ .size = 56, .policy = SCHED_OTHER, .flags = FLAG_RESET, .nice = 2 }));
    SHOW(set(SCHED_BATCH | SCHED_RESET_ON_FORK, 0));
    SHOW(set(SCHED_IDLE | SCHED_RESET_ON_FORK, 0));
    SHOW(set(SCHED_OTHER | SCHED_RESET_ON_FORK, 0));
    SHOW(set_attr((struct attr){ .size = 48, .policy = 6, .runtime = 1000000, .deadline = 10000000, .flags = FLAG_RESET }));
    show();
    thread("may be had by a thread that makes one", 0);
    MUST0(pthread_attr_setschedpolicy(&at, SCHED_RR));
    p.sched_priority = 1;
    MUST0(pthread_attr_setschedparam(&at, &p));
    thread("may not", &at);
    return done();
}
