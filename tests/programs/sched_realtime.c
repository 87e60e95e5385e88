// What scheduling policies do, on one processor: who runs next, and for how long.
//@ user root
//@ timeout 90
#include "realtime.h"
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/timerfd.h>

#define MS 1000000L

static void join(int n, pthread_t *t)
{
    for (int i = 0; i < n; i++) MUST0(pthread_join(t[i], 0));
}

static void *once(void *name)
{
    note(*(char *)name);
    return 0;
}
static void *thrice(void *name)
{
    for (int i = 0; i < 3; i++) note(*(char *)name);
    return 0;
}
static void *giving_way(void *name)
{
    for (int i = 0; i < 3; i++) {
        note(*(char *)name);
        sched_yield();
    }
    return 0;
}
static sem_t sem, back;
static void *waiter(void *name)
{
    sem_wait(&sem);
    note(*(char *)name);
    return 0;
}
static void *ping(void *x)
{
    for (int i = 0; i < 3; i++) {
        sem_wait(&sem);
        note('p');
        sem_post(&back);
    }
    return x;
}
static void *turns(void *name)
{
    // A second of its own, however the machine's time is dealt out.
    int64_t end = used_ns(CLOCK_THREAD_CPUTIME_ID) + 1000 * MS;
    while (used_ns(CLOCK_THREAD_CPUTIME_ID) < end) {
        if (!noted || order[noted - 1] != *(char *)name) note(*(char *)name);
    }
    return 0;
}

static volatile bool stop;
static volatile long counter;
static void *counts(void *x)
{
    while (!stop) counter++;
    return x;
}
static volatile sig_atomic_t ticks;
static void tick(int s, siginfo_t *i, void *c)
{
    (void)s, (void)c;
    ticks += 1 + i->si_overrun;
}
static volatile int slept;
static void *sleeper(void *x)
{
    for (int i = 0; i < 20; i++) {
        sleep_ms(2);
        slept++;
    }
    return x;
}
// Computes until it has happened, at most for ten seconds.
#define UNTIL(cond) ({ int64_t end_ = now_ns() + 10000 * MS; while (!(cond) && now_ns() < end_) {} (cond); })
static void *reader(void *fd)
{
    uint64_t n;
    for (int i = 0; i < 5; i++) {
        MUST(read(*(int *)fd, &n, sizeof n));
        note('r');
    }
    return 0;
}
static void *burns(void *policy)
{
    self(*(int *)policy, 0);
    while (!stop) {}
    return 0;
}
// How many percent of the time a thread of that policy gets beside an ordinary one.
static int64_t share(int policy)
{
    clockid_t c;
    stop = false;
    static const int ordinary = SCHED_OTHER;
    pthread_t t[2] = { start(SCHED_OTHER, 0, burns, &ordinary), start(SCHED_OTHER, 0, burns, &policy) };
    int64_t mine[2];
    do {
        sleep_ms(20);
        for (int i = 0; i < 2; i++) {
            MUST0(pthread_getcpuclockid(t[i], &c));
            mine[i] = used_ns(c);
        }
    } while (mine[0] + mine[1] < 2000 * MS);
    stop = true;
    join(2, t);
    return mine[1] * 100 / (mine[0] + mine[1] + 1);
}

int main(void)
{
    pthread_t t[8];
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
    // Whoever runs the tests may have lowered it.
    MUST(setpriority(PRIO_PROCESS, 0, 0));
    sem_init(&sem, 0, 0);
    sem_init(&back, 0, 0);
    self(SCHED_FIFO, 50);

    section("the highest priority first, equals in turn");
    t[0] = start(SCHED_FIFO, 10, once, "a");
    t[1] = start(SCHED_FIFO, 30, once, "b");
    t[2] = start(SCHED_RR, 20, once, "c");
    t[3] = start(SCHED_OTHER, 0, once, "d");
    t[4] = start(SCHED_FIFO, 30, once, "e");
    t[5] = start(SCHED_FIFO, 60, once, "f");
    note('m');
    join(6, t);
    show("once each");
    t[0] = start(SCHED_FIFO, 40, thrice, "a");
    t[1] = start(SCHED_FIFO, 40, thrice, "b");
    join(2, t);
    show("three times");
    t[0] = start(SCHED_FIFO, 40, giving_way, "a");
    t[1] = start(SCHED_FIFO, 40, giving_way, "b");
    t[2] = start(SCHED_FIFO, 39, giving_way, "c");
    join(3, t);
    show("giving way");

    section("woken");
    t[0] = start(SCHED_FIFO, 60, waiter, "h");
    note('m');
    sem_post(&sem);
    note('n');
    t[1] = start(SCHED_FIFO, 50, waiter, "e");
    t[2] = start(SCHED_FIFO, 40, waiter, "l");
    sched_yield();
    note('o');
    sem_post(&sem);
    sem_post(&sem);
    note('p');
    join(3, t);
    show("by the one that runs");
    t[0] = start(SCHED_FIFO, 60, ping, 0);
    for (int i = 0; i < 3; i++) {
        note('m');
        sem_post(&sem);
        sem_wait(&back);
    }
    join(1, t);
    show("to and fro");
    t[0] = start(SCHED_FIFO, 51, waiter, "a");
    t[1] = start(SCHED_FIFO, 53, waiter, "c");
    t[2] = start(SCHED_FIFO, 52, waiter, "b");
    t[3] = start(SCHED_FIFO, 53, waiter, "d");
    for (int i = 0; i < 4; i++) sem_post(&sem);
    join(4, t);
    show("of several, the most urgent");

    section("changed while it is ready");
    struct sched_param p = { .sched_priority = 45 };
    t[0] = start(SCHED_FIFO, 40, once, "a");
    t[1] = start(SCHED_FIFO, 30, once, "b");
    MUST0(pthread_setschedparam(t[1], SCHED_FIFO, &p));
    join(2, t);
    show("raised");
    t[0] = start(SCHED_FIFO, 40, once, "a");
    t[1] = start(SCHED_FIFO, 30, once, "b");
    MUST0(pthread_setschedprio(t[0], 20));
    join(2, t);
    show("lowered");
    t[0] = start(SCHED_FIFO, 30, once, "a");
    t[1] = start(SCHED_FIFO, 40, once, "b");
    MUST0(pthread_setschedprio(t[1], 30));
    join(2, t);
    show("lowered to that of another, before which it goes");
    t[0] = start(SCHED_FIFO, 30, once, "a");
    t[1] = start(SCHED_FIFO, 20, once, "b");
    MUST0(pthread_setschedprio(t[1], 30));
    join(2, t);
    show("raised to that of another, behind which it goes");
    t[0] = start(SCHED_FIFO, 40, once, "a");
    MUST0(pthread_setschedprio(t[0], 55));
    note('m');
    join(1, t);
    show("raised above the one that runs");
    t[0] = start(SCHED_FIFO, 40, once, "a");
    self(SCHED_FIFO, 30);
    note('m');
    self(SCHED_FIFO, 50);
    join(1, t);
    show("the one that runs, lowered");
    t[0] = start(SCHED_FIFO, 40, once, "a");
    t[1] = start(SCHED_FIFO, 30, once, "b");
    self(SCHED_OTHER, 0);
    note('m');
    self(SCHED_FIFO, 50);
    join(2, t);
    show("the one that runs, made ordinary");

    section("turns");
    t[0] = start(SCHED_FIFO, 40, turns, "a");
    t[1] = start(SCHED_FIFO, 40, turns, "b");
    join(2, t);
    show("SCHED_FIFO");
    t[0] = start(SCHED_RR, 40, turns, "a");
    t[1] = start(SCHED_RR, 40, turns, "b");
    join(2, t);
    order[noted] = 0;
    // In turns of 100 ms; fewer if the machine is busy and its time goes in jumps.
    IS(noted >= 3 && noted <= 22);
    noted = 0;

    section("ordinary threads wait");
    // What real-time threads have used until now does not count any more.
    sleep_ms(1100);
    stop = false;
    t[0] = start(SCHED_OTHER, 0, counts, 0);
    for (int i = 0; i < 1000 && !counter; i++) sleep_ms(5);
    IS(counter > 0);
    long before = counter;
    compute_ms(300);
    IS(counter == before);
    section("but not for ever");
    IS(UNTIL(counter > before));
    stop = true;
    join(1, t);

    section("the kernel goes on at any priority");
    self(SCHED_FIFO, 99);
    struct sigaction act = { .sa_sigaction = tick, .sa_flags = SA_SIGINFO | SA_RESTART };
    MUST(sigaction(SIGUSR1, &act, 0));
    timer_t timer;
    struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    MUST(timer_create(CLOCK_MONOTONIC, &e, &timer));
    struct itimerspec every = { { 0, 5 * MS }, { 0, 5 * MS } };
    MUST(timer_settime(timer, 0, &every, 0));
    IS(UNTIL(ticks >= 20));
    MUST(timer_delete(timer));
    self(SCHED_FIFO, 50);
    t[0] = start(SCHED_FIFO, 60, sleeper, 0);
    IS(UNTIL(slept == 20));
    join(1, t);
    int fd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
    MUST(timerfd_settime(fd, 0, &every, 0));
    t[0] = start(SCHED_FIFO, 60, reader, &fd);
    IS(UNTIL(noted == 5));
    show("a timer that is read");
    join(1, t);

    section("in the background");
    // Even if the machine is busy, both wait for the same processor.
    self(SCHED_FIFO, 50);
    long got = share(SCHED_OTHER);
    IS(got >= 25 && got <= 75);
    got = share(SCHED_BATCH);
    IS(got >= 25 && got <= 75);
    got = share(SCHED_IDLE);
    IS(got <= 20);
    return done();
}
