// Clocks, sleeps, calendars and time zones.
//@ shows nanosleep clock_nanosleep clock_gettime clock_getres times sched_get_priority_max
//@ shows sched_get_priority_min
//@ smp 2
#include "test.h"
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

int main(void)
{
    struct timespec a, b, r;
    section("clocks");
    static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
        CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME };
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        int e = clock_gettime(clocks[i], &a), g = clock_getres(clocks[i], &r);
        printf("clock %d: %d %d valid %d\n", (int)clocks[i], e, g, a.tv_nsec >= 0 && a.tv_nsec < 1000000000 && r.tv_sec == 0 && r.tv_nsec > 0);
    }
    SHOW(clock_gettime(99, &a));
    SHOW(clock_gettime(CLOCK_MONOTONIC, &a));
    int backwards = 0;
    int64_t last = now_ns();
    for (int i = 0; i < 100000; i++) {
        int64_t n = now_ns();
        backwards += n < last;
        last = n;
    }
    SHOW(backwards);
    clock_gettime(CLOCK_REALTIME, &a);
    IS(a.tv_sec > 1700000000);
    struct timeval tv;
    SHOW(gettimeofday(&tv, 0));
    IS(labs(tv.tv_sec - a.tv_sec) <= 1);
    IS(labs((long)(time(0) - a.tv_sec)) <= 1);

    section("sleeps");
    int64_t s = now_ns();
    struct timespec t = { 0, 50000000 };
    SHOW(nanosleep(&t, 0));
    int64_t took = now_ns() - s;
    IS(took >= 50000000 && took < 2000000000);
    t.tv_nsec = 1000000000;
    SHOW(nanosleep(&t, 0));
    t = (struct timespec){ -1, 0 };
    SHOW(nanosleep(&t, 0));
    clock_gettime(CLOCK_MONOTONIC, &a);
    a.tv_nsec += 30000000;
    if (a.tv_nsec >= 1000000000) a.tv_sec++, a.tv_nsec -= 1000000000;
    SHOWE(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, 0));
    clock_gettime(CLOCK_MONOTONIC, &b);
    IS(b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
    SHOWE(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, 0));
    SHOWE(clock_nanosleep(99, 0, &t, 0));

    section("clocks that there are not, and what cannot wait for a clock");
    /* Among them a nonexistent kind of thread clock, and a descriptor that is not a clock. */
    static const clockid_t strange[] = { CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, 10, 12, 15, 99, -1, -5 };
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        struct sigevent ev = { .sigev_notify = SIGEV_NONE };
        timer_t timer;
        printf("clock %d\n", (int)strange[i]);
        SHOW(clock_gettime(strange[i], &a));
        SHOW(clock_getres(strange[i], &a));
        SHOW(timer_create(strange[i], &ev, &timer));
        t = (struct timespec){ 0, 1 };
        SHOWE(clock_nanosleep(strange[i], 0, &t, 0));
        SHOW(timerfd_create(strange[i], 0));
        SHOW(clock_settime(strange[i], &a));
    }
    /* An invalid time is not checked if there is no such clock. */
    t.tv_nsec = -1;
    SHOWE(clock_nanosleep(99, 0, &t, 0));
    SHOWE(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, 0));
    SHOW(clock_settime(CLOCK_REALTIME, &t));

    section("priorities");
    for (int policy = -1; policy <= 6; policy++) {
        SHOW(sched_get_priority_min(policy));
        SHOW(sched_get_priority_max(policy));
    }
    SHOW(sched_get_priority_max(99));

    section("processor time");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    s = now_ns();
    volatile long x = 0;
    while (now_ns() - s < 100000000) x++;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    int64_t cpu = (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec;
    IS(cpu > 5000000 && cpu < 1000000000);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    sleep_ms(100);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    cpu = (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec;
    IS(cpu >= 0 && cpu < 50000000);
    IS(clock() > 0);
    struct tms tms;
    IS(times(&tms) != (clock_t)-1);

    section("calendar");
    time_t when = 1700000000;
    struct tm tm;
    char buf[100];
    gmtime_r(&when, &tm);
    strftime(buf, sizeof buf, "%Y-%m-%d %H:%M:%S %a %j", &tm);
    printf("%s\n", buf);
    SHOW(timegm(&tm));
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    localtime_r(&when, &tm);
    strftime(buf, sizeof buf, "%c %Z %z", &tm);
    printf("%s\n", buf);
    when = 1690000000;
    localtime_r(&when, &tm);
    strftime(buf, sizeof buf, "%c %Z %z", &tm);
    printf("%s dst %d\n", buf, tm.tm_isdst);
    SHOW(mktime(&tm));
    setenv("TZ", "UTC0", 1);
    printf("%s", asctime(gmtime(&when)));
    return done();
}
