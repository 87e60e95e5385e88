// On one processor, a thread that creates another goes on before the new one has run for long.
//@ shows getcpu
//@ smp 1
#include "test.h"
#include <pthread.h>
#include <sched.h>

enum { ROUNDS = 20 };
static volatile int stop;
static volatile unsigned long turns;

static void *spin(void *arg)
{
    while (!stop) turns++;
    return arg;
}

static void work(int ms)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < ms);
}

int main(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST0(sched_setaffinity(0, sizeof one, &one));
    int first = 0;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t t;
        /* What the creator has already used up must not make it wait. */
        work(4);
        stop = 0;
        turns = 0;
        MUST0(pthread_create(&t, 0, spin, 0));
        first += turns == 0;
        stop = 1;
        MUST0(pthread_join(t, 0));
    }
    IS(first >= ROUNDS / 2);
    return done();
}
