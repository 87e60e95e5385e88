// eventfd, timerfd and signalfd.
//@ shows eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd4
//@ smp 2
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

static int ev;
static void *late(void *arg) { (void)arg; sleep_ms(30); eventfd_write(ev, 5); return 0; }

int main(void)
{
    uint64_t v;
    section("eventfd");
    ev = (int)MUST(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
    SHOW(read(ev, &v, 4));
    SHOW(read(ev, &v, 8));
    SHOW(v);
    SHOW(read(ev, &v, 8));
    v = 7;
    SHOW(write(ev, &v, 8));
    SHOW(write(ev, &v, 8));
    SHOW(read(ev, &v, 8));
    SHOW(v);
    v = UINT64_MAX;
    SHOW(write(ev, &v, 8));
    v = UINT64_MAX - 1;
    SHOW(write(ev, &v, 8));
    v = 1;
    SHOW(write(ev, &v, 8));
    struct pollfd f = { ev, POLLIN | POLLOUT, 0 };
    SHOW(poll(&f, 1, 0));
    SHOW(f.revents);
    close(ev);
    ev = (int)MUST(eventfd(2, EFD_SEMAPHORE));
    SHOW(read(ev, &v, 8));
    SHOW(v);
    SHOW(read(ev, &v, 8));
    pthread_t t;
    MUST0(pthread_create(&t, 0, late, 0));
    SHOW(read(ev, &v, 8));
    SHOW(v);
    pthread_join(t, 0);
    SHOW(eventfd(0, 0x40));

    section("timerfd");
    int tf = (int)MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    SHOW(read(tf, &v, 8));
    struct itimerspec its = { .it_value = { 0, 30000000 } }, cur;
    SHOW(timerfd_settime(tf, 0, &its, 0));
    MUST(timerfd_gettime(tf, &cur));
    IS(cur.it_value.tv_sec == 0 && cur.it_value.tv_nsec > 0 && cur.it_interval.tv_nsec == 0);
    f = (struct pollfd){ tf, POLLIN, 0 };
    int64_t s = now_ns();
    SHOW(poll(&f, 1, 5000));
    IS(now_ns() - s > 20000000);
    SHOW(read(tf, &v, 8));
    SHOW(v);
    its = (struct itimerspec){ { 0, 10000000 }, { 0, 10000000 } };
    SHOW(timerfd_settime(tf, 0, &its, 0));
    sleep_ms(100);
    SHOW(read(tf, &v, 8));
    IS(v >= 8 && v < 200);
    its = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
    SHOW(timerfd_settime(tf, 0, &its, &cur));
    IS(cur.it_interval.tv_nsec == 10000000);
    MUST(timerfd_gettime(tf, &cur));
    IS(cur.it_value.tv_nsec == 0);
    SHOW(poll(&f, 1, 30));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rt = (int)MUST(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC));
    its = (struct itimerspec){ { 0, 0 }, { now.tv_sec - 10, 0 } };
    SHOW(timerfd_settime(rt, TFD_TIMER_ABSTIME, &its, 0));
    SHOW(read(rt, &v, 8));
    SHOW(v);
    its.it_value.tv_nsec = 2000000000;
    SHOW(timerfd_settime(rt, 0, &its, 0));
    SHOW(timerfd_settime(ev, 0, &its, 0));
    SHOW(timerfd_create(99, 0));
    SHOW(write(tf, &v, 8));

    section("signalfd");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
    int sf = (int)MUST(signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo si;
    SHOW(read(sf, &si, sizeof si));
    f = (struct pollfd){ sf, POLLIN, 0 };
    SHOW(poll(&f, 1, 0));
    MUST(kill(getpid(), SIGUSR2));
    MUST(kill(getpid(), SIGUSR1));
    SHOW(poll(&f, 1, 1000));
    SHOW(read(sf, &si, sizeof si));
    SHOW(si.ssi_signo);
    IS(si.ssi_pid == (uint32_t)getpid());
    SHOW(read(sf, &si, sizeof si));
    SHOW(si.ssi_signo);
    SHOW(read(sf, &si, sizeof si));
    SHOW(read(sf, &si, 8));
    return done();
}
