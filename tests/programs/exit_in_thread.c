// exit() in a thread ends the whole process while other threads run and sleep.
//@ status 5
//@ smp 2
#include "test.h"
#include <pthread.h>

static volatile int spinning;

static void *spin(void *arg) { (void)arg; for (;;) spinning = 1; return 0; }
static void *rest(void *arg) { (void)arg; for (;;) pause(); return 0; }
static void *quit(void *arg)
{
    (void)arg;
    while (!spinning) sleep_ms(1);
    printf("leaving\n");
    exit(5);
}

int main(void)
{
    pthread_t t;
    MUST0(pthread_create(&t, 0, spin, 0));
    MUST0(pthread_create(&t, 0, rest, 0));
    MUST0(pthread_create(&t, 0, quit, 0));
    pthread_join(t, 0);
    return 1;
}
