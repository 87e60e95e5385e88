// Mutexes under contention: normal, recursive, error checking, timed, robust.
//@ shows get_robust_list
//@ smp 2
#include "test.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *add(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

static void *try(void *m) { return (void *)(long)pthread_mutex_trylock(m); }
static void *unlock(void *m) { return (void *)(long)pthread_mutex_unlock(m); }
static void *die_with(void *m) { pthread_mutex_lock(m); return 0; }

static void *timed(void *m)
{
    struct timespec t;
    // Taken before the time of day is read: the time between the two is part of the wait.
    int64_t start = now_ns();
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 30000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    int e = pthread_mutex_timedlock(m, &t);
    IS(now_ns() - start >= 29000000);
    return (void *)(long)e;
}

static const char *in_thread(void *(*f)(void *), void *arg)
{
    pthread_t t;
    void *r;
    MUST0(pthread_create(&t, 0, f, arg));
    MUST0(pthread_join(t, &r));
    return r ? errname((int)(long)r) : "0";
}

int main(void)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++) MUST0(pthread_create(&t[i], 0, add, 0));
    for (int i = 0; i < THREADS; i++) MUST0(pthread_join(t[i], 0));
    SHOW(counter);

    pthread_mutexattr_t a;
    pthread_mutex_t m;
    pthread_mutexattr_init(&a);
    section("recursive");
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    SHOWE(pthread_mutex_init(&m, &a));
    SHOWE(pthread_mutex_lock(&m));
    SHOWE(pthread_mutex_lock(&m));
    printf("other thread: %s\n", in_thread(try, &m));
    SHOWE(pthread_mutex_unlock(&m));
    printf("other thread: %s\n", in_thread(try, &m));
    SHOWE(pthread_mutex_unlock(&m));
    SHOWE(pthread_mutex_unlock(&m));

    section("error checking");
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
    SHOWE(pthread_mutex_init(&m, &a));
    SHOWE(pthread_mutex_lock(&m));
    SHOWE(pthread_mutex_lock(&m));
    printf("unlock elsewhere: %s\n", in_thread(unlock, &m));
    printf("timed: %s\n", in_thread(timed, &m));
    SHOWE(pthread_mutex_unlock(&m));

    section("robust");
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_NORMAL);
    SHOWE(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
    SHOWE(pthread_mutex_init(&m, &a));
    in_thread(die_with, &m);
    SHOWE(pthread_mutex_lock(&m));
    SHOWE(pthread_mutex_consistent(&m));
    SHOWE(pthread_mutex_unlock(&m));
    SHOWE(pthread_mutex_lock(&m));
    SHOWE(pthread_mutex_unlock(&m));
    in_thread(die_with, &m);
    SHOWE(pthread_mutex_lock(&m));
    SHOWE(pthread_mutex_unlock(&m));
    SHOWE(pthread_mutex_lock(&m));
    return done();
}
