// setjmp, longjmp, signal masks with sigsetjmp, and contexts that unwind through a signal handler.
#include "test.h"
#include <setjmp.h>
#include <signal.h>

static jmp_buf env;
static sigjmp_buf senv;
static void jump(int value) { longjmp(env, value); }
static void (*volatile indirect)(int, int);
static void deep(int n, int value)
{
    volatile int keep = n;
    if (n == 0) jump(value);
    else indirect(n - 1, value);
    printf("%d\n", keep);
}
static void handler(int s) { siglongjmp(senv, s); }

int main(void)
{
    volatile int round = 0, save;
    indirect = deep;
    int v = setjmp(env);
    printf("round %d: %d\n", round, v);
    if (round < 3) {
        round++;
        deep(10 * round, round - 1);
    }
    sigset_t m;
    signal(SIGUSR1, handler);
    for (save = 0; save < 2; save++) {
        if ((v = sigsetjmp(senv, save)) == 0) raise(SIGUSR1);
        sigprocmask(SIG_SETMASK, 0, &m);
        printf("saved %d: signal %d, still blocked %d\n", save, v, sigismember(&m, SIGUSR1));
        sigemptyset(&m);
        sigprocmask(SIG_SETMASK, &m, 0);
    }
    return done();
}
