// mmap, munmap, mprotect, mremap, madvise, mincore on anonymous memory.
//@ shows mmap munmap
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static volatile int code;
static void *volatile addr;
static void handler(int s, siginfo_t *i, void *u) { (void)u; code = i->si_code, addr = i->si_addr; siglongjmp(back, s); }

static int faults(volatile char *p, bool write)
{
    int s = sigsetjmp(back, 1);
    if (s) return s;
    if (write) *p = 1;
    else (void)*p;
    return 0;
}

static char *map(size_t pages, int prot)
{
    char *p = mmap(0, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(p == MAP_FAILED ? -1 : 0);
    return p;
}

int main(void)
{
    struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &sa, 0);
    sigaction(SIGBUS, &sa, 0);

    char *p = map(8, PROT_READ | PROT_WRITE);
    IS((uintptr_t)p % PAGE == 0);
    IS(p[0] == 0 && p[8 * PAGE - 1] == 0);
    memset(p, 7, 8 * PAGE);
    section("holes");
    SHOW(munmap(p + 2 * PAGE, PAGE));
    IS(faults(p + 2 * PAGE, false) == SIGSEGV);
    IS(code == SEGV_MAPERR && addr == p + 2 * PAGE);
    IS(p[2 * PAGE - 1] == 7 && p[3 * PAGE] == 7);
    SHOW(munmap(p + 2 * PAGE, PAGE));
    SHOW(munmap(p + 1, PAGE));
    SHOW(munmap(p, 0));

    section("protection");
    SHOW(mprotect(p, PAGE, PROT_READ));
    IS(faults(p, false) == 0);
    IS(faults(p, true) == SIGSEGV);
    IS(code == SEGV_ACCERR && addr == p);
    SHOW(mprotect(p, PAGE, PROT_NONE));
    IS(faults(p, false) == SIGSEGV);
    SHOW(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
    IS(p[0] == 7);
    SHOW(mprotect(p, 3 * PAGE, PROT_READ));
    SHOW(mprotect(p + 1, PAGE, PROT_READ));
    SHOW(munmap(p, 8 * PAGE));

    section("fixed and hints");
    p = map(4, PROT_READ | PROT_WRITE);
    memset(p, 1, 4 * PAGE);
    char *q = mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    IS(q == p + PAGE && *q == 0 && p[0] == 1 && p[2 * PAGE] == 1);
    q = mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000 /* FIXED_NOREPLACE */, -1, 0);
    IS(q == MAP_FAILED && errno == EEXIST);
    q = mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(q != MAP_FAILED && q != p + PAGE);
    munmap(q, PAGE);
    q = mmap(p + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    IS(q == MAP_FAILED && errno == EINVAL);
    IS(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    IS(mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    IS(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, -1, 0) == MAP_FAILED && errno == EBADF);
    IS(mmap(0, SIZE_MAX - PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);

    section("madvise");
    memset(p, 9, 4 * PAGE);
    SHOW(madvise(p, PAGE, MADV_DONTNEED));
    IS(p[0] == 0 && p[PAGE] == 9);
    SHOW(madvise(p, PAGE, MADV_NORMAL));
    SHOW(madvise(p + 1, PAGE, MADV_DONTNEED));
    SHOW(madvise(p, PAGE, 9999));

    section("mremap");
    memset(p, 5, 4 * PAGE);
    q = mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    IS(q != MAP_FAILED && q[0] == 5 && q[4 * PAGE - 1] == 5 && q[4 * PAGE] == 0 && q[64 * PAGE - 1] == 0);
    p = mremap(q, 64 * PAGE, 2 * PAGE, 0);
    IS(p == q && p[0] == 5);
    IS(faults(p + 2 * PAGE, false) == SIGSEGV);
    char *to = map(2, PROT_NONE);
    q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    IS(q == to && q[0] == 5);
    IS(faults(p, false) == SIGSEGV);
    IS(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);

    section("large");
    p = map(4096, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 4096; i += 64) p[(size_t)i * PAGE] = (char)(i / 64);
    bool ok = true;
    for (int i = 0; i < 4096; i += 64) ok = ok && p[(size_t)i * PAGE] == (char)(i / 64);
    IS(ok);
    SHOW(munmap(p, 4096ul * PAGE));
    section("many");
    static char *many[1000];
    for (int i = 0; i < 1000; i++) many[i] = map(2, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
    for (int i = 0; i < 1000; i += 2) many[i][PAGE] = (char)i;
    ok = true;
    for (int i = 0; i < 1000; i += 2) ok = ok && many[i][PAGE] == (char)i;
    IS(ok);
    for (int i = 0; i < 1000; i++) munmap(many[i], 2 * PAGE);
    return done();
}
