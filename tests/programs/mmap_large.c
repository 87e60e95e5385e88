// Large mappings that are written from beginning to end, for which the kernel may use large pages: their parts are
// unmapped, protected, discarded and moved like any others, and nothing of them shows in what is mapped next.
//@ shows mincore
//@ memory 128M
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#define PAGE 4096UL
#define LARGE (2UL << 20)
#define RW (PROT_READ | PROT_WRITE)

static char *map(size_t len, int flags)
{
    char *p = mmap(0, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (p == MAP_FAILED) MUST(-1);
    return p;
}
static void fill(char *p, size_t len)
{
    for (size_t i = 0; i < len; i += PAGE) *(size_t *)(p + i) = i + 1;
}
// Whether the pages from `from` to `to` hold what `fill` wrote when they were `shift` bytes further on.
static bool kept(const char *p, size_t from, size_t to, size_t shift)
{
    for (size_t i = from; i < to; i += PAGE)
        if (*(size_t *)(p + i) != i + shift + 1) return false;
    return true;
}
static bool zero(const char *p, size_t len)
{
    const size_t *w = (const size_t *)p;
    for (size_t i = 0; i < len / sizeof *w; i++)
        if (w[i]) return false;
    return true;
}
static size_t resident(void)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, "VmRSS: %zu", &kib);
    if (f) fclose(f);
    return kib << 10;
}
static size_t present(char *p, size_t len)
{
    static unsigned char in[8192];
    size_t n = 0;
    MUST(mincore(p, len, in));
    for (size_t i = 0; i < len / PAGE; i++) n += in[i] & 1;
    return n;
}

static size_t len = 16 * LARGE;

static void parts(void)
{
    section("parts");
    char *p = map(len, 0);
    size_t before = resident();
    fill(p, len);
    size_t after = resident();
    IS(after - before >= len - LARGE && after - before <= len + 2 * LARGE);
    IS(present(p, len) == len / PAGE);
    SHOW(munmap(p + 3 * LARGE + 5 * PAGE, LARGE));
    IS(resident() <= after - LARGE + 64 * PAGE);
    IS(kept(p, 0, 3 * LARGE + 5 * PAGE, 0));
    IS(kept(p, 4 * LARGE + 5 * PAGE, len, 0));
    SHOW(madvise(p + 6 * LARGE - PAGE, 2 * PAGE, MADV_DONTNEED));
    IS(zero(p + 6 * LARGE - PAGE, 2 * PAGE));
    IS(kept(p, 5 * LARGE, 6 * LARGE - PAGE, 0) && kept(p, 6 * LARGE + PAGE, len, 0));
    SHOW(madvise(p + 8 * LARGE, LARGE, MADV_DONTNEED));
    IS(present(p + 8 * LARGE, LARGE) == 0);
    IS(zero(p + 8 * LARGE, LARGE));
    char *q = mremap(p + 10 * LARGE + PAGE, 2 * LARGE, 3 * LARGE, MREMAP_MAYMOVE);
    IS(q != MAP_FAILED && kept(q, 0, 2 * LARGE, 10 * LARGE + PAGE));
    IS(zero(q + 2 * LARGE, LARGE));
    IS(kept(p, 9 * LARGE, 10 * LARGE + PAGE, 0) && kept(p, 12 * LARGE + PAGE, len, 0));
    MUST(munmap(q, 3 * LARGE));
    MUST(munmap(p, len));
    IS(resident() <= before + 64 * PAGE);
}

static void rights(void)
{
    section("rights");
    char *p = map(len, 0);
    fill(p, len);
    int null = open("/dev/null", O_WRONLY), zeros = open("/dev/zero", O_RDONLY);
    for (int whole = 0; whole < 2; whole++) {
        char *at = p + 4 * LARGE + (whole ? 0 : 7 * PAGE);
        size_t n = whole ? 2 * LARGE : 2 * PAGE;
        MUST(mprotect(at, n, PROT_READ));
        SHOW(read(zeros, at, 1));
        SHOW(read(zeros, at + n - 1, 1));
        SHOW(read(zeros, at - 8, 1));
        SHOW(read(zeros, at + n + 8, 1));
        MUST(mprotect(at, n, PROT_NONE));
        SHOW(write(null, at, 1));
        IS(present(at, n) == n / PAGE);
        MUST(mprotect(at, n, RW));
        IS(kept(p, 0, len, 0));
        at[8] = 1;
    }
    // One page becomes code: a function that returns its argument.
    static const unsigned char code[] = { 0x89, 0xf8, 0xc3 };
    char *at = p + 8 * LARGE + 9 * PAGE;
    memcpy(at, code, sizeof code);
    MUST(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
    SHOW(((int (*)(int))(uintptr_t)at)(42));
    MUST(mprotect(at, PAGE, RW));
    IS(!memcmp(at, code, sizeof code));
    *(size_t *)at = 8 * LARGE + 9 * PAGE + 1;
    IS(kept(p, 0, len, 0));
    MUST(munmap(p, len));
}

static void early(void)
{
    section("early");
    // Memory that was full of other things, a page here and a page there.
    char *p = map(len, 0);
    memset(p, 0x55, len);
    MUST(munmap(p, len));
    p = map(len, 0);
    bool clean = true;
    for (size_t i = 0; i < len; i += 37 * PAGE) {
        clean &= zero(p + i, PAGE);
        p[i] = 1;
    }
    IS(clean);
    MUST(munmap(p, len));
    p = map(len, 0);
    for (size_t i = 0; i < len; i += PAGE) {
        clean &= zero(p + i, PAGE);
        p[i] = 1;
    }
    IS(clean);
    MUST(munmap(p, len));
    p = map(len, MAP_POPULATE);
    IS(present(p, len) == len / PAGE);
    IS(zero(p, len));
    MUST(munmap(p, len));
    // A page alone brings no others with it.
    p = map(len, 0);
    p[5 * LARGE] = 1;
    p[7 * LARGE + PAGE] = 1;
    IS(present(p, 5 * LARGE) == 0);
    MUST(munmap(p, len));
}

static char *shared;
static volatile bool stop;
static void *writer(void *which)
{
    size_t n = 0;
    while (!stop)
        for (size_t i = 64 * (size_t)which + 64; i < 4 * LARGE; i += PAGE)
            if (i / PAGE % 64 != 2) ++*(size_t *)(shared + i), n++;
    return (void *)n;
}

static void threads(void)
{
    section("threads");
    shared = map(4 * LARGE, 0);
    fill(shared, 4 * LARGE);
    pthread_t t[2];
    for (size_t i = 0; i < 2; i++) pthread_create(&t[i], 0, writer, (void *)i);
    // Large pages fall apart under the writers, whose counts must not get lost.
    for (size_t i = 2 * PAGE; i < 4 * LARGE; i += 64 * PAGE) {
        MUST(mprotect(shared + i, PAGE, PROT_READ));
        sched_yield();
        MUST(mprotect(shared + i, PAGE, RW));
    }
    stop = true;
    for (size_t i = 0; i < 2; i++) {
        void *n;
        size_t sum = 0;
        pthread_join(t[i], &n);
        for (size_t at = 64 * i + 64; at < 4 * LARGE; at += PAGE) sum += *(size_t *)(shared + at);
        IS(sum == (size_t)n);
    }
    IS(kept(shared, 0, 4 * LARGE, 0));
}

int main(void)
{
    parts();
    rights();
    early();
    threads();
    return done();
}
