// Stack sizes, and stacks that the program supplies; a thread may use all of what it asked for.
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>

static void *use(void *arg)
{
    size_t n = (size_t)arg;
    volatile char *p = __builtin_alloca(n);
    for (size_t i = 0; i < n; i += 256) p[i] = (char)i;
    return (void *)(long)(p[256] == (char)256);
}

static void *where(void *arg)
{
    char here;
    *(char **)arg = &here;
    pthread_attr_t a;
    void *base;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &a)) return 0;
    pthread_attr_getstack(&a, &base, &size);
    return (void *)(long)(&here >= (char *)base && &here < (char *)base + size);
}

int main(void)
{
    static const size_t sizes[] = { 16384, 65536, 131072, 1 << 20, 8 << 20 };
    pthread_attr_t a;
    pthread_t t;
    void *r;
    MUST0(pthread_attr_init(&a));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        MUST0(pthread_attr_setstacksize(&a, sizes[i]));
        MUST0(pthread_create(&t, &a, use, (void *)(sizes[i] * 3 / 4)));
        MUST0(pthread_join(t, &r));
        printf("%zu bytes: %s\n", sizes[i], r ? "usable" : "broken");
    }
    char *mine = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *seen = 0;
    IS(mine != MAP_FAILED);
    SHOWE(pthread_attr_setstack(&a, mine, 65536));
    MUST0(pthread_create(&t, &a, where, &seen));
    MUST0(pthread_join(t, &r));
    IS(seen > mine && seen < mine + 65536);
    IS(r != 0);
    IS(where(&seen) != 0);
    size_t guard;
    MUST0(pthread_attr_init(&a));
    SHOWE(pthread_attr_setguardsize(&a, 8192));
    SHOWE(pthread_attr_getguardsize(&a, &guard));
    SHOW(guard);
    return done();
}
