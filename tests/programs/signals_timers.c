// alarm, setitimer, timer_create: they fire, can be read, stopped and repeated.
//@ shows setitimer getitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

static volatile int count, value, spun;
static void handler(int s) { (void)s; count++; }
static void detailed(int s, siginfo_t *i, void *u) { (void)s, (void)u; value = i->si_value.sival_int; count += i->si_code == SI_TIMER; }
static void notify(union sigval v) { value = v.sival_int; count++; }

/* One signal per timer, however often it expires. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
static timer_t once;
static volatile int overrun;

static void set(timer_t t, long ms, long every)
{
    struct itimerspec i = { { every / 1000, every % 1000 * 1000000 }, { ms / 1000, ms % 1000 * 1000000 } };
    MUST(timer_settime(t, 0, &i, 0));
}

/* Later signals no longer belong to this setting. */
static void first(int s, siginfo_t *i, void *u)
{
    (void)s, (void)u;
    count++;
    overrun = i->si_overrun;
    set(once, 0, 0);
}

static int take(int s, siginfo_t *i)
{
    static const struct timespec now = { 0, 0 };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, s);
    return sigtimedwait(&set, i, &now);
}

static bool pending(int s)
{
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, s);
}

static void mask(int how, int s)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, s);
    sigprocmask(how, &set, 0);
}

static timer_t make(int s)
{
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = s, .sigev_value.sival_int = 5 };
    timer_t t;
    MUST(timer_create(CLOCK_MONOTONIC, &ev, &t));
    return t;
}

static void *elsewhere(void *s)
{
    return (void *)(long)pending((int)(long)s);
}

/* Sleeps at least that long, and until the timer fired: its thread may be late on a busy machine. */
static void sleep_until_pending(long ms, int s)
{
    sleep_ms(ms);
    for (int n = 0; n < 2000 && !pending(s); n++) sleep_ms(5);
}

/* The same for a signal behind one of an earlier setting, which counts as pending but is never taken. */
static int take_in_time(int s, siginfo_t *i)
{
    int r = take(s, i);
    for (int n = 0; n < 2000 && r != s; n++) sleep_ms(5), r = take(s, i);
    return r;
}

static void overruns(void)
{
    struct sigaction a = { .sa_sigaction = first, .sa_flags = SA_SIGINFO };
    siginfo_t i;
    for (int k = 0; k < 2; k++) {
        int s = k ? SIGRTMIN : SIGUSR1;
        section(k ? "one real-time signal a timer" : "one signal a timer");
        sigaction(s, &a, 0);
        mask(SIG_BLOCK, s);
        once = make(s);
        set(once, 10, 10);
        sleep_until_pending(105, s);
        IS(pending(s));
        SHOW(timer_getoverrun(once));
        count = 0;
        mask(SIG_UNBLOCK, s);
        SHOW(count);
        IS(overrun >= 9);
        SHOW(timer_getoverrun(once));

        mask(SIG_BLOCK, s);
        set(once, 10, 10);
        sleep_until_pending(55, s);
        IS(take(s, &i) == s);
        IS(i.si_code == SI_TIMER && i.si_overrun >= 4 && i.si_overrun == timer_getoverrun(once) && i.si_value.sival_int == 5);
        set(once, 10, 0);
        IS(take_in_time(s, &i) == s);
        IS(i.si_overrun == 0 && timer_getoverrun(once) == 0);
        SHOW(take(s, &i));
        section("set anew, or deleted: the signal is void");
        set(once, 10, 0);
        sleep_until_pending(30, s);
        set(once, 100000, 0);
        IS(pending(s));
        SHOW(take(s, &i));
        IS(!pending(s));
        set(once, 10, 10);
        sleep_ms(30);
        set(once, 10, 0);
        IS(take_in_time(s, &i) == s);
        IS(i.si_overrun == 0);
        SHOW(take(s, &i));
        section("besides one of kill");
        kill(getpid(), s);
        set(once, 10, 0);
        sleep_ms(30);
        IS(take(s, &i) == s && i.si_code == SI_USER);
        IS(take_in_time(s, &i) == s && i.si_code == SI_TIMER);
        SHOW(take(s, &i));
        set(once, 10, 0);
        sleep_until_pending(30, s);
        kill(getpid(), s);
        IS(take(s, &i) == s && i.si_code == SI_TIMER);
        IS(take(s, &i) == (k ? s : -1));
        set(once, 10, 0);
        sleep_ms(30);
        SHOW(timer_delete(once));
        SHOW(take(s, &i));
        section("of a thread");
        struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = s };
        ev.sigev_notify_thread_id = gettid();
        MUST(timer_create(CLOCK_MONOTONIC, &ev, &once));
        set(once, 10, 10);
        sleep_ms(55);
        pthread_t t;
        void *there;
        MUST0(pthread_create(&t, 0, elsewhere, (void *)(long)s));
        pthread_join(t, &there);
        IS(pending(s) && !there);
        IS(take(s, &i) == s && i.si_overrun >= 4);
        SHOW(timer_delete(once));
        mask(SIG_UNBLOCK, s);
    }

    section("ignored");
    signal(SIGUSR1, SIG_IGN);
    once = make(SIGUSR1);
    set(once, 10, 10);
    sleep_ms(105);
    SHOW(timer_getoverrun(once));
    count = 0;
    sigaction(SIGUSR1, &a, 0);
    SHOW(count);
    IS(overrun >= 9);
    signal(SIGUSR1, SIG_IGN);
    set(once, 10, 0);
    sleep_ms(30);
    count = 0;
    sigaction(SIGUSR1, &a, 0);
    SHOW(count);
    for (int every = 0; every <= 10; every += 10) {
        mask(SIG_BLOCK, SIGUSR1);
        set(once, 10, every);
        sleep_until_pending(55, SIGUSR1);
        IS(pending(SIGUSR1));
        signal(SIGUSR1, SIG_IGN);
        IS(!pending(SIGUSR1));
        sigaction(SIGUSR1, &a, 0);
        IS(pending(SIGUSR1) == (every != 0));
        count = 0;
        mask(SIG_UNBLOCK, SIGUSR1);
        SHOW(count);
    }
    SHOW(timer_delete(once));

    section("the limit");
    mask(SIG_BLOCK, SIGUSR1);
    mask(SIG_BLOCK, SIGRTMIN);
    once = make(SIGRTMIN);
    set(once, 1, 1);
    struct rlimit old, none;
    MUST(getrlimit(RLIMIT_SIGPENDING, &old));
    none = (struct rlimit){ 0, old.rlim_max };
    SHOW(setrlimit(RLIMIT_SIGPENDING, &none));
    union sigval v = { 0 };
    SHOW(sigqueue(getpid(), SIGRTMIN, v));
    SHOW(sigqueue(getpid(), SIGUSR1, v));
    timer_t t;
    SHOW(timer_create(CLOCK_MONOTONIC, 0, &t));
    while (!pending(SIGRTMIN)) sleep_ms(1);
    IS(take(SIGRTMIN, &i) == SIGRTMIN && i.si_code == SI_TIMER);
    SHOW(timer_delete(once));
    take(SIGRTMIN, &i);
    SHOW(kill(getpid(), SIGRTMIN));
    IS(take(SIGRTMIN, &i) == SIGRTMIN && i.si_code == SI_USER);
    take(SIGUSR1, &i);
    SHOW(setrlimit(RLIMIT_SIGPENDING, &old));
    SHOW(sigqueue(getpid(), SIGRTMIN, v));
    IS(take(SIGRTMIN, &i) == SIGRTMIN && i.si_code == SI_QUEUE);

    section("the interval timer rests until its signal is taken");
    struct itimerval it = { { 5, 0 }, { 0, 10000 } }, now;
    mask(SIG_BLOCK, SIGALRM);
    MUST(setitimer(ITIMER_REAL, &it, 0));
    sleep_until_pending(30, SIGALRM);
    getitimer(ITIMER_REAL, &now);
    IS(now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0 && now.it_interval.tv_sec == 5);
    IS(take(SIGALRM, &i) == SIGALRM);
    getitimer(ITIMER_REAL, &now);
    IS(now.it_value.tv_sec == 4);
    mask(SIG_UNBLOCK, SIGALRM);
    signal(SIGALRM, SIG_IGN);
    it.it_interval = (struct timeval){ 0, 10000 };
    MUST(setitimer(ITIMER_REAL, &it, 0));
    sleep_ms(30);
    count = 0;
    signal(SIGALRM, handler);
    sleep_ms(30);
    SHOW(count);
    it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
    SHOW(setitimer(ITIMER_REAL, &it, 0));
}

int main(void)
{
    signal(SIGALRM, handler);
    section("alarm");
    SHOW(alarm(100));
    IS(alarm(0) >= 99);
    SHOW(alarm(1));
    SHOW(pause());
    SHOW(count);

    section("setitimer");
    struct itimerval it = { { 0, 20000 }, { 0, 20000 } }, old;
    count = 0;
    SHOW(setitimer(ITIMER_REAL, &it, 0));
    while (count < 5) pause();
    it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
    SHOW(setitimer(ITIMER_REAL, &it, &old));
    IS(old.it_interval.tv_usec == 20000);
    int after = count;
    sleep_ms(60);
    IS(count == after);
    SHOW(getitimer(ITIMER_REAL, &old));
    IS(old.it_value.tv_usec == 0);
    SHOW(setitimer(99, &it, 0));
    it.it_value.tv_usec = 2000000;
    SHOW(setitimer(ITIMER_REAL, &it, 0));

    section("interrupts a spinning loop");
    count = 0;
    ualarm(20000, 0);
    while (!count) spun = 1;
    SHOW(count);

    section("timer_create");
    struct sigaction a = { .sa_sigaction = detailed, .sa_flags = SA_SIGINFO };
    sigaction(SIGUSR1, &a, 0);
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 77 };
    timer_t t;
    count = 0;
    SHOW(timer_create(CLOCK_MONOTONIC, &ev, &t));
    struct itimerspec its = { { 0, 0 }, { 0, 20000000 } }, cur;
    SHOW(timer_settime(t, 0, &its, 0));
    MUST(timer_gettime(t, &cur));
    IS(cur.it_value.tv_nsec > 0 && cur.it_value.tv_nsec <= 20000000);
    while (!count) sleep_ms(1);
    SHOW(value);
    SHOW(timer_getoverrun(t));
    clock_gettime(CLOCK_MONOTONIC, &its.it_value);
    its.it_value.tv_sec -= 1;
    count = 0;
    SHOW(timer_settime(t, TIMER_ABSTIME, &its, 0));
    while (!count) sleep_ms(1);
    its = (struct itimerspec){ { 0, 0 }, { 100, 0 } };
    SHOW(timer_settime(t, 0, &its, 0));
    SHOW(timer_delete(t));
    ev = (struct sigevent){ .sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 88 };
    ev.sigev_notify_function = notify;
    count = 0;
    SHOW(timer_create(CLOCK_REALTIME, &ev, &t));
    its = (struct itimerspec){ { 0, 0 }, { 0, 10000000 } };
    SHOW(timer_settime(t, 0, &its, 0));
    while (!count) sleep_ms(1);
    SHOW(value);
    SHOW(timer_delete(t));
    ev.sigev_notify = SIGEV_SIGNAL, ev.sigev_signo = 999;
    SHOW(timer_create(CLOCK_MONOTONIC, &ev, &t));
    overruns();
    return done();
}
