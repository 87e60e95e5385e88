//@ shows setuid setgid getgid getresuid
//@ user root
//@ smp 2
/* The C library changes the user of all threads. */
#include "cred.h"
#include <pthread.h>

static pthread_barrier_t started, changed, seen;

static void *worker(void *out)
{
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&changed);
    uid_t r, e, s;
    getresuid(&r, &e, &s);
    *(int *)out = r == WWW && e == WWW && s == WWW && getgid() == WWW && setuid(0) == -1 && errno == EPERM;
    pthread_barrier_wait(&seen);
    return 0;
}

int main(void)
{
    enum { N = 8 };
    pthread_t t[N];
    int ok[N] = { 0 }, all = 1;
    MUST0(pthread_barrier_init(&started, 0, N + 1));
    MUST0(pthread_barrier_init(&changed, 0, N + 1));
    MUST0(pthread_barrier_init(&seen, 0, N + 1));
    for (int i = 0; i < N; i++) MUST0(pthread_create(&t[i], 0, worker, &ok[i]));
    pthread_barrier_wait(&started);
    SHOW(setgroups(0, 0));
    SHOW(setgid(WWW));
    SHOW(setuid(WWW));
    pthread_barrier_wait(&changed);
    pthread_barrier_wait(&seen);
    for (int i = 0; i < N; i++) {
        MUST0(pthread_join(t[i], 0));
        all &= ok[i];
    }
    IS(all);
    return done();
}
