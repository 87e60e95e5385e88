// Thread-local storage of every kind, and thread-specific data with destructors.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <threads.h>

static _Thread_local int zero, seven = 7;
static _Thread_local char big[10000] = "initial";
static _Thread_local long aligned __attribute__((aligned(64))) = 99;
static pthread_key_t key, again;
static int destroyed, rounds;

static void destroy(void *p) { __atomic_add_fetch(&destroyed, (int)(long)p, __ATOMIC_SEQ_CST); }
static void reset(void *p) { if (__atomic_add_fetch(&rounds, 1, __ATOMIC_SEQ_CST) < 3) pthread_setspecific(again, p); }

static void *body(void *arg)
{
    long bad = zero != 0 || seven != 7 || strcmp(big, "initial") || aligned != 99 || (uintptr_t)&aligned % 64;
    zero = seven = (int)(long)arg;
    snprintf(big, sizeof big, "thread %ld", (long)arg);
    aligned += (long)arg;
    sleep_ms(5);
    char expect[32];
    snprintf(expect, sizeof expect, "thread %ld", (long)arg);
    bad |= zero != (long)arg || seven != (long)arg || strcmp(big, expect) || aligned != 99 + (long)arg;
    bad |= pthread_getspecific(key) != 0;
    pthread_setspecific(key, arg);
    return (void *)bad;
}

static void *resetter(void *arg) { pthread_setspecific(again, arg); return 0; }
static int c11(void *arg) { *(int *)arg = 5; return 42; }

int main(void)
{
    pthread_t t[10];
    MUST0(pthread_key_create(&key, destroy));
    MUST0(pthread_key_create(&again, reset));
    for (long i = 0; i < 10; i++) MUST0(pthread_create(&t[i], 0, body, (void *)(i + 1)));
    long bad = 0;
    for (int i = 0; i < 10; i++) {
        void *r;
        MUST0(pthread_join(t[i], &r));
        bad += (long)r;
    }
    SHOW(bad);
    SHOW(destroyed);
    IS(zero == 0 && seven == 7 && aligned == 99);
    MUST0(pthread_create(&t[0], 0, resetter, &bad));
    MUST0(pthread_join(t[0], 0));
    SHOW(rounds);
    int keys = 0;
    pthread_key_t k;
    while (keys < 5000 && pthread_key_create(&k, 0) == 0) keys++;
    IS(keys >= 100 && keys <= 1024);

    thrd_t c;
    int x = 0, r = 0;
    SHOW(thrd_create(&c, c11, &x) == thrd_success);
    SHOW(thrd_join(c, &r) == thrd_success);
    SHOW(x);
    SHOW(r);
    return done();
}
