// A thread that never makes a system call must not starve the others, on one processor or on several.
//@ smp 1
#include "test.h"
#include <pthread.h>

static volatile unsigned long spins;
static volatile int stop;
static volatile double sum;
static void *spin(void *arg) { (void)arg; while (!stop) spins++; return 0; }

/* Vector registers must survive being preempted. */
static void *floats(void *arg)
{
    double x = (double)(long)arg, y = x;
    long bad = 0;
    while (!stop) {
        for (int i = 0; i < 1000; i++) {
            y = y * 1.0000001 + 1;
            y = (y - 1) / 1.0000001;
        }
        if (y < x - 0.001 || y > x + 0.001) bad++;
        y = x;
    }
    return (void *)bad;
}

int main(void)
{
    pthread_t t[5];
    MUST0(pthread_create(&t[0], 0, spin, 0));
    MUST0(pthread_create(&t[1], 0, spin, 0));
    for (long i = 2; i < 5; i++) MUST0(pthread_create(&t[i], 0, floats, (void *)(i * 1000)));
    int ticks = 0;
    for (int i = 0; i < 10; i++) {
        sleep_ms(20);
        ticks++;
    }
    SHOW(ticks);
    unsigned long before = spins;
    sleep_ms(200);
    IS(spins > before);
    stop = 1;
    long bad = 0;
    for (int i = 0; i < 5; i++) {
        void *r;
        MUST0(pthread_join(t[i], &r));
        bad += (long)r;
    }
    SHOW(bad);
    return done();
}
