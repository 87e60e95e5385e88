// Many threads at once, and many one after another: nothing may leak.
//@ smp 2
//@ memory 64M
#include "test.h"
#include <pthread.h>

enum { AT_ONCE = 200, AFTER = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
static int here, sum;

static void *wait_for_all(void *arg)
{
    pthread_mutex_lock(&lock);
    sum += (int)(long)arg;
    if (++here == AT_ONCE) pthread_cond_broadcast(&all_here);
    while (here < AT_ONCE) pthread_cond_wait(&all_here, &lock);
    pthread_mutex_unlock(&lock);
    return arg;
}

static void *touch(void *arg)
{
    volatile char buf[8192];
    for (size_t i = 0; i < sizeof buf; i += 512) buf[i] = 1;
    (void)buf[0];
    return arg;
}

int main(void)
{
    static pthread_t t[AT_ONCE];
    for (long i = 0; i < AT_ONCE; i++) MUST0(pthread_create(&t[i], 0, wait_for_all, (void *)i));
    long ok = 0;
    for (long i = 0; i < AT_ONCE; i++) {
        void *r;
        MUST0(pthread_join(t[i], &r));
        ok += (long)r == i;
    }
    SHOW(here);
    SHOW(sum);
    SHOW(ok);
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 1024 * 1024);
    ok = 0;
    for (long i = 0; i < AFTER; i++) {
        void *r = 0;
        MUST0(pthread_create(t, &a, touch, (void *)i));
        MUST0(pthread_join(t[0], &r));
        ok += (long)r == i;
    }
    SHOW(ok);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    int made = 0;
    for (int i = 0; i < 500; i++) {
        while (pthread_create(t, &a, touch, 0)) sleep_ms(1);
        made++;
    }
    SHOW(made);
    sleep_ms(50);
    return done();
}
