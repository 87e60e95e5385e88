// A large local, a variable-length array or alloca() near the end of a stack faults in the guard instead of jumping
// over it into memory below. For threads and the main stack.
//@ shows sigaltstack
//@ cflags -O1 -Wno-alloca
#include "test.h"
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define NEIGHBOUR (1 << 20)
#define GUARD 4096
#define STACK (256 << 10)

static sigjmp_buf back;
static char *volatile fault;
static volatile int depth;

static void handler(int s, siginfo_t *i, void *u)
{
    (void)s, (void)u;
    fault = i->si_addr;
    siglongjmp(back, 1);
}

/* Each writes only to the far end of its allocation. */
__attribute__((noinline)) static int fixed(int n)
{
    volatile char fill[64 << 10];
    fill[0] = 0x55;
    depth = n;
    return n > 1000 ? 0 : fixed(n + 1) + fill[0];
}

__attribute__((noinline)) static int variable(int n)
{
    volatile char fill[(40 << 10) + n];
    fill[0] = 0x55;
    depth = n;
    return n > 1000 ? 0 : variable(n + 1) + fill[0];
}

__attribute__((noinline)) static int taken(int n)
{
    volatile char *fill = alloca((100 << 10) + n);
    fill[0] = 0x55;
    depth = n;
    return n > 1000 ? 0 : taken(n + 1) + fill[0];
}

static int (*const kinds[])(int) = { fixed, variable, taken };

static void alternate_stack(void)
{
    stack_t alt = { .ss_size = 64 << 10 };
    MUST((alt.ss_sp = malloc(alt.ss_size)) ? 0 : -1);
    MUST(sigaltstack(&alt, 0));
}

static void *body(void *kind)
{
    alternate_stack();
    fault = 0;
    if (!sigsetjmp(back, 1)) (*(int (*const *)(int))kind)(0);
    return 0;
}

int main(void)
{
    struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    struct rlimit limit;

    MUST(sigaction(SIGSEGV, &sa, 0));
    for (int k = 0; k < 3; k++) {
        section(k == 0 ? "a local" : k == 1 ? "a variable-length array" : "alloca");
        char *all = (char *)MUST(mmap(0, NEIGHBOUR + GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        memset(all, 0xaa, NEIGHBOUR);
        MUST(mprotect(all + NEIGHBOUR, GUARD, PROT_NONE));
        pthread_attr_t a;
        pthread_t t;
        MUST0(pthread_attr_init(&a));
        MUST0(pthread_attr_setstack(&a, all + NEIGHBOUR + GUARD, STACK));
        MUST0(pthread_create(&t, &a, body, (void *)&kinds[k]));
        MUST0(pthread_join(t, 0));
        int intact = 1;
        for (int i = 0; i < NEIGHBOUR; i++) intact &= all[i] == (char)0xaa;
        IS(intact);
        IS(fault >= all + NEIGHBOUR && fault < all + NEIGHBOUR + GUARD);
        IS(depth < 10);
    }
    section("the main stack");
    MUST(getrlimit(RLIMIT_STACK, &limit));
    if (limit.rlim_cur > 8 << 20) limit.rlim_cur = 8 << 20;
    MUST(setrlimit(RLIMIT_STACK, &limit));
    alternate_stack();
    for (int k = 0; k < 3; k++) {
        fault = 0;
        if (!sigsetjmp(back, 1)) kinds[k](0);
        char here, *limit_at = &here - (8 << 20);
        /* At the stack's end, not below the gap. */
        IS(fault < limit_at + (1 << 20) && fault > limit_at - (256 << 10));
        IS(depth > 10 && depth < 1000);
    }
    return done();
}
