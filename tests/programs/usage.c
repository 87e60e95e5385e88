// What getrusage, /proc and getloadavg say of what a program has used.
//@ smp 2
//@ disk 16M
//@ timeout 90
#include "test.h"
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>

enum { MIB = 1 << 20 };

static struct rusage use(int who)
{
    struct rusage u;
    MUST(getrusage(who, &u));
    return u;
}
static void touch(size_t mib)
{
    char *p = mmap(0, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST((long)p);
    for (size_t i = 0; i < mib * MIB; i += 4096) p[i] = 1;
    MUST(munmap(p, mib * MIB));
}
static struct rusage mine;
static void *other(void *x)
{
    touch(4);
    // A sleep that is over when it begins is no switch.
    for (int i = 0; i < 2000 && use(RUSAGE_THREAD).ru_nvcsw < 10; i++) sleep_ms(1);
    mine = use(RUSAGE_THREAD);
    return x;
}
static volatile bool stop;
static void *spin(void *x)
{
    while (!stop) {}
    return x;
}
static unsigned long long stat_field(int n)
{
    char text[1024];
    int fd = MUST(open("/proc/self/stat", O_RDONLY));
    text[MUST(read(fd, text, sizeof text - 1))] = 0;
    close(fd);
    char *p = strrchr(text, ')') + 2;
    for (int i = 3; i < n; i++) p = strchr(p, ' ') + 1;
    return strtoull(p, 0, 10);
}

int main(void)
{
    pthread_t t, u;
    section("memory");
    struct rusage a = use(RUSAGE_SELF);
    touch(20);
    struct rusage b = use(RUSAGE_SELF);
    IS(b.ru_maxrss >= 20 * 1024 && b.ru_maxrss >= a.ru_maxrss);
    IS(b.ru_minflt > a.ru_minflt);
    touch(10);
    IS(use(RUSAGE_SELF).ru_maxrss < b.ru_maxrss + 10 * 1024);
    struct rusage none = use(RUSAGE_CHILDREN);
    IS(!none.ru_maxrss && !none.ru_minflt && !none.ru_nvcsw && !none.ru_utime.tv_usec);
    IS(stat_field(10) >= (unsigned long long)b.ru_minflt);

    section("of a thread that has ended");
    a = use(RUSAGE_SELF);
    MUST0(pthread_create(&t, 0, other, 0));
    MUST0(pthread_join(t, 0));
    b = use(RUSAGE_SELF);
    IS(mine.ru_minflt > 0 && mine.ru_nvcsw >= 10);
    IS(b.ru_minflt - a.ru_minflt >= mine.ru_minflt && b.ru_nvcsw - a.ru_nvcsw >= mine.ru_nvcsw);

    section("switches");
    a = use(RUSAGE_THREAD);
    int slept = 0;
    do {
        sleep_ms(1);
        b = use(RUSAGE_THREAD);
    } while (++slept < 2000 && b.ru_nvcsw - a.ru_nvcsw < 20);
    IS(b.ru_nvcsw - a.ru_nvcsw >= 20 && b.ru_nvcsw - a.ru_nvcsw < 3 * slept);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    MUST(sched_setaffinity(0, sizeof one, &one));
    MUST0(pthread_create(&t, 0, spin, 0));
    MUST0(pthread_create(&u, 0, spin, 0));
    // The two take each other's place.
    a = use(RUSAGE_SELF);
    for (int i = 0; i < 2000 && use(RUSAGE_SELF).ru_nivcsw < a.ru_nivcsw + 5; i++) sleep_ms(10);
    stop = true;
    MUST0(pthread_join(t, 0));
    MUST0(pthread_join(u, 0));
    IS(use(RUSAGE_SELF).ru_nivcsw >= a.ru_nivcsw + 5);

    section("files");
    enter_scratch();
    struct statfs fs;
    MUST(statfs(".", &fs));
    // Files in memory are not written anywhere.
    bool kept = fs.f_type != 0x01021994 && fs.f_type != 0x858458f6;
    a = use(RUSAGE_SELF);
    int fd = MUST(open("file", O_CREAT | O_RDWR, 0600));
    static char block[MIB];
    MUST(write(fd, block, sizeof block) == sizeof block ? 0 : -1);
    MUST(fsync(fd));
    b = use(RUSAGE_SELF);
    IS(!kept || b.ru_oublock - a.ru_oublock >= MIB / 512);
    MUST0(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    a = use(RUSAGE_SELF);
    volatile char *p = mmap(0, MIB, PROT_READ, MAP_SHARED, fd, 0);
    // Backwards, so that what is read ahead cannot be all of it.
    for (int at = MIB - 5; at > 0; at -= 4096) MUST(p[at] == 0 ? 0 : -1);
    b = use(RUSAGE_SELF);
    IS(!kept || b.ru_majflt > a.ru_majflt);
    IS(!kept || b.ru_inblock - a.ru_inblock >= 8);
    unlink("file");

    section("load");
    int64_t end = now_ns() + 12000000000;
    while (now_ns() < end) {}
    double load[3];
    SHOW(getloadavg(load, 3));
    IS(load[0] > 0.1);
    struct sysinfo i;
    MUST(sysinfo(&i));
    IS(i.loads[0] > 65536 / 10);
    FILE *f = fopen("/proc/loadavg", "r");
    double one_minute;
    int running, all;
    IS(f && fscanf(f, "%lf %*f %*f %d/%d", &one_minute, &running, &all) == 3);
    IS(one_minute > load[0] - 0.1 && one_minute < load[0] + 0.5 && running >= 1 && all >= running);
    return done();
}
