// What a lock lends its owner: the real-time priority of those who wait, also through a second lock.
//@ user root
#include "realtime.h"
#include <semaphore.h>

static pthread_mutex_t first, second;
static sem_t go, has;

static void *owner(void *x)
{
    pthread_mutex_lock(&first);
    note('o');
    sem_post(&has);
    sem_wait(&go);
    note('r');
    pthread_mutex_unlock(&first);
    note('e');
    return x;
}
static void *between(void *x)
{
    pthread_mutex_lock(&second);
    note('b');
    pthread_mutex_lock(&first);
    note('B');
    pthread_mutex_unlock(&first);
    pthread_mutex_unlock(&second);
    return x;
}
static void *urgent(void *lock)
{
    note('u');
    pthread_mutex_lock(lock);
    note('U');
    pthread_mutex_unlock(lock);
    return 0;
}
static void *computes(void *x)
{
    note('c');
    return x;
}
static void round_of(const char *what, int protocol, bool chain)
{
    pthread_mutexattr_t a;
    pthread_t t[4];
    int n = 0;
    MUST0(pthread_mutexattr_init(&a));
    MUST0(pthread_mutexattr_setprotocol(&a, protocol));
    MUST0(pthread_mutex_init(&first, &a));
    MUST0(pthread_mutex_init(&second, &a));
    t[n++] = start(SCHED_FIFO, 10, owner, 0);
    MUST(sem_wait(&has));
    if (chain) {
        t[n++] = start(SCHED_FIFO, 15, between, 0);
        sleep_ms(20);
    }
    t[n++] = start(SCHED_FIFO, 40, urgent, chain ? &second : &first);
    t[n++] = start(SCHED_FIFO, 20, computes, 0);
    MUST(sem_post(&go));
    while (n > 0) MUST0(pthread_join(t[--n], 0));
    show(what);
}

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
    self(SCHED_FIFO, 50);
    sem_init(&go, 0, 0);
    sem_init(&has, 0, 0);
    round_of("nothing is lent", PTHREAD_PRIO_NONE, false);
    round_of("by one who waits", PTHREAD_PRIO_INHERIT, false);
    round_of("by one who waits for one who waits", PTHREAD_PRIO_INHERIT, true);
    return done();
}
