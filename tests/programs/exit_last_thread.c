// main ends with pthread_exit; the process lives until the last thread has ended, then flushes and exits with 0.
#include "test.h"
#include <pthread.h>

static void bye(void) { printf("atexit ran\n"); }

static void *slow(void *arg)
{
    sleep_ms(50 * (long)arg);
    printf("thread %ld ends\n", (long)arg);
    return 0;
}

int main(void)
{
    atexit(bye);
    for (long i = 1; i <= 3; i++) {
        pthread_t t;
        MUST0(pthread_create(&t, 0, slow, (void *)i));
        MUST0(pthread_detach(t));
    }
    printf("main ends\n");
    pthread_exit((void *)5);
}
