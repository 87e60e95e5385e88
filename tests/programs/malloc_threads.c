// Memory that one thread allocates and another frees, on all processors.
//@ smp 2
//@ memory 64M
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, BOXES = 64, ROUNDS = 20000 };
static _Atomic(unsigned char *) box[BOXES];
static long bad;

static void *work(void *arg)
{
    uint32_t seed = 1 + (uint32_t)(long)arg;
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1664525 + 1013904223;
        size_t n = 8 + (seed >> 8) % (seed % 64 ? 500 : 40000);
        unsigned char *p = malloc(n);
        if (!p) { __atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST); continue; }
        memset(p, (int)(n & 0xff), n);
        memcpy(p, &n, sizeof n);
        unsigned char *old = atomic_exchange_explicit(&box[seed >> 24 & (BOXES - 1)], p, memory_order_seq_cst);
        if (old) {
            memcpy(&n, old, sizeof n);
            for (size_t k = sizeof n; k < n; k++)
                if (old[k] != (n & 0xff)) { __atomic_add_fetch(&bad, 1, __ATOMIC_SEQ_CST); break; }
            free(old);
        }
    }
    return 0;
}

int main(void)
{
    pthread_t t[THREADS];
    for (int round = 0; round < 3; round++) {
        for (long i = 0; i < THREADS; i++) MUST0(pthread_create(&t[i], 0, work, (void *)(i + 10 * round)));
        for (int i = 0; i < THREADS; i++) MUST0(pthread_join(t[i], 0));
    }
    for (int i = 0; i < BOXES; i++) free(box[i]);
    SHOW(bad);
    return done();
}
