/* Threads with a policy and a priority, and the order in which they run. */
#ifndef REALTIME_H
#define REALTIME_H

#include "test.h"
#include <pthread.h>
#include <sched.h>

static UNUSED char order[256];
static UNUSED volatile size_t noted;

static UNUSED void note(char c)
{
    order[noted++] = c;
}

static UNUSED void show(const char *what)
{
    order[noted] = 0;
    printf("%s: %s\n", what, order);
    noted = 0;
}

/* The running thread becomes one of that policy. */
static UNUSED void self(int policy, int priority)
{
    struct sched_param p = { .sched_priority = priority };
    MUST0(pthread_setschedparam(pthread_self(), policy, &p));
}

static UNUSED pthread_t start(int policy, int priority, void *f(void *), const void *arg)
{
    pthread_t t;
    pthread_attr_t a;
    struct sched_param p = { .sched_priority = priority };
    MUST0(pthread_attr_init(&a));
    MUST0(pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED));
    MUST0(pthread_attr_setschedpolicy(&a, policy));
    MUST0(pthread_attr_setschedparam(&a, &p));
    MUST0(pthread_create(&t, &a, f, (void *)arg));
    return t;
}

#endif
