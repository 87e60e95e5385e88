// What a lock lends its owner: the real-time priority of those who wait, also through a second lock.
//@ user root
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

static char order[64];
static size_t noted;
static void note(char c)
{
    order[noted++] = c;
}
static pthread_mutex_t first, second;
static sem_t go, has;

static pthread_t start(int priority, void *f(void *))
{
    pthread_t t;
    pthread_attr_t a;
    struct sched_param p = { .sched_priority = priority };
    MUST0(pthread_attr_init(&a));
    MUST0(pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED));
    MUST0(pthread_attr_setschedpolicy(&a, SCHED_FIFO));
    MUST0(pthread_attr_setschedparam(&a, &p));
    MUST0(pthread_create(&t, &a, f, 0));
    return t;
}
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
static void *urgent_first(void *x)
{
    (void)x;
    return urgent(&first);
}
static void *urgent_second(void *x)
{
    (void)x;
    return urgent(&second);
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
    t[n++] = start(10, owner);
    MUST(sem_wait(&has));
    if (chain) {
        t[n++] = start(15, between);
        sleep_ms(20);
    }
    t[n++] = start(40, chain ? urgent_second : urgent_first);
    t[n++] = start(20, computes);
    MUST(sem_post(&go));
    while (n > 0) MUST0(pthread_join(t[--n], 0));
    order[noted] = 0;
    printf("%s: %s\n", what, order);
    noted = 0;
}

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
    struct sched_param p = { .sched_priority = 50 };
    MUST0(pthread_setschedparam(pthread_self(), SCHED_FIFO, &p));
    sem_init(&go, 0, 0);
    sem_init(&has, 0, 0);
    round_of("nothing is lent", PTHREAD_PRIO_NONE, false);
    round_of("by one who waits", PTHREAD_PRIO_INHERIT, false);
    round_of("by one who waits for one who waits", PTHREAD_PRIO_INHERIT, true);
    return done();
}
