// Real-time threads on two processors: the most urgent ones run, wherever they waited.
//@ user root
//@ smp 2
//@ timeout 90
#include "realtime.h"
#include <semaphore.h>

#define MS 1000000L

static volatile bool stop, leave;
static volatile int hogs, ran;
static sem_t sem;

static void *hog(void *x)
{
    self(SCHED_FIFO, 10);
    __atomic_add_fetch(&hogs, 1, __ATOMIC_SEQ_CST);
    while (!stop) {}
    return x;
}
static void *sleeper(void *priority)
{
    self(SCHED_FIFO, (long)priority);
    ran++;
    while (!sem_wait(&sem) && !stop) ran++;
    return 0;
}
static void *urgent(void *x)
{
    self(SCHED_FIFO, 25);
    __atomic_add_fetch(&hogs, 1, __ATOMIC_SEQ_CST);
    while (!leave) {}
    sem_t never;
    sem_init(&never, 0, 0);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 300 * MS;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    while (sem_timedwait(&never, &t) && errno == EINTR) {}
    return x;
}
static void *ender(void *x)
{
    self(SCHED_FIFO, 20);
    sleep_ms(100);
    stop = true;
    return x;
}
// Whether it happens within half a second, while this thread computes.
#define SOON(cond) ({ int64_t end_ = now_ns() + 500 * MS; while (!(cond) && now_ns() < end_) {} (cond); })

int main(void)
{
    pthread_t h[3], s, u;
    cpu_set_t all, two;
    CPU_ZERO(&two);
    MUST(sched_getaffinity(0, sizeof all, &all));
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&two) < 2; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &two);
    if (CPU_COUNT(&two) < 2) {
        puts("needs two processors");
        return 99;
    }
    MUST(sched_setaffinity(0, sizeof two, &two));
    sem_init(&sem, 0, 0);
    self(SCHED_FIFO, 30);

    section("woken while this processor's thread is more urgent, and the other's less");
    MUST0(pthread_create(&s, 0, sleeper, (void *)20L));
    IS(SOON(ran == 1));
    for (int i = 0; i < 2; i++) MUST0(pthread_create(&h[i], 0, hog, 0));
    IS(SOON(hogs >= 1));
    for (int i = 2; i < 12; i++) {
        sleep_ms(2);
        sem_post(&sem);
        if (!SOON(ran == i)) break;
    }
    SHOW(ran);

    section("waiting until the other's leaves");
    int before = hogs;
    MUST0(pthread_create(&u, 0, urgent, 0));
    IS(SOON(hogs > before));
    sem_post(&sem);
    int64_t end = now_ns() + 50 * MS;
    while (now_ns() < end) {}
    SHOW(ran);
    leave = true;
    IS(SOON(ran == 12));
    MUST0(pthread_join(u, 0));

    section("raised while it waits");
    leave = false;
    MUST0(pthread_create(&u, 0, urgent, 0));
    IS(SOON(hogs > before + 1));
    sem_post(&sem);
    end = now_ns() + 50 * MS;
    while (now_ns() < end) {}
    SHOW(ran);
    struct sched_param p = { .sched_priority = 27 };
    MUST0(pthread_setschedparam(s, SCHED_FIFO, &p));
    IS(SOON(ran == 13));
    leave = true;
    MUST0(pthread_join(u, 0));

    section("this one, lowered below those that wait");
    MUST0(pthread_create(&h[2], 0, hog, 0));
    MUST0(pthread_create(&u, 0, ender, 0));
    self(SCHED_FIFO, 5);
    SHOW(hogs - before);
    self(SCHED_FIFO, 30);
    sem_post(&sem);
    MUST0(pthread_join(u, 0));
    for (int i = 0; i < 3; i++) MUST0(pthread_join(h[i], 0));
    MUST0(pthread_join(s, 0));
    return done();
}
