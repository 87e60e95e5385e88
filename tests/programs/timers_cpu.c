// Timers and sleeps by processor time: timer_create, setitimer, clock_nanosleep.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define MS 1000000L

static volatile sig_atomic_t count, code, overrun, on_main;
static volatile bool stop;
static pthread_t main_thread;

static void note(int s, siginfo_t *i, void *c)
{
    (void)s, (void)c;
    count++;
    code = i->si_code;
    overrun += i->si_code == SI_TIMER ? i->si_overrun : 0;
    on_main += pthread_self() == main_thread;
}
static void *worker(void *ms)
{
    compute_ms((long)ms);
    return 0;
}
static volatile pid_t spinner_tid;
static void *spinner(void *x)
{
    spinner_tid = syscall(SYS_gettid);
    while (!stop) {}
    return x;
}
static timer_t timer(clockid_t c, int signo)
{
    timer_t t;
    struct sigevent e = { .sigev_notify = signo ? SIGEV_SIGNAL : SIGEV_NONE, .sigev_signo = signo };
    MUST(timer_create(c, &e, &t));
    return t;
}
static void set(timer_t t, long ms, long every, int flags)
{
    struct itimerspec s = { { every / 1000, every % 1000 * MS }, { ms / 1000, ms % 1000 * MS } };
    count = overrun = on_main = 0;
    MUST(timer_settime(t, flags, &s, 0));
}
static long left_ms(timer_t t)
{
    struct itimerspec s;
    MUST(timer_gettime(t, &s));
    return s.it_value.tv_sec * 1000 + s.it_value.tv_nsec / MS;
}

int main(void)
{
    struct sigaction a = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART };
    static const int signals[] = { SIGUSR1, SIGPROF, SIGVTALRM };
    for (int i = 0; i < 3; i++) MUST(sigaction(signals[i], &a, 0));
    main_thread = pthread_self();
    pthread_t th;

    section("a timer of the process");
    timer_t t = timer(CLOCK_PROCESS_CPUTIME_ID, SIGUSR1);
    set(t, 60, 0, 0);
    sleep_ms(150);
    // No processor time was used.
    IS(count == 0 && left_ms(t) > 30);
    int64_t before = used_ns(CLOCK_PROCESS_CPUTIME_ID);
    while (!count) {}
    int64_t took = used_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
    IS(took >= 30 * MS && took < 150 * MS);
    IS(count == 1 && code == SI_TIMER && left_ms(t) == 0);
    compute_ms(100);
    IS(count == 1);
    section("again and again");
    set(t, 20, 20, 0);
    compute_ms(300);
    set(t, 0, 0, 0);
    compute_ms(30);
    SHOW(count);
    set(t, 20, 20, 0);
    int n = count + overrun;
    compute_ms(300);
    n = count + overrun;
    IS(n >= 10 && n <= 16);
    IS(left_ms(t) <= 20);
    section("an absolute time");
    set(t, used_ns(CLOCK_PROCESS_CPUTIME_ID) / MS + 50, 0, TIMER_ABSTIME);
    compute_ms(20);
    IS(count == 0);
    compute_ms(100);
    IS(count == 1);
    set(t, 1, 0, TIMER_ABSTIME);
    while (!count) {}
    IS(count == 1);
    section("another thread's work counts");
    set(t, 60, 0, 0);
    MUST0(pthread_create(&th, 0, worker, (void *)150L));
    MUST0(pthread_join(th, 0));
    IS(count == 1);
    MUST(timer_delete(t));

    section("a timer of the thread");
    t = timer(CLOCK_THREAD_CPUTIME_ID, SIGUSR1);
    set(t, 60, 0, 0);
    MUST0(pthread_create(&th, 0, worker, (void *)150L));
    MUST0(pthread_join(th, 0));
    IS(count == 0 && left_ms(t) > 30);
    compute_ms(150);
    IS(count == 1);
    MUST(timer_delete(t));
    section("of another thread");
    clockid_t c;
    MUST0(pthread_create(&th, 0, spinner, 0));
    MUST0(pthread_getcpuclockid(th, &c));
    t = timer(c, SIGUSR1);
    set(t, 60, 0, 0);
    for (int i = 0; i < 5000 && !count; i++) sleep_ms(1);
    IS(count == 1);
    section("SIGPROF comes to who works");
    struct itimerval it = { { 0, 10000 }, { 0, 10000 } }, old;
    count = on_main = 0;
    MUST(setitimer(ITIMER_PROF, &it, 0));
    // The main thread sleeps.
    for (int i = 0; i < 20 && count < 20; i++) sleep_ms(500);
    IS(count >= 20 && code == SI_KERNEL);
    IS(on_main <= count / 4);
    MUST(getitimer(ITIMER_PROF, &it));
    IS(it.it_interval.tv_usec == 10000 && it.it_value.tv_sec == 0 && it.it_value.tv_usec <= 10000);
    SHOW(setitimer(ITIMER_PROF, &(struct itimerval){ 0 }, &old));
    IS(old.it_interval.tv_usec == 10000);
    MUST(getitimer(ITIMER_PROF, &it));
    IS(!it.it_interval.tv_usec && !it.it_value.tv_usec);
    stop = true;
    MUST0(pthread_join(th, 0));
    // Linux tells the joining thread first, and lets the thread go a moment later.
    while (syscall(SYS_tgkill, getpid(), spinner_tid, 0) == 0) sleep_ms(1);
    struct itimerspec none_left = { 0 };
    SHOW(timer_settime(t, 0, &none_left, 0));
    SHOW(left_ms(t));
    MUST(timer_delete(t));
    section("the user's time");
    count = 0;
    it = (struct itimerval){ { 0, 0 }, { 0, 50000 } };
    SHOW(setitimer(ITIMER_VIRTUAL, &it, 0));
    volatile long sum = 0;
    while (!count) sum++;
    compute_ms(100);
    SHOW(count);
    SHOW(getitimer(ITIMER_VIRTUAL, &it));
    SHOW(it.it_value.tv_usec);
    SHOW(setitimer(3, &it, 0));
    SHOW(getitimer(-1, &it));

    section("one without a signal");
    t = timer(CLOCK_PROCESS_CPUTIME_ID, 0);
    set(t, 1000, 0, 0);
    compute_ms(100);
    IS(left_ms(t) < 950 && left_ms(t) > 500);
    MUST(timer_delete(t));

    section("sleeping");
    struct timespec d = { 0, 40 * MS }, rem = { 9, 9 };
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &d, &rem));
    MUST0(pthread_getcpuclockid(pthread_self(), &c));
    SHOW(syscall(SYS_clock_nanosleep, c, 0, &d, &rem));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &d, &rem));
    stop = false;
    MUST0(pthread_create(&th, 0, spinner, 0));
    before = used_ns(CLOCK_PROCESS_CPUTIME_ID);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &d, &rem));
    IS(used_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= 40 * MS);
    before = used_ns(CLOCK_PROCESS_CPUTIME_ID) + 40 * MS;
    d = (struct timespec){ before / 1000000000, before % 1000000000 };
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &d, &rem));
    IS(used_ns(CLOCK_PROCESS_CPUTIME_ID) >= before);
    MUST0(pthread_getcpuclockid(th, &c));
    d = (struct timespec){ 0, 40 * MS };
    SHOW(syscall(SYS_clock_nanosleep, c, 0, &d, &rem));
    // Interrupted by a signal: the remaining time is returned.
    t = timer(CLOCK_MONOTONIC, SIGUSR1);
    d = (struct timespec){ 1000, 0 };
    // Repeating: the first signal may come before the sleep begins.
    set(t, 50, 50, 0);
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &d, &rem));
    set(t, 0, 0, 0);
    IS(rem.tv_sec < 1000 && rem.tv_sec > 900);
    stop = true;
    MUST0(pthread_join(th, 0));
    section("a thread that has ended");
    before = used_ns(CLOCK_PROCESS_CPUTIME_ID);
    int64_t begin = now_ns();
    MUST0(pthread_create(&th, 0, worker, (void *)100));
    MUST0(pthread_join(th, 0));
    int64_t both = used_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
    IS(both >= 100 * MS);
    // Only one of the two was running at a time: its time counts once.
    IS(both <= now_ns() - begin + 20 * MS);
    section("clocks that are not");
    struct sigevent none = { .sigev_notify = SIGEV_NONE };
    SHOW(syscall(SYS_timer_create, ~(1 << 28) << 3 | 2, &none, &t));
    SHOW(syscall(SYS_timer_create, ~(1 << 28) << 3 | 6, &none, &t));
    SHOW(syscall(SYS_timer_create, -1, &none, &t));
    SHOW(syscall(SYS_timer_create, CLOCK_MONOTONIC_RAW, &none, &t));
    SHOW(syscall(SYS_timerfd_create, CLOCK_PROCESS_CPUTIME_ID, 0));
    return done();
}
