// RLIMIT_RTPRIO and RLIMIT_NICE: what a thread without privileges may be set to (getrlimit(2), sched(7)). To raise these
// limits takes a privilege that root does not have in every container, so Linux is not asked here.
//@ hosted no
#include "test.h"
#include <sched.h>
#include <sys/resource.h>

static long set(int policy, int priority)
{
    struct sched_param p = { .sched_priority = priority };
    return sched_setscheduler(0, policy, &p);
}
static long limit(int which, rlim_t soft, rlim_t hard)
{
    struct rlimit l = { soft, hard };
    return setrlimit(which, &l);
}

int main(void)
{
    MUST(limit(RLIMIT_RTPRIO, 10, 20));
    MUST(limit(RLIMIT_NICE, 25, 30));
    MUST(setresuid(33, 33, 33));
    section("real-time priorities");
    IS(set(SCHED_FIFO, 11) == -1 && errno == EPERM);
    IS(set(SCHED_FIFO, 10) == 0);
    IS(set(SCHED_RR, 11) == -1 && errno == EPERM);
    IS(set(SCHED_RR, 9) == 0);
    IS(limit(RLIMIT_RTPRIO, 15, 20) == 0);
    IS(set(SCHED_RR, 15) == 0);
    IS(limit(RLIMIT_RTPRIO, 3, 20) == 0);
    // What it has may stay, or become less.
    IS(set(SCHED_RR, 15) == 0);
    IS(set(SCHED_FIFO, 14) == 0);
    IS(set(SCHED_FIFO, 16) == -1 && errno == EPERM);
    IS(limit(RLIMIT_RTPRIO, 0, 20) == 0);
    IS(set(SCHED_FIFO, 14) == 0);
    IS(set(SCHED_FIFO, 2) == 0);
    IS(set(SCHED_RR, 1) == -1 && errno == EPERM);
    IS(set(SCHED_OTHER, 0) == 0);
    IS(set(SCHED_FIFO, 1) == -1 && errno == EPERM);
    IS(limit(RLIMIT_RTPRIO, 20, 21) == -1 && errno == EPERM);
    IS(limit(RLIMIT_RTPRIO, 20, 20) == 0);
    IS(set(SCHED_FIFO, 20) == 0);
    IS(set(SCHED_OTHER, 0) == 0);

    section("nice values");
    IS(setpriority(PRIO_PROCESS, 0, -6) == -1 && errno == EACCES);
    IS(setpriority(PRIO_PROCESS, 0, -5) == 0);
    IS(setpriority(PRIO_PROCESS, 0, 19) == 0);
    IS(setpriority(PRIO_PROCESS, 0, -5) == 0);
    IS(set(SCHED_IDLE, 0) == 0);
    IS(set(SCHED_BATCH, 0) == 0);
    IS(set(SCHED_IDLE, 0) == 0);
    IS(limit(RLIMIT_NICE, 24, 30) == 0);
    // It would have its nice value again.
    IS(set(SCHED_OTHER, 0) == -1 && errno == EPERM);
    IS(set(SCHED_IDLE, 0) == 0);
    IS(limit(RLIMIT_NICE, 30, 30) == 0);
    IS(set(SCHED_OTHER, 0) == 0);
    IS(setpriority(PRIO_PROCESS, 0, -10) == 0);
    IS(setpriority(PRIO_PROCESS, 0, -11) == -1 && errno == EACCES);
    IS(getpriority(PRIO_PROCESS, 0) == -10);
    return done();
}
