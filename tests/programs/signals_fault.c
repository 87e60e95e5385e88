// Faults become signals that a program can catch, inspect and jump out of: SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS;
// alternative stack.
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile int code, on_alt;
static void *volatile addr;
static char alt[65536];

static void handler(int s, siginfo_t *i, void *u)
{
    char here;
    (void)u;
    code = i->si_code, addr = i->si_addr;
    on_alt = &here >= alt && &here < alt + sizeof alt;
    siglongjmp(back, s);
}

/* Repairs the cause and returns: the instruction runs again. */
static char *page;
static void repair(int s, siginfo_t *i, void *u)
{
    (void)s, (void)u;
    if (i->si_addr == page + 100) mprotect(page, 4096, PROT_READ | PROT_WRITE);
    else _exit(77);
}

static void skip(int s, siginfo_t *i, void *u)
{
    ucontext_t *c = u;
    (void)s, (void)i;
    c->uc_mcontext.gregs[REG_RIP] += 2;
    c->uc_mcontext.gregs[REG_RBX] = 4711;
}

static void install(int sig, void (*f)(int, siginfo_t *, void *), int flags)
{
    struct sigaction a = { .sa_sigaction = f, .sa_flags = SA_SIGINFO | flags };
    MUST(sigaction(sig, &a, 0));
}

__attribute__((noinline)) static int recurse(int n)
{
    volatile char fill[1000];
    fill[n % 1000] = (char)n;
    return n > 100000000 ? 0 : recurse(n + 1) + fill[0];
}

int main(void)
{
    static const int sigs[] = { SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS };
    for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++) install(sigs[i], handler, 0);
    int s;
    uintptr_t volatile small = 8;
    if ((s = sigsetjmp(back, 1)) == 0) *(volatile int *)small = 1;
    printf("null: %d code %d addr %d\n", s, code == SEGV_MAPERR, addr == (void *)8);
    if ((s = sigsetjmp(back, 1)) == 0) *(volatile int *)0x8000000000000000ul = 1;
    printf("not canonical: %d addr %d\n", s, addr == 0);
    page = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((s = sigsetjmp(back, 1)) == 0) page[5] = 1;
    printf("read only: %d code %d addr %d\n", s, code == SEGV_ACCERR, addr == page + 5);
    volatile int zero = 0, one = 1;
    if ((s = sigsetjmp(back, 1)) == 0) one = one / zero;
    printf("divide: %d code %d\n", s, code == FPE_INTDIV);
    if ((s = sigsetjmp(back, 1)) == 0) __asm__ volatile("ud2");
    printf("ud2: %d code %d\n", s, code == ILL_ILLOPN);
    if ((s = sigsetjmp(back, 1)) == 0) __asm__ volatile("int3");
    printf("int3: %d\n", s);
    if ((s = sigsetjmp(back, 1)) == 0) {
        void (*f)(void) = (void (*)(void))(uintptr_t)page;
        f();
    }
    printf("execute: %d code %d addr %d\n", s, code == SEGV_ACCERR, addr == page);

    section("repair");
    install(SIGSEGV, repair, 0);
    page[100] = 'r';
    printf("%c\n", page[100]);
    install(SIGILL, skip, 0);
    long rbx = 0;
    __asm__ volatile("ud2" : "=b"(rbx));
    SHOW(rbx);

    section("alternative stack");
    stack_t st = { .ss_sp = alt, .ss_size = sizeof alt }, old;
    SHOW(sigaltstack(&st, &old));
    SHOW(old.ss_flags == SS_DISABLE);
    install(SIGSEGV, handler, SA_ONSTACK);
    if ((s = sigsetjmp(back, 1)) == 0) recurse(0);
    printf("overflow: %d on the alternative stack %d\n", s, on_alt);
    if ((s = sigsetjmp(back, 1)) == 0) recurse(0);
    printf("again: %d on the alternative stack %d\n", s, on_alt);
    st.ss_size = 100;
    SHOW(sigaltstack(&st, 0));
    st.ss_size = sizeof alt, st.ss_flags = 99;
    SHOW(sigaltstack(&st, 0));
    st.ss_flags = SS_DISABLE;
    SHOW(sigaltstack(&st, 0));
    section("mask after siglongjmp");
    sigset_t m;
    sigprocmask(SIG_SETMASK, 0, &m);
    SHOW(sigismember(&m, SIGSEGV));
    return done();
}
