// RLIMIT_RTTIME: a real-time thread that runs without waiting is told, and killed.
//@ user root
//@ status 137
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

static volatile sig_atomic_t told;
static void tell(int s)
{
    (void)s;
    told++;
}
static void limit(rlim_t soft, rlim_t hard)
{
    struct rlimit l = { soft, hard };
    MUST(setrlimit(RLIMIT_RTTIME, &l));
}
static rlim_t soft(void)
{
    struct rlimit l;
    MUST(getrlimit(RLIMIT_RTTIME, &l));
    return l.rlim_cur;
}

int main(void)
{
    signal(SIGXCPU, tell);
    struct sched_param p = { .sched_priority = 1 };
    limit(200000, 3000000);
    section("ordinary threads may");
    compute_ms(300);
    SHOW(told);
    MUST0(pthread_setschedparam(pthread_self(), SCHED_FIFO, &p));
    section("short stints");
    for (int i = 0; i < 6; i++) {
        compute_ms(80);
        sleep_ms(2);
    }
    SHOW(told);
    section("a long one, though it gives way");
    // Until it is told: Linux counts by ticks, of which a busy host loses some.
    for (int i = 0; i < 500 && told < 1; i++) {
        compute_ms(30);
        sched_yield();
    }
    SHOW(told);
    IS(soft() == 1200000);
    section("every second from then on");
    for (int i = 0; i < 500 && told < 2; i++) compute_ms(30);
    SHOW(told);
    IS(soft() == 2200000);
    sleep_ms(2);
    limit(200000, 600000);
    fflush(stdout);
    compute_ms(15000);
    puts("alive");
    return done();
}
