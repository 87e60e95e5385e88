// Each thread has its own floating point state: rounding mode, exception flags, SSE and AVX registers.
//@ smp 2
#include "test.h"
#include <fenv.h>
#include <pthread.h>
#include <sched.h>

typedef long v4 __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static long avx(long seed)
{
    v4 v = { seed, seed + 1, seed + 2, seed + 3 }, one = { 1, 1, 1, 1 };
    long bad = 0;
    for (int i = 0; i < 3000; i++) {
        __asm__ volatile("" : "+x"(v), "+x"(one));
        v += one;
        if (i % 100 == 0) {
            __asm__ volatile("" : "+x"(v));
            sched_yield();
        }
    }
    for (int i = 0; i < 4; i++) bad += v[i] != seed + i + 3000;
    return bad;
}

static void *vectors(void *arg) { return (void *)(__builtin_cpu_supports("avx2") ? avx((long)arg) : 0); }

static void *rounding(void *arg)
{
    static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    long i = (long)arg, bad = fegetround() != FE_TONEAREST;
    fesetround(modes[i]);
    for (int k = 0; k < 200; k++) {
        sched_yield();
        if (fegetround() != modes[i]) bad++;
    }
    return (void *)bad;
}

int main(void)
{
    pthread_t t[8];
    long bad = 0;
    for (long i = 0; i < 8; i++) MUST0(pthread_create(&t[i], 0, i < 4 ? rounding : vectors, (void *)i));
    for (int i = 0; i < 8; i++) {
        void *r;
        MUST0(pthread_join(t[i], &r));
        bad += (long)r;
    }
    SHOW(bad);
    feclearexcept(FE_ALL_EXCEPT);
    volatile double zero = 0, one = 1;
    volatile double r = one / zero;
    SHOW(fetestexcept(FE_DIVBYZERO) != 0);
    SHOW(fetestexcept(FE_INVALID) != 0);
    r = zero / zero;
    SHOW(fetestexcept(FE_INVALID) != 0);
    (void)r;
    fesetround(FE_UPWARD);
    volatile double third = one / 3;
    fesetround(FE_DOWNWARD);
    volatile double third2 = one / 3;
    IS(third > third2);
    volatile long double l = 1.0L;
    for (int i = 1; i < 20; i++) l *= i;
    printf("%.0Lf\n", l);
    return done();
}
