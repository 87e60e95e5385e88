// Every double or invalid free raises SIGABRT at once; a handler may jump out of it, and malloc still works.
//@ smp 2
//@ memory 256M
//@ cflags -fno-builtin -Wno-free-nonheap-object -Wno-use-after-free
#include "test.h"
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static sigjmp_buf back;
static volatile int aborted;

static void handler(int s)
{
    aborted = s == SIGABRT;
    siglongjmp(back, 1);
}

static void *block(size_t n)
{
    void *p = malloc(n);
    MUST(p ? 0 : -1);
    return p;
}

/* Whether freeing `p` ends the program. */
static bool refused(void *p)
{
    aborted = 0;
    if (!sigsetjmp(back, 1)) free(p);
    return aborted;
}

static bool realloc_refused(void *p, size_t n)
{
    aborted = 0;
    if (!sigsetjmp(back, 1)) p = realloc(p, n);
    return aborted;
}

static bool size_refused(void *p)
{
    aborted = 0;
    if (!sigsetjmp(back, 1)) malloc_usable_size(p);
    return aborted;
}

static const size_t sizes[] = { 0, 1, 8, 16, 24, 64, 100, 1000, 4096, 10000, 100000, 1 << 20, 40 << 20 };
#define SIZES (sizeof sizes / sizeof *sizes)

static void *free_it(void *p) { free(p); return 0; }
static void *refuse_it(void *p) { return (void *)(long)refused(p); }

static void *in_thread(void *(*f)(void *), void *p)
{
    pthread_t t;
    void *result;
    MUST0(pthread_create(&t, 0, f, p));
    MUST0(pthread_join(t, &result));
    return result;
}

/* Releases the pages of freed blocks, and refills the lists. */
static void churn(void)
{
    void *all[300];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++) all[i] = memset(block(i * 37), 1, i * 37);
        for (int i = 0; i < 300; i++) free(all[i]);
    }
}

int main(void)
{
    struct sigaction sa = { .sa_handler = handler };
    int good = 0, local[64];
    static long fixed[64];

    MUST(sigaction(SIGABRT, &sa, 0));
    section("the same thread");
    for (size_t i = 0; i < SIZES; i++) {
        char *p = block(sizes[i]);
        free(p);
        good += refused(p) && refused(p);
        churn();
    }
    IS(good == SIZES);
    good = 0;
    for (size_t i = 0; i < SIZES; i++) {
        char *p = block(sizes[i]), *q = block(sizes[i]);
        free(p), free(q);
        good += refused(p) && refused(q);
        churn();
    }
    IS(good == SIZES);
    good = 0;
    /* Writing to a freed block must not hide the double free. */
    for (size_t i = 1; i < SIZES - 4; i++) {
        char *volatile p = block(sizes[i]);
        free(p);
        memset(p, 0, sizes[i]);
        good += refused(p);
        p = block(sizes[i]);
        free(p);
    }
    IS(good == SIZES - 5);

    section("another thread");
    good = 0;
    for (size_t i = 0; i < SIZES; i++) {
        void *p = block(sizes[i]);
        in_thread(free_it, p);
        good += refused(p);
        p = block(sizes[i]);
        free(p);
        good += (bool)in_thread(refuse_it, p);
        churn();
    }
    IS(good == 2 * SIZES);

    section("what is not a block");
    good = 0;
    for (size_t i = 4; i < SIZES; i++) {
        char *p = block(sizes[i]);
        good += refused(p + 1) && refused(p + 8) && refused(p + 16) && refused(p + sizes[i] / 2);
        free(p);
    }
    IS(good == SIZES - 4);
    char *page = (char *)MUST(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char *none = (char *)MUST(mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    IS(refused(local) && refused(fixed) && refused(fixed + 2));
    IS(refused(page) && refused(none) && refused((void *)main));
    IS(refused((void *)16) && refused((void *)0x123456789000) && refused((void *)-4096) && refused((void *)-1));
    IS(refused((void *)0x8000000000000000) && refused((void *)0x7fffffffffff));
    IS(!refused(0));

    section("realloc and usable size");
    char *p = block(100);
    IS(realloc_refused(p + 16, 10) && size_refused(p + 16));
    free(p);
    IS(realloc_refused(p, 10) && realloc_refused(p, 100000) && size_refused(p));
    p = block(100);
    char *q = realloc(p, 1 << 20);
    IS(refused(p) && realloc_refused(p, 50));
    q = realloc(q, 10);
    IS(malloc_usable_size(q) >= 10 && !refused(q) && refused(q));
    IS(malloc_usable_size(0) == 0);

    section("aligned blocks");
    good = 0;
    for (size_t align = 16; align <= 64 << 20; align *= 2) {
        char *a = aligned_alloc(align, align);
        good += (uintptr_t)a % align == 0 && refused(a + 16) && !refused(a) && refused(a);
    }
    SHOW(good);
    p = calloc(3, 5);
    IS(!refused(p) && refused(p));
    churn();
    return done();
}
