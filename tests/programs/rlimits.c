// Resource limits are enforced (address space, data, the main stack, locked memory, threads) and read back as set.
//@ memory 128M
//@ native no
#include "test.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define MIB (1ul << 20)

static void *map(size_t size, int prot, int flags) { return mmap(0, size, prot, MAP_ANONYMOUS | flags, -1, 0); }
static bool fails(void *p) { return p == MAP_FAILED && errno == ENOMEM; }

static int set(int which, rlim_t soft)
{
    struct rlimit r;
    MUST(getrlimit(which, &r));
    r.rlim_cur = soft;
    return setrlimit(which, &r);
}

/* Address space, in bytes. */
static size_t mapped(void)
{
    char b[64] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    MUST(read(fd, b, sizeof b - 1));
    close(fd);
    return strtoul(b, 0, 10) * 4096;
}

static void back(void)
{
    section("read back");
    static const int all[] = { RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_RSS, RLIMIT_NPROC,
        RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_LOCKS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_NICE,
        RLIMIT_RTPRIO, RLIMIT_RTTIME };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct rlimit before, r, now;
        MUST(getrlimit(all[i], &before));
        r = before;
        if (r.rlim_cur > 4 * MIB) r.rlim_cur = 100 * MIB < r.rlim_max ? 100 * MIB : r.rlim_max;
        else if (r.rlim_cur > 0) r.rlim_cur--;
        IS(setrlimit(all[i], &r) == 0 && getrlimit(all[i], &now) == 0 && now.rlim_cur == r.rlim_cur && now.rlim_max == r.rlim_max);
        MUST(setrlimit(all[i], &before));
        r = (struct rlimit){ 2, 1 };
        SHOW(setrlimit(all[i], &r));
    }
    struct rlimit r, old, new = { 0, RLIM_INFINITY };
    SHOW(setrlimit(16, &new));
    SHOW(getrlimit(16, &r));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, 0, &old));
    new.rlim_max = old.rlim_max;
    SHOW(syscall(SYS_prlimit64, getpid(), RLIMIT_CORE, &new, &r));
    IS(r.rlim_cur == old.rlim_cur && r.rlim_max == old.rlim_max);
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, (void *)8, &r));
    SHOW(syscall(SYS_prlimit64, 0, RLIMIT_CORE, 0, (void *)8));
    SHOW(syscall(SYS_prlimit64, 0, 99, 0, 0));
    char line[128], *text = 0;
    FILE *f = fopen("/proc/self/limits", "r");
    int lines = 0;
    while (f && fgets(line, sizeof line, f)) lines++, text = strstr(line, "Max realtime timeout") ? "last" : 0;
    IS(f && lines == 17 && text);
    if (f) fclose(f);
}

static void address_space(void)
{
    section("RLIMIT_AS");
    char *small = map(4 * MIB, PROT_READ, MAP_PRIVATE);
    MUST(set(RLIMIT_AS, mapped() + 20 * MIB));
    IS(fails(map(24 * MIB, PROT_NONE, MAP_PRIVATE)));
    IS(fails(map(24 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED)));
    IS(fails(mremap(small, 4 * MIB, 28 * MIB, MREMAP_MAYMOVE)));
    char *now = (char *)syscall(SYS_brk, 0);
    IS((char *)syscall(SYS_brk, now + 24 * MIB) == now);
    /* Replaced mappings do not count. */
    char *m = map(16 * MIB, PROT_READ, MAP_PRIVATE);
    IS(m != MAP_FAILED);
    IS(mmap(m, 16 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == m);
    IS(fails(map(8 * MIB, PROT_READ, MAP_PRIVATE)));
    SHOW(munmap(m, 16 * MIB));
    m = map(8 * MIB, PROT_READ, MAP_PRIVATE);
    IS(m != MAP_FAILED && munmap(m, 8 * MIB) == 0);
    IS(!malloc(64 * MIB) && errno == ENOMEM);
    MUST(set(RLIMIT_AS, RLIM_INFINITY));
    m = map(24 * MIB, PROT_NONE, MAP_PRIVATE);
    IS(m != MAP_FAILED && munmap(m, 24 * MIB) == 0 && munmap(small, 4 * MIB) == 0);
}

static void data(void)
{
    section("RLIMIT_DATA");
    MUST(set(RLIMIT_DATA, 64 * MIB));
    IS(fails(map(66 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE)));
    char *m = map(66 * MIB, PROT_READ, MAP_PRIVATE);
    IS(m != MAP_FAILED);
    SHOW(mprotect(m, 66 * MIB, PROT_READ | PROT_WRITE));
    SHOW(mprotect(m, 8 * MIB, PROT_READ | PROT_WRITE));
    IS(fails(map(60 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE)));
    SHOW(mprotect(m, 8 * MIB, PROT_READ));
    SHOW(munmap(m, 66 * MIB));
    m = map(66 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED);
    IS(m != MAP_FAILED && munmap(m, 66 * MIB) == 0);
    char *now = (char *)syscall(SYS_brk, 0);
    IS((char *)syscall(SYS_brk, now + 66 * MIB) == now);
    IS((char *)syscall(SYS_brk, now + 4 * MIB) == now + 4 * MIB);
    IS((char *)syscall(SYS_brk, now) == now);
    MUST(set(RLIMIT_DATA, RLIM_INFINITY));
}

static sigjmp_buf back_to;
static char *volatile deepest;
static volatile int code;

static void overflow(int s, siginfo_t *i, void *u)
{
    (void)s, (void)u;
    code = i->si_code;
    siglongjmp(back_to, 1);
}

__attribute__((noinline)) static void descend(size_t bytes)
{
    volatile char b[4096];
    b[0] = b[4095] = 1;
    deepest = (char *)b;
    if (bytes > sizeof b) descend(bytes - sizeof b);
    b[1] = 1;
}

/* How far the stack can grow below here, at most `bytes`. */
static size_t depth(size_t bytes)
{
    char here;
    code = 0;
    if (!sigsetjmp(back_to, 1)) descend(bytes);
    return &here - deepest;
}

static void main_stack(void)
{
    section("RLIMIT_STACK");
    static char alternate[65536];
    stack_t s = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction a = { .sa_sigaction = overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    MUST(sigaltstack(&s, 0));
    MUST(sigaction(SIGSEGV, &a, 0));
    MUST(set(RLIMIT_STACK, MIB));
    size_t d = depth(2 * MIB);
    IS(d > MIB / 2 && d <= MIB && code == SEGV_MAPERR);
    IS(depth(MIB / 2) >= MIB / 2 - 8192 && code == 0);
    MUST(set(RLIMIT_STACK, 4 * MIB));
    d = depth(8 * MIB);
    IS(d > 3 * MIB && d <= 4 * MIB && code == SEGV_MAPERR);
    /* It may exceed the limit at the program's start. */
    MUST(set(RLIMIT_STACK, 40 * MIB));
    IS(depth(24 * MIB) >= 23 * MIB && code == 0);
    pthread_attr_t attr;
    size_t size = 0;
    void *low = 0;
    MUST0(pthread_getattr_np(pthread_self(), &attr));
    MUST0(pthread_attr_getstack(&attr, &low, &size));
    IS(size >= 24 * MIB && size <= 40 * MIB && (char *)low <= deepest);
    /* RLIMIT_AS limits it, too. */
    MUST(set(RLIMIT_AS, mapped() + MIB));
    IS(depth(30 * MIB) < 26 * MIB && code == SEGV_MAPERR);
    MUST(set(RLIMIT_AS, RLIM_INFINITY));
    MUST(set(RLIMIT_STACK, 8 * MIB));
}

static void *nothing(void *x) { return x; }

static int thread(void)
{
    pthread_t t;
    int r = pthread_create(&t, 0, nothing, 0);
    if (!r) pthread_join(t, 0);
    return r;
}

/* Limits that root may exceed. */
static void unprivileged(void)
{
    section("not root");
    if (geteuid() == 0) MUST(setresuid(65534, 65534, 65534));
    IS(geteuid() != 0);
    struct rlimit r = { 64 << 10, 64 << 10 };
    MUST(setrlimit(RLIMIT_MEMLOCK, &r));
    r.rlim_max++;
    SHOW(setrlimit(RLIMIT_MEMLOCK, &r));
    char *m = map(MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    SHOW(mlock(m, 32 << 10));
    SHOW(mlock(m, 32 << 10));
    SHOW(mlock(m + (32 << 10), 32 << 10));
    SHOW(mlock(m + (64 << 10), 4096));
    SHOW(mlockall(MCL_CURRENT));
    IS(map(4096, PROT_READ, MAP_PRIVATE | MAP_LOCKED) == MAP_FAILED && errno == EAGAIN);
    SHOW(munlock(m, 64 << 10));
    char *l = map(4096, PROT_READ, MAP_PRIVATE | MAP_LOCKED);
    IS(l != MAP_FAILED);
    IS(mremap(l, 4096, 80 << 10, MREMAP_MAYMOVE) == MAP_FAILED && errno == EAGAIN);
    SHOW(munlock(l, 4096));
    r = (struct rlimit){ 0, 0 };
    MUST(setrlimit(RLIMIT_MEMLOCK, &r));
    SHOW(mlock(m, 4096));
    SHOW(mlockall(MCL_FUTURE));
    SHOW(munlock(m, 4096));
    /* musl's mmap turns EPERM into ENOMEM. */
    SHOW(syscall(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    r = (struct rlimit){ 0, 0 };
    MUST(setrlimit(RLIMIT_NICE, &r));
    IS(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 1) == -1 && errno == EACCES);
    MUST(setrlimit(RLIMIT_NPROC, &r));
    SHOWE(thread());
    r = (struct rlimit){ 0, RLIM_INFINITY };
    SHOW(setrlimit(RLIMIT_NPROC, &r));
}

int main(void)
{
    back();
    address_space();
    data();
    main_stack();
    SHOW(set(RLIMIT_NPROC, 0));
    MUST(set(RLIMIT_NPROC, 1000));
    unprivileged();
    return done();
}
