// MAP_GROWSDOWN: grows on a touch below it as far as the limit and its neighbours allow; PROT_GROWSDOWN; MREMAP_DONTUNMAP.
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

enum { K = 1024, M = 1024 * K, PAGE = 4096 };

static sigjmp_buf back;
static volatile int code;
static void caught(int n, siginfo_t *i, void *c)
{
    (void)n, (void)c;
    code = i->si_code;
    siglongjmp(back, 1);
}

// Writes a byte: 0, or the fault's code.
static int touch(char *p)
{
    if (sigsetjmp(back, 1)) return code;
    *(volatile char *)p = 1;
    return 0;
}

static bool mapped(char *p)
{
    unsigned char v;
    return !mincore((void *)((uintptr_t)p & ~4095ul), PAGE, &v);
}

// A free area, with nothing near it.
static char *area(size_t size)
{
    char *p = mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    MUST((long)p);
    MUST(munmap(p, size));
    return p;
}

static char *grows(char *at, size_t size)
{
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
}

static int fresh(void) { return memfd_create("m", 0); }

int main(void)
{
    struct sigaction sa = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &sa, 0);
    char *base = area(64 * M);

    section("grows");
    char *p = base + 40 * M;
    IS(grows(p, 2 * PAGE) == p);
    SHOW(touch(p - 1));
    IS(mapped(p - 1) && !mapped(p - 2 * PAGE));
    SHOW(touch(p - 20 * PAGE));
    IS(mapped(p - 20 * PAGE) && mapped(p - 10 * PAGE));
    SHOW(touch(p - 3 * M));
    SHOW(p[-2 * M]);
    SHOW(p[-20 * PAGE]);
    SHOW(touch(p + 2 * PAGE));
    // What the kernel writes for a call makes it grow, too.
    int z[2];
    MUST(pipe(z));
    MUST(write(z[1], "abc", 3));
    SHOW(read(z[0], p - 4 * M, 3));
    SHOW(memcmp(p - 4 * M, "abc", 3));

    section("limits");
    struct rlimit old, small;
    MUST(getrlimit(RLIMIT_STACK, &old));
    small = old;
    small.rlim_cur = 6 * M;
    MUST(setrlimit(RLIMIT_STACK, &small));
    SHOW(touch(p - 7 * M));
    SHOW(touch(p - 5 * M));
    MUST(setrlimit(RLIMIT_STACK, &old));
    MUST(munmap(base, 64 * M));

    section("neighbours");
    p = base + 8 * M;
    IS(grows(p, PAGE) == p);
    // One below keeps a gap of 1 MiB, unless it cannot be touched.
    char *below = mmap(p - 2 * M, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    IS(below == p - 2 * M);
    SHOW(touch(p - M + 2 * PAGE));
    SHOW(touch(p - M));
    SHOW(touch(p - M - PAGE));
    MUST(mprotect(below, PAGE, PROT_NONE));
    SHOW(touch(p - 2 * M + 2 * PAGE));
    SHOW(touch(p - 2 * M));
    MUST(munmap(base, 64 * M));

    section("parts");
    p = base + 8 * M;
    IS(grows(p, 4 * PAGE) == p);
    // The rest grows on.
    MUST(munmap(p, PAGE));
    SHOW(touch(p + PAGE / 2));
    SHOW(touch(p - PAGE));
    MUST(mprotect(p - PAGE, PAGE, PROT_READ));
    SHOW(touch(p - 2 * PAGE));
    SHOW(mapped(p - 2 * PAGE));

    section("mprotect");
    SHOW(mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_GROWSDOWN));
    SHOW(touch(p + PAGE));
    SHOW(touch(p + 3 * PAGE));
    SHOW(mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_GROWSDOWN));
    SHOW(touch(p + PAGE));
    SHOW(mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_GROWSUP));
    SHOW(mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_GROWSUP | PROT_GROWSDOWN));
    SHOW(mprotect(p + 2 * PAGE, PAGE, PROT_READ | 0x10));
    char *plain = mmap(0, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(mprotect(plain, PAGE, PROT_READ | PROT_GROWSDOWN));
    SHOW(mprotect(plain + 1, PAGE, PROT_READ | PROT_GROWSDOWN));
    SHOW(mprotect(base + 60 * M, PAGE, PROT_READ | PROT_GROWSDOWN));
    MUST(munmap(base, 64 * M));

    section("refused");
    SHOW(mmap(0, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0) == MAP_FAILED ? -1 : 0);
    int fd = fresh();
    MUST(ftruncate(fd, 4 * PAGE));
    SHOW(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0) == MAP_FAILED ? -1 : 0);
    SHOW(mmap(0, PAGE, PROT_READ, MAP_SHARED | MAP_GROWSDOWN, fd, 0) == MAP_FAILED ? -1 : 0);

    section("moved without unmapping");
    char *a = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++) a[i * PAGE] = 'a' + i;
    char *b = mremap(a, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    IS(b != MAP_FAILED && b != a);
    IS(b[0] == 'a' && b[3 * PAGE] == 'd');
    IS(a[0] == 0 && a[3 * PAGE] == 0);
    a[0] = 'x';
    IS(b[0] == 'a');
    char *to = area(8 * PAGE);
    char *c = mremap(b + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, to);
    IS(c == to && c[0] == 'b' && c[PAGE] == 'c' && b[PAGE] == 0 && b[0] == 'a');
    char *s = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
    s[0] = 's';
    char *t = mremap(s, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    // Both are the file.
    IS(t != MAP_FAILED && t[0] == 's' && s[0] == 's');
    s[1] = 'z';
    IS(t[1] == 'z');
    char *f = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
    f[0] = 'f';
    char *g = mremap(f, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    IS(g != MAP_FAILED && g[0] == 'f' && f[0] == 's' && g[1] == 'z');
#define MOVED(...) (mremap(__VA_ARGS__) == MAP_FAILED ? -1 : 0)
    SHOW(MOVED(a, 4 * PAGE, 4 * PAGE, MREMAP_DONTUNMAP, 0));
    SHOW(MOVED(a, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
    SHOW(MOVED(a, 0, 0, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
    SHOW(MOVED(a + 1, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
    SHOW(MOVED(a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, a));
    SHOW(MOVED(a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, to + 1));
    SHOW(MOVED(base + 60 * M, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
    SHOW(MOVED(a, PAGE, PAGE, 8 | MREMAP_MAYMOVE, 0));
    return done();
}
