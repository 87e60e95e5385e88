// RLIMIT_CPU: SIGXCPU at the soft limit and every second after it, SIGKILL at the hard one.
//@ status 137
//@ timeout 240
#include "test.h"
#include <signal.h>
#include <sys/resource.h>

static volatile int got;
static void count(int s) { (void)s, got++; }

static int64_t used_ms(void)
{
    struct timespec t;
    MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Linux counts processor time against the limit in whole ticks, charged to whoever runs when they come: on a busy machine the
// signal is early or late by any amount. The VM counts what was used.
static int near_ms(int64_t from, int64_t to)
{
    int64_t used = used_ms();
    return !in_vm() || (used > from && used < to);
}

int main(void)
{
    signal(SIGXCPU, count);
    struct rlimit r = { 1, 3 };
    MUST(setrlimit(RLIMIT_CPU, &r));
    while (!got) {}
    IS(near_ms(900, 1900));
    MUST(getrlimit(RLIMIT_CPU, &r));
    IS(r.rlim_cur == 2 && r.rlim_max == 3);
    while (got < 2) {}
    IS(near_ms(1900, 2900));
    while (used_ms() < 8000) {}
    puts("still here");
    return done();
}
