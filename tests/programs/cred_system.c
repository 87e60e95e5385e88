//@ shows setpriority
//@ user root
/* What else only root may do: limits, priorities, clocks, the root directory. Everything here runs unprivileged and is
   refused. */
#include "cred.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timex.h>

static long limit(int which, rlim_t soft, rlim_t hard)
{
    struct rlimit r = { soft, hard };
    return setrlimit(which, &r);
}

int main(void)
{
    MUST(limit(RLIMIT_MEMLOCK, 64 << 10, 64 << 10));
    MUST(limit(RLIMIT_CORE, 0, 1000));
    MUST(limit(RLIMIT_NICE, 0, 0));
    MUST(setgroups(0, 0));
    MUST(setgid(WWW));
    MUST(setuid(WWW));
    if (geteuid() != WWW || !setuid(0)) return 99;
    STATUS("CapEff");
    STATUS("CapPrm");

    section("limits");
    SHOW(limit(RLIMIT_CORE, 500, 1000));
    SHOW(limit(RLIMIT_CORE, 500, 1001));
    SHOW(limit(RLIMIT_CORE, 1001, 1000));
    SHOW(limit(RLIMIT_CORE, 100, 100));
    SHOW(limit(RLIMIT_CORE, 100, 1000));

    section("locked memory");
    char *m = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(mlock(m, 64 << 10));
    SHOW(mlock(m, 128 << 10));
    SHOW(munlock(m, 64 << 10));
    SHOW(mlockall(MCL_CURRENT));
    IS(mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED && errno == EAGAIN);
    SHOW(limit(RLIMIT_MEMLOCK, 0, 0));
    SHOW(mlock(m, 4096));

    section("priorities");
    SHOW(setpriority(PRIO_PROCESS, 0, 18));
    SHOW(setpriority(PRIO_PROCESS, 0, 17));
    SHOW(setpriority(PRIO_PROCESS, 0, -1));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(getpriority(PRIO_USER, WWW));
    SHOW(getpriority(PRIO_USER, 54321));
    struct sched_param p = { 1 };
    SHOW(sched_setscheduler(0, SCHED_FIFO, &p));
    SHOW(sched_setscheduler(0, SCHED_RR, &p));

    section("clocks");
    struct timeval tv = { 1000000000, 0 }, bad = { 1000000000, 1000000 };
    struct timespec ts = { 1000000000, 0 };
    SHOW(settimeofday(&tv, 0));
    SHOW(settimeofday(&bad, 0));
    SHOW(clock_settime(CLOCK_REALTIME, &ts));
    SHOW(clock_settime(CLOCK_MONOTONIC, &ts));
    struct timex x = { .modes = 0 };
    IS(adjtimex(&x) >= 0);
    x.modes = ADJ_SETOFFSET;
    SHOW(adjtimex(&x));

    section("names and roots");
    SHOW(sethostname("x", 1));
    SHOW(chroot("/"));
    SHOW(chroot("/none"));
    SHOW(mount("none", "/", "tmpfs", 0, 0));
    SHOW(umount2("/", 0));

    section("signals");
    SHOW(kill(getpid(), 0));
    SHOW(kill(0x3ffffff0, 0));
    SHOW(kill(1, 0));
    SHOW(sigqueue(1, 0, (union sigval){ 0 }));
    SHOW(kill(-getpgrp(), 0));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    MUST0(sigprocmask(SIG_BLOCK, &set, 0) ? errno : 0);
    SHOW(kill(getpid(), SIGUSR1));
    siginfo_t info;
    SHOW(sigwaitinfo(&set, &info));
    printf("from user %d\n", (int)info.si_uid);

    section("/proc/self");
    struct stat s;
    static const char *const names[] = { "", "/status", "/environ", "/fd", "/task", "/comm" };
    for (int dumpable = 0; dumpable < 2; dumpable++) {
        SHOW(prctl(PR_GET_DUMPABLE));
        for (int i = 0; i < 6; i++) {
            char name[64];
            snprintf(name, sizeof name, "/proc/self%s", names[i]);
            /* Follow the link itself. */
            if (!*names[i]) strcat(name, "/");
            MUST(stat(name, &s));
            int fd = open(name, O_RDONLY);
            printf("%s %o %d:%d %s\n", name, (unsigned)s.st_mode, (int)s.st_uid, (int)s.st_gid, fd < 0 ? errname(errno) : "opens");
            close(fd);
        }
        int fd = open("/proc/self/comm", O_WRONLY);
        printf("comm: %s\n", fd < 0 ? errname(errno) : "opens");
        close(fd);
        SHOW(open("/proc/sys/kernel/pid_max", O_WRONLY));
        MUST(prctl(PR_SET_DUMPABLE, 1));
    }
    return done();
}
