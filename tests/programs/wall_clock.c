// Waits for a time of day end when the clock is set past it, and continue when it is set back. The program sets the
// clock, so it refuses to run outside a VM: run by root as a process, it would set the host's.
//@ shows settimeofday clock_settime adjtimex clock_adjtime
//@ hosted no
//@ args sets-the-clock
//@ smp 2
//@ timeout 120
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>

enum { HOUR = 3600 };
static struct timespec when;
static volatile int waiting, ended;
static pthread_mutex_t locked = PTHREAD_MUTEX_INITIALIZER;

static int sleeps(void) { return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &when, 0); }
static int waits_for_cond(void)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&m);
    return pthread_cond_timedwait(&c, &m, &when);
}
static int waits_for_mutex(void) { return pthread_mutex_timedlock(&locked, &when); }
static int waits_for_semaphore(void)
{
    sem_t s;
    sem_init(&s, 0, 0);
    return sem_timedwait(&s, &when) ? errno : 0;
}
static int waits_for_rwlock(void)
{
    pthread_rwlock_t l = PTHREAD_RWLOCK_INITIALIZER;
    pthread_rwlock_rdlock(&l);
    return pthread_rwlock_timedwrlock(&l, &when);
}
static int waits_in_futex(void)
{
    int word = 0;
    return syscall(SYS_futex, &word, 9 | 256, 0, &when, 0, ~0u) ? errno : 0;
}
static int polls_timerfd(void)
{
    int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
    struct itimerspec i = { { 0, 0 }, when };
    struct pollfd p = { fd, POLLIN, 0 };
    uint64_t n = 0;
    MUST(timerfd_settime(fd, TFD_TIMER_ABSTIME, &i, 0));
    int r = poll(&p, 1, -1);
    MUST(read(fd, &n, sizeof n));
    close(fd);
    return r == 1 && n == 1 ? 0 : -1;
}
static int takes_signal(void)
{
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
    struct itimerspec i = { { 0, 0 }, when };
    sigset_t s;
    timer_t t;
    MUST(timer_create(CLOCK_REALTIME, &ev, &t));
    MUST(timer_settime(t, TIMER_ABSTIME, &i, 0));
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    int r = sigwaitinfo(&s, 0);
    timer_delete(t);
    return r == SIGUSR1 ? 0 : -1;
}

static const struct {
    const char *name;
    int (*f)(void);
} waits[] = { { "clock_nanosleep", sleeps }, { "pthread_cond_timedwait", waits_for_cond }, { "pthread_mutex_timedlock", waits_for_mutex },
    { "sem_timedwait", waits_for_semaphore }, { "pthread_rwlock_timedwrlock", waits_for_rwlock }, { "futex", waits_in_futex },
    { "timerfd", polls_timerfd }, { "timer_create", takes_signal } };
enum { N = sizeof waits / sizeof *waits };

static void *waiter(void *n)
{
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    long r = waits[(long)n].f();
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
    return (void *)r;
}

/* Uses each of the calls for setting the clock in turn. */
static void step(long seconds)
{
    static int turn;
    struct timespec t;
    struct timeval tv;
    struct timex x = { .modes = ADJ_SETOFFSET };
    switch (turn++ % 3) {
    case 0:
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += seconds;
        MUST(clock_settime(CLOCK_REALTIME, &t));
        break;
    case 1:
        gettimeofday(&tv, 0);
        tv.tv_sec += seconds;
        MUST(settimeofday(&tv, 0));
        break;
    case 2:
        x.time.tv_sec = seconds;
        MUST(clock_adjtime(CLOCK_REALTIME, &x));
    }
}

static void all_wait_until(pthread_t *t, long seconds)
{
    waiting = ended = 0;
    clock_gettime(CLOCK_REALTIME, &when);
    when.tv_sec += seconds;
    for (long i = 0; i < N; i++) MUST0(pthread_create(&t[i], 0, waiter, (void *)i));
    while (waiting < N) sleep_ms(1);
    sleep_ms(100);
}

static void join(pthread_t *t)
{
    for (int i = 0; i < N; i++) {
        void *r;
        pthread_join(t[i], &r);
        printf("%s: %s\n", waits[i].name, (long)r > 0 ? errname((long)r) : (long)r < 0 ? "wrong" : "0");
    }
}

static void *relative(void *unused)
{
    (void)unused;
    struct timespec t = { 0, 500000000 };
    int64_t s = now_ns();
    clock_nanosleep(CLOCK_REALTIME, 0, &t, 0);
    return (void *)(now_ns() - s);
}

int main(int argc, char **argv)
{
    /* In a VM there is no parent. */
    if (argc != 2 || strcmp(argv[1], "sets-the-clock") || getppid() != 0) {
        printf("this sets the clock: only for a VM\n");
        return 2;
    }
    pthread_t t[N], r;
    sigset_t s;
    void *took;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, 0);
    pthread_mutex_lock(&locked);
    for (int i = 0; i < 3; i++) {
        printf("-- set past it, %d\n", i);
        all_wait_until(t, HOUR);
        SHOW(ended);
        int64_t start = now_ns();
        step(2 * HOUR);
        join(t);
        IS(now_ns() - start < 10000000000);
    }
    section("set back, then past it");
    all_wait_until(t, 1);
    step(-HOUR);
    sleep_ms(1500);
    SHOW(ended);
    step(HOUR);
    join(t);
    section("a length of time is no time of day");
    MUST0(pthread_create(&r, 0, relative, 0));
    sleep_ms(50);
    step(HOUR);
    pthread_join(r, &took);
    IS((int64_t)took >= 500000000);

    section("a timer that wants to know");
    int fd = MUST(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
    struct itimerspec i = { { 0, 0 }, { 0, 0 } };
    struct pollfd p = { fd, POLLIN, 0 };
    uint64_t n;
    clock_gettime(CLOCK_REALTIME, &i.it_value);
    i.it_value.tv_sec += 10 * HOUR;
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &i, 0));
    SHOW(poll(&p, 1, 0));
    SHOW(read(fd, &n, sizeof n));
    step(-HOUR);
    SHOW(poll(&p, 1, 0));
    SHOW(read(fd, &n, sizeof n));
    SHOW(read(fd, &n, sizeof n));
    step(-HOUR);
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &i, 0));
    SHOW(poll(&p, 1, 0));
    SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &i, 0));
    step(HOUR);
    SHOW(poll(&p, 1, 0));
    SHOW(timerfd_settime(fd, 4, &i, 0));

    section("what cannot be set");
    SHOW(clock_settime(CLOCK_REALTIME, &(struct timespec){ 0, 0 }));
    struct timex x = { .modes = ADJ_SETOFFSET, .time = { 0, 1000000 } };
    SHOW(adjtimex(&x));
    x = (struct timex){ .modes = ADJ_SETOFFSET, .time = { -100000000000, 0 } };
    SHOW(adjtimex(&x));
    x = (struct timex){ .modes = 0 };
    SHOW(adjtimex(&x));
    return done();
}
