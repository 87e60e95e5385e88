// Create, join, detach, return values, identity, attributes.
//@ shows clone exit
//@ smp 2
#include "test.h"
#include <pthread.h>

static pthread_t seen;
static void *twice(void *arg) { return (void *)((long)arg * 2); }
static void *leave(void *arg) { pthread_exit(arg); }
static void *self(void *arg) { (void)arg; seen = pthread_self(); return 0; }
static void *tid(void *arg) { *(pid_t *)arg = gettid(); return 0; }
static void *set_errno(void *arg) { errno = E2BIG; close(-1); *(int *)arg = errno; return 0; }

int main(void)
{
    pthread_t t[8];
    void *r;
    for (long i = 0; i < 8; i++) MUST0(pthread_create(&t[i], 0, twice, (void *)i));
    for (int i = 0; i < 8; i++) {
        MUST0(pthread_join(t[i], &r));
        printf("thread %d returned %ld\n", i, (long)r);
    }
    MUST0(pthread_create(&t[0], 0, leave, (void *)77));
    SHOWE(pthread_join(t[0], &r));
    SHOW(r);
    MUST0(pthread_create(&t[0], 0, self, 0));
    SHOWE(pthread_join(t[0], 0));
    IS(pthread_equal(seen, t[0]));
    IS(!pthread_equal(seen, pthread_self()));

    pid_t id = 0;
    MUST0(pthread_create(&t[0], 0, tid, &id));
    MUST0(pthread_join(t[0], 0));
    IS(gettid() == getpid());
    IS(id > 0 && id != getpid());

    int e = 0;
    errno = ENOENT;
    MUST0(pthread_create(&t[0], 0, set_errno, &e));
    MUST0(pthread_join(t[0], 0));
    IS(errno == ENOENT && e == EBADF);

    pthread_attr_t a;
    size_t size;
    int state;
    MUST0(pthread_attr_init(&a));
    SHOWE(pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED));
    SHOWE(pthread_attr_getdetachstate(&a, &state));
    IS(state == PTHREAD_CREATE_DETACHED);
    SHOWE(pthread_attr_setstacksize(&a, 100));
    SHOWE(pthread_attr_setstacksize(&a, 256 * 1024));
    SHOWE(pthread_attr_getstacksize(&a, &size));
    SHOW(size);
    MUST0(pthread_create(&t[0], &a, twice, 0));
    sleep_ms(20);
    printf("end\n");
    return done();
}
