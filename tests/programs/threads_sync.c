// Condition variables, barriers, read-write locks, semaphores, once, spin locks.
//@ shows futex
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <semaphore.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_spinlock_t spin;
static sem_t sem, sem2;
static int whose, onces, serial, phase_bad, readers, most_readers;
static volatile int arrived;
static long spun;

static void *ping_pong(void *arg)
{
    int me = (int)(long)arg;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&lock);
        while (whose != me) pthread_cond_wait(&turn, &lock);
        whose = (me + 1) % 3;
        pthread_cond_broadcast(&turn);
        pthread_mutex_unlock(&lock);
    }
    return 0;
}

static void *meet(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 100; i++) {
        __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
        int r = pthread_barrier_wait(&barrier);
        if (arrived < 4 * i) __atomic_add_fetch(&phase_bad, 1, __ATOMIC_SEQ_CST);
        if (r == PTHREAD_BARRIER_SERIAL_THREAD) __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
        pthread_barrier_wait(&barrier);
    }
    return 0;
}

static void *reader(void *arg)
{
    (void)arg;
    pthread_rwlock_rdlock(&rw);
    int n = __atomic_add_fetch(&readers, 1, __ATOMIC_SEQ_CST);
    if (n > most_readers) most_readers = n;
    pthread_barrier_wait(&barrier);
    pthread_rwlock_unlock(&rw);
    return 0;
}

static void count_once(void) { onces++; }
static void *run_once(void *arg) { (void)arg; pthread_once(&once, count_once); return 0; }
static void *produce(void *arg) { (void)arg; for (int i = 0; i < 300; i++) sem_post(&sem), sem_wait(&sem2); return 0; }
static void *consume(void *arg) { (void)arg; for (int i = 0; i < 300; i++) sem_wait(&sem), sem_post(&sem2); return 0; }

static void *spinner(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        pthread_spin_lock(&spin);
        spun++;
        pthread_spin_unlock(&spin);
    }
    return 0;
}

static void *try_write(void *arg) { (void)arg; return (void *)(long)pthread_rwlock_trywrlock(&rw); }

static void all(int n, void *(*f)(void *))
{
    pthread_t t[8];
    for (long i = 0; i < n; i++) MUST0(pthread_create(&t[i], 0, f, (void *)i));
    for (int i = 0; i < n; i++) MUST0(pthread_join(t[i], 0));
}

static struct timespec in_ms(clockid_t c, long ms)
{
    struct timespec t;
    clock_gettime(c, &t);
    t.tv_nsec += ms * 1000000;
    while (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    return t;
}

int main(void)
{
    all(3, ping_pong);
    SHOW(whose);
    MUST0(pthread_barrier_init(&barrier, 0, 4));
    all(4, meet);
    SHOW(serial);
    SHOW(phase_bad);
    all(4, reader);
    SHOW(most_readers);
    MUST0(pthread_rwlock_rdlock(&rw));
    pthread_t t;
    void *r;
    MUST0(pthread_create(&t, 0, try_write, 0));
    MUST0(pthread_join(t, &r));
    printf("trywrlock beside a reader: %s\n", errname((int)(long)r));
    SHOWE(pthread_rwlock_tryrdlock(&rw));
    SHOWE(pthread_rwlock_unlock(&rw));
    SHOWE(pthread_rwlock_unlock(&rw));
    SHOWE(pthread_rwlock_trywrlock(&rw));
    SHOWE(pthread_rwlock_tryrdlock(&rw));
    SHOWE(pthread_rwlock_unlock(&rw));
    all(6, run_once);
    SHOW(onces);
    MUST(sem_init(&sem, 0, 0));
    MUST(sem_init(&sem2, 0, 0));
    MUST0(pthread_create(&t, 0, produce, 0));
    consume(0);
    MUST0(pthread_join(t, 0));
    SHOW(sem_trywait(&sem));
    struct timespec when = in_ms(CLOCK_REALTIME, 20);
    SHOW(sem_timedwait(&sem, &when));
    MUST0(pthread_spin_init(&spin, 0));
    all(3, spinner);
    SHOW(spun);

    when = in_ms(CLOCK_REALTIME, 20);
    pthread_mutex_lock(&lock);
    SHOWE(pthread_cond_timedwait(&turn, &lock, &when));
    pthread_condattr_t ca;
    pthread_cond_t mono;
    MUST0(pthread_condattr_init(&ca));
    SHOWE(pthread_condattr_setclock(&ca, CLOCK_MONOTONIC));
    MUST0(pthread_cond_init(&mono, &ca));
    when = in_ms(CLOCK_MONOTONIC, 20);
    int64_t start = now_ns();
    SHOWE(pthread_cond_timedwait(&mono, &lock, &when));
    IS(now_ns() - start >= 19000000);
    return done();
}
