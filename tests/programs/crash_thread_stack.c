// A thread whose stack overflows ends the process with SIGSEGV; it does not write into its neighbours.
//@ status 139
#include "test.h"
#include <pthread.h>

__attribute__((noinline)) static int recurse(int n)
{
    volatile char fill[500];
    fill[n % 500] = (char)n;
    return n > 100000000 ? 0 : recurse(n + 1) + fill[0];
}

static void *body(void *arg) { (void)arg; return (void *)(long)recurse(0); }

int main(void)
{
    pthread_t t;
    printf("before\n");
    MUST0(pthread_create(&t, 0, body, 0));
    pthread_join(t, 0);
    return 0;
}
