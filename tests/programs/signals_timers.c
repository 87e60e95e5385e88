// alarm, setitimer, timer_create: they fire, can be read, stopped and repeated.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static volatile int count, value, spun;
static void handler(int s) { (void)s; count++; }
static void detailed(int s, siginfo_t *i, void *u) { (void)s, (void)u; value = i->si_value.sival_int; count += i->si_code == SI_TIMER; }
static void notify(union sigval v) { value = v.sival_int; count++; }

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
    return done();
}
