// Handlers, masks, pending signals, order, SA_* flags, siginfo, waiting for signals, threads.
//@ shows rt_sigaction rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo kill tkill
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

static volatile int count, nested, last, depth, deepest;
static siginfo_t info;
static pthread_t ran_on;

static void handler(int s) { count++, last = s; }
static void detailed(int s, siginfo_t *i, void *u) { last = s, info = *i, ran_on = pthread_self(); (void)u; }

static void nesting(int s)
{
    if (++depth > deepest) deepest = depth;
    if (s == SIGUSR1 && nested++ < 3) raise(SIGUSR1);
    depth--;
}

static void set(int sig, void (*f)(int), int flags, int also)
{
    struct sigaction a = { .sa_handler = f, .sa_flags = flags };
    if (also) sigaddset(&a.sa_mask, also);
    MUST(sigaction(sig, &a, 0));
}

static sigset_t only(int a, int b)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, a);
    if (b) sigaddset(&s, b);
    return s;
}

static volatile int stop;
static void *worker(void *arg) { sem_post(arg); while (!stop) sleep_ms(1); return 0; }
static void *spinner(void *arg) { sem_post(arg); while (!stop) {} return 0; }
static void *late(void *arg) { (void)arg; sleep_ms(30); kill(getpid(), SIGUSR2); return 0; }

int main(void)
{
    section("raise");
    set(SIGUSR1, handler, 0, 0);
    SHOW(raise(SIGUSR1));
    SHOW(count);
    SHOW(kill(getpid(), SIGUSR1));
    SHOW(count);
    SHOW(kill(getpid(), 0));
    SHOW(kill(getpid(), 999));
    SHOW(kill(2000000000, SIGTERM));
    SHOW(signal(999, handler) == SIG_ERR ? -1 : 0);
    struct sigaction old;
    SHOW(sigaction(SIGUSR1, 0, &old));
    IS(old.sa_handler == handler);

    section("blocked");
    sigset_t s = only(SIGUSR1, SIGUSR2), was, pending;
    count = 0;
    set(SIGUSR2, handler, 0, 0);
    MUST(sigprocmask(SIG_BLOCK, &s, &was));
    raise(SIGUSR1), raise(SIGUSR1), raise(SIGUSR2);
    SHOW(count);
    MUST(sigpending(&pending));
    SHOW(sigismember(&pending, SIGUSR1));
    SHOW(sigismember(&pending, SIGTERM));
    MUST(sigprocmask(SIG_UNBLOCK, &s, 0));
    SHOW(count);
    SHOW(sigprocmask(77, &s, 0));

    section("ignored");
    signal(SIGUSR1, SIG_IGN);
    count = 0;
    MUST(sigprocmask(SIG_BLOCK, &s, 0));
    raise(SIGUSR1);
    signal(SIGUSR1, handler);
    MUST(sigprocmask(SIG_UNBLOCK, &s, 0));
    SHOW(count);
    raise(SIGCHLD), raise(SIGURG), raise(SIGWINCH), raise(SIGCONT);
    printf("default ignored\n");

    section("flags");
    set(SIGUSR1, nesting, 0, 0);
    raise(SIGUSR1);
    SHOW(deepest);
    nested = deepest = 0;
    set(SIGUSR1, nesting, SA_NODEFER, 0);
    raise(SIGUSR1);
    SHOW(deepest);
    set(SIGUSR1, handler, (int)SA_RESETHAND, 0);
    raise(SIGUSR1);
    MUST(sigaction(SIGUSR1, 0, &old));
    IS(old.sa_handler == SIG_DFL);

    section("siginfo");
    struct sigaction a = { .sa_sigaction = detailed, .sa_flags = SA_SIGINFO };
    MUST(sigaction(SIGUSR1, &a, 0));
    MUST(kill(getpid(), SIGUSR1));
    IS(info.si_code == SI_USER && info.si_pid == getpid() && info.si_uid == getuid());
    raise(SIGUSR1);
    SHOW(info.si_code == SI_TKILL);
    MUST(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 1234 }));
    SHOW(info.si_code == SI_QUEUE);
    SHOW(info.si_value.sival_int);

    section("real time");
    sigset_t rt = only(SIGRTMIN, SIGRTMIN + 1);
    MUST(sigprocmask(SIG_BLOCK, &rt, 0));
    for (int i = 0; i < 3; i++) MUST(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }));
    MUST(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 9 }));
    for (int i = 0; i < 4; i++) {
        siginfo_t got;
        int n = sigwaitinfo(&rt, &got);
        printf("RTMIN+%d value %d\n", n - SIGRTMIN, got.si_value.sival_int);
    }
    struct timespec t = { 0, 20000000 };
    SHOW(sigtimedwait(&rt, 0, &t));

    section("sigwait, sigsuspend, pause");
    s = only(SIGUSR2, 0);
    MUST(sigprocmask(SIG_BLOCK, &s, 0));
    pthread_t th;
    int got = 0;
    MUST0(pthread_create(&th, 0, late, 0));
    SHOWE(sigwait(&s, &got));
    SHOW(got);
    pthread_join(th, 0);
    count = 0;
    sigset_t none;
    sigemptyset(&none);
    raise(SIGUSR2);
    SHOW(sigsuspend(&none));
    SHOW(count);
    MUST(sigprocmask(SIG_SETMASK, 0, &was));
    SHOW(sigismember(&was, SIGUSR2));
    MUST(sigprocmask(SIG_UNBLOCK, &s, 0));
    set(SIGUSR2, handler, 0, 0);
    MUST0(pthread_create(&th, 0, late, 0));
    SHOW(pause());
    pthread_join(th, 0);

    section("threads");
    sem_t up;
    MUST(sem_init(&up, 0, 0));
    for (int spin = 0; spin < 2; spin++) {
        stop = 0;
        MUST0(pthread_create(&th, 0, spin ? spinner : worker, &up));
        sem_wait(&up);
        last = 0;
        SHOWE(pthread_kill(th, SIGUSR1));
        for (int i = 0; i < 2000 && !last; i++) sleep_ms(1);
        IS(last == SIGUSR1 && pthread_equal(ran_on, th));
        stop = 1;
        pthread_join(th, 0);
    }
    SHOWE(pthread_kill(pthread_self(), 0));
    SHOWE(pthread_kill(pthread_self(), 999));
    s = only(SIGUSR1, 0);
    stop = 0;
    MUST0(pthread_create(&th, 0, worker, &up));
    sem_wait(&up);
    SHOWE(pthread_sigmask(SIG_BLOCK, &s, 0));
    last = 0;
    MUST(kill(getpid(), SIGUSR1)); /* only the other thread can take it */
    for (int i = 0; i < 2000 && !last; i++) sleep_ms(1);
    IS(last == SIGUSR1 && pthread_equal(ran_on, th));
    stop = 1;
    pthread_join(th, 0);
    SHOW(syscall(SYS_tgkill, getpid(), 2000000000, SIGUSR1));
    return done();
}
