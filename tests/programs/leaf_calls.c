// Calls that run on the program's stack: bad addresses, pages not yet touched, handlers that interrupt them or never
// come back, and a stack that overflows in them.
//@ native no
#include "test.h"
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

static char *page(int prot)
{
    char *p = mmap(0, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(p == MAP_FAILED ? -1 : 0);
    return p;
}

static void addresses(void)
{
    char *none = page(PROT_NONE), *constant = page(PROT_READ), *two = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST0(mprotect(two + 4096, 4096, PROT_NONE));
    void *bad[] = { (void *)8, none, constant, two + 4088, (void *)0x7ffffffff000, (void *)-4096L, (void *)0xffff800000000000 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        printf("address %zu\n", i);
        SHOW(clock_gettime(CLOCK_MONOTONIC, bad[i]));
        SHOW(clock_gettime(CLOCK_REALTIME, bad[i]));
        SHOW(syscall(SYS_gettimeofday, bad[i], 0));
        SHOW(syscall(SYS_gettimeofday, 0, i == 3 ? two + 4092 : bad[i]));
        SHOW(syscall(SYS_time, i == 3 ? two + 4092 : bad[i]));
        SHOW(syscall(SYS_getcpu, i == 3 ? two + 4094 : bad[i], 0, 0));
    }
    SHOW(clock_gettime(CLOCK_MONOTONIC, (void *)page(PROT_READ | PROT_WRITE)));
    SHOW(clock_gettime(CLOCK_MONOTONIC, (void *)(two + 4080)));
    SHOW(clock_gettime(12345, (void *)two));
    SHOW(syscall(SYS_gettimeofday, 0, 0));
    IS(((struct timespec *)(two + 4080))->tv_nsec < 1000000000);
}

static sigjmp_buf out;
static volatile int jumps, returns;

static void tick(int signo)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (++returns % 2) return;
    jumps++;
    siglongjmp(out, signo);
}

static void handlers(void)
{
    struct itimerval every = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
    struct timespec last = { 0 }, now;
    volatile int back = 0;
    signal(SIGALRM, tick);
    MUST0(setitimer(ITIMER_REAL, &every, 0));
    sigsetjmp(out, 1);
    while (jumps < 50) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        back += now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec);
        last = now;
        if (getpid() != syscall(SYS_getpid) || gettid() != getpid()) back++;
        sched_yield();
    }
    MUST0(setitimer(ITIMER_REAL, &off, 0));
    SHOW(back);
}

static void overflow(int signo)
{
    siglongjmp(out, signo);
}

static int deeper(int n);
static int (*volatile again)(int) = deeper;
static int deeper(int n)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return again(n + 1) + (int)t.tv_nsec;
}

static void stack(void)
{
    static char alternate[65536];
    stack_t s = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction a = { .sa_handler = overflow, .sa_flags = SA_ONSTACK };
    MUST0(sigaltstack(&s, 0));
    MUST0(sigaction(SIGSEGV, &a, 0));
    MUST0(sigaction(SIGBUS, &a, 0));
    int signo = sigsetjmp(out, 1);
    if (!signo) deeper(0);
    SHOW(signo);
    struct timespec t;
    SHOW(clock_gettime(CLOCK_MONOTONIC, &t));
}

int main(void)
{
    addresses();
    handlers();
    stack();
    return done();
}
