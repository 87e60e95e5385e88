// Facts about the system that agree everywhere: uname, sysconf, limits, identities, random numbers, auxiliary vector.
//@ shows getpid getppid getpgid getsid getrusage getpriority uname sched_yield sched_setaffinity
//@ shows sched_getaffinity getegid sysinfo
//@ smp 2
#include "test.h"
#include <sched.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

int main(void)
{
    struct utsname u;
    SHOW(uname(&u));
    printf("%s %s\n", u.sysname, u.machine);
    IS(u.release[0] >= '3' && u.release[0] <= '9');
    SHOW(sysconf(_SC_PAGESIZE));
    SHOW(sysconf(_SC_CLK_TCK));
    SHOW(sysconf(_SC_IOV_MAX));
    IS(sysconf(_SC_NPROCESSORS_ONLN) >= 1 && sysconf(_SC_NPROCESSORS_CONF) >= sysconf(_SC_NPROCESSORS_ONLN));
    IS(sysconf(_SC_PHYS_PAGES) > 1000);
    IS(sysconf(_SC_AVPHYS_PAGES) > 100);
    IS(sysconf(_SC_OPEN_MAX) >= 256);
    cpu_set_t cpus;
    IS(sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) >= 1);
    SHOW(sched_setaffinity(0, sizeof cpus, &cpus));
    CPU_ZERO(&cpus);
    SHOW(sched_setaffinity(0, sizeof cpus, &cpus));
    IS(sched_getcpu() >= 0);
    SHOW(sched_yield());
    struct sysinfo si;
    IS(sysinfo(&si) == 0 && si.totalram > 0 && si.freeram <= si.totalram && si.mem_unit >= 1);

    section("limits");
    struct rlimit r;
    static const int limits[] = { RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_DATA, RLIMIT_AS, RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_FSIZE };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) IS(getrlimit(limits[i], &r) == 0 && r.rlim_cur <= r.rlim_max);
    SHOW(getrlimit(99, &r));
    r = (struct rlimit){ 100, 50 };
    SHOW(setrlimit(RLIMIT_NOFILE, &r));
    struct rusage ru;
    IS(getrusage(RUSAGE_SELF, &ru) == 0 && ru.ru_maxrss > 0);
    IS(getpriority(PRIO_PROCESS, 0) >= -20);

    section("identity");
    IS(getuid() == geteuid() && getgid() == getegid());
    IS(getpid() > 0 && getppid() >= 0);
    IS(getpgrp() >= 0 && getsid(0) >= 0);
    SHOW(setuid(getuid()));
    SHOW(setgid(getgid()));
    gid_t groups[100];
    IS(getgroups(100, groups) >= 0);

    section("random");
    unsigned char a[256], b[256];
    SHOW(getrandom(a, 256, 0));
    SHOW(getrandom(b, 256, GRND_NONBLOCK));
    IS(memcmp(a, b, 256) != 0);
    SHOW(getrandom(a, 0, 0));
    SHOW(getrandom(a, 10, 0x80));
    SHOW(getentropy(a, 256));
    SHOW(getentropy(a, 257));
    int bits = 0;
    for (int i = 0; i < 256; i++) bits += __builtin_popcount(b[i]);
    IS(bits > 850 && bits < 1200);

    section("auxiliary vector");
    SHOW(getauxval(AT_PAGESZ));
    IS(getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 3);
    SHOW(getauxval(AT_PHENT));
    SHOW(getauxval(AT_SECURE));
    IS(getauxval(AT_RANDOM) != 0);
    IS(getauxval(AT_UID) == getuid());
    IS(getauxval(AT_ENTRY) != 0);
    SHOW(getauxval(9999));
    return done();
}
