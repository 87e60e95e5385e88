// What tools read in /proc and /sys: the formats are Linux's, and the figures fit together and change with what the
// program does.
//@ smp 2
#include "test.h"
#include <dirent.h>
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/vfs.h>

static char *text(const char *path)
{
    static char buf[6][1 << 17];
    static int next;
    char *b = buf[next++ % 6];
    int fd = open(path, O_RDONLY);
    if (fd < 0) return strcpy(b, errname(errno));
    ssize_t all = 0, n;
    while ((n = read(fd, b + all, sizeof *buf - 1 - (size_t)all)) > 0) all += n;
    if (n < 0) strcpy(b, errname(errno)), all = (ssize_t)strlen(b);
    b[all] = 0;
    close(fd);
    return b;
}

// The number in the line of `t` that begins with `name`; -1: there is none.
static long value(const char *t, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = t; p; p = strchr(p, '\n'), p = p ? p + 1 : 0)
        if (!strncmp(p, name, n)) return strtol(p + n, 0, 10);
    return -1;
}

// One mapping as maps shows it.
static struct line { unsigned long start, end, offset, ino; char rights[5], name[512]; unsigned major, minor; size_t column; } m;

static bool parse(const char *p)
{
    int name = 0, head = 0;
    m.name[0] = 0;
    const char *eol = strchr(p, '\n');
    if (sscanf(p, "%lx-%lx %4s %lx %x:%x %lu%n", &m.start, &m.end, m.rights, &m.offset, &m.major, &m.minor, &m.ino, &head) != 7) return false;
    // A blank follows even where there is no name.
    if (p[head] != ' ') return false;
    for (name = head; p[name] == ' ';) name++;
    m.column = (size_t)name;
    if (p[name] != '\n') snprintf(m.name, sizeof m.name, "%.*s", (int)(eol - p - name), p + name);
    else m.column = 0;
    return true;
}

// The line of the mapping at `at` in `t`; in smaps, the lines below it follow.
static const char *at(const char *t, const void *at)
{
    for (const char *p = t; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : 0)
        if (strchr("0123456789abcdef", *p) && strchr(p, '-') && parse(p) && m.start <= (uintptr_t)at && m.end > (uintptr_t)at) return p;
    return 0;
}

static long of_mapping(const void *where, const char *name)
{
    const char *p = at(text("/proc/self/smaps"), where);
    return p ? value(p, name) : -1;
}

static void mappings(void)
{
    section("mappings");
    char *a = mmap(0, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(mprotect(a, 4096, PROT_READ));
    MUST(mprotect(a + 60 * 1024, 4096, PROT_NONE));
    char *middle = a + 4096;
    SHOW(of_mapping(middle, "Size:"));
    SHOW(of_mapping(middle, "Rss:"));
    memset(middle, 1, 3 * 4096);
    IS(of_mapping(middle, "Rss:") >= 12);
    IS(of_mapping(middle, "Rss:") == of_mapping(middle, "Anonymous:"));
    IS(of_mapping(middle, "Rss:") == of_mapping(middle, "Private_Dirty:"));
    IS(of_mapping(middle, "Pss:") == of_mapping(middle, "Rss:"));
    SHOW(of_mapping(middle, "Locked:"));
    SHOW(of_mapping(middle, "KernelPageSize:"));
    SHOW(of_mapping(middle, "Swap:"));
    MUST(madvise(middle, 4 * 4096, MADV_DONTNEED));
    IS(of_mapping(middle, "Rss:") < 64);
    const char *p = at(text("/proc/self/smaps"), middle);
    IS(p && strstr(p, "VmFlags: rd wr mr mw me ac "));
    IS(at(text("/proc/self/maps"), middle) && !strcmp(m.rights, "rw-p") && m.start == (uintptr_t)middle && !m.ino && !m.major && !m.name[0]);
    IS(at(text("/proc/self/maps"), a) && !strcmp(m.rights, "r--p"));
    IS(at(text("/proc/self/maps"), a + 60 * 1024) && !strcmp(m.rights, "---p"));

    int fd = MUST(open("mapped\nfile", O_RDWR | O_CREAT, 0600));
    struct stat st;
    MUST(ftruncate(fd, 3 * 4096));
    MUST(fstat(fd, &st));
    char *f = mmap(0, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    SHOW(of_mapping(f, "Rss:"));
    f[0] = 1;
    IS(at(text("/proc/self/maps"), f) && !strcmp(m.rights, "rw-s") && m.offset == 4096 && m.ino == st.st_ino);
    IS(m.major == (st.st_dev >> 8 & 0xfff) && m.minor == (st.st_dev & 0xff));
    IS(strlen(m.name) > 12 && !strcmp(m.name + strlen(m.name) - 14, "mapped\\012file"));
    SHOW(m.column);
    IS(of_mapping(f, "Rss:") >= 4);
    SHOW(of_mapping(f, "Anonymous:"));
    unlink("mapped\nfile");
    IS(at(text("/proc/self/maps"), f) && strstr(m.name, "file (deleted)"));
    char *shared = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[0] = 1;
    IS(at(text("/proc/self/maps"), shared) && !strcmp(m.rights, "rw-s"));
    SHOW(m.name[0] ? strcmp(m.name, "/dev/zero (deleted)") : 99);
    SHOW(of_mapping(shared, "Anonymous:"));
    int local;
    IS(at(text("/proc/self/maps"), &local) && !strcmp(m.name, "[stack]"));
    // The program's own code and variables are in its file.
    char exe[PATH_MAX];
    exe[MUST(readlink("/proc/self/exe", exe, sizeof exe - 1))] = 0;
    IS(at(text("/proc/self/maps"), (void *)(uintptr_t)mappings) && !strcmp(m.name, exe) && !strcmp(m.rights, "r-xp"));

    const char *all = text("/proc/self/smaps_rollup");
    IS(strstr(all, " ---p 00000000 00:00 0 ") && strstr(all, " [rollup]\nRss: "));
    IS(value(all, "Rss:") > 0 && value(all, "Pss:") > 0 && value(all, "Locked:") == 0);
    MUST(munmap(a, 64 << 10));
    MUST(munmap(f, 8192));
    MUST(munmap(shared, 8192));
    close(fd);

    uint64_t entry[3] = { 1, 1, 1 };
    int map = MUST(open("/proc/self/pagemap", O_RDONLY));
    char *pages = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(madvise(pages, 3 * 4096, MADV_NOHUGEPAGE));
    pages[4096] = 1;
    SHOW(pread(map, entry, 24, (off_t)((uintptr_t)pages / 4096 * 8)));
    IS(entry[1] >> 63 && !(entry[1] >> 61 & 1));
    IS(!(entry[0] >> 63));
    SHOW(pread(map, entry, 8, 3));
    SHOW(pread(map, entry, 7, 8));
    close(map);
}

static void process(void)
{
    section("process");
    Elf64_auxv_t aux[64];
    int fd = MUST(open("/proc/self/auxv", O_RDONLY));
    ssize_t n = MUST(read(fd, aux, sizeof aux));
    close(fd);
    IS(n % 16 == 0 && n >= 160 && aux[n / 16 - 1].a_type == AT_NULL);
    bool same = true;
    static const unsigned long types[] = { AT_PHDR, AT_PHNUM, AT_ENTRY, AT_PAGESZ, AT_RANDOM, AT_HWCAP, AT_EXECFN };
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        int i = 0;
        while (aux[i].a_type && aux[i].a_type != types[t]) i++;
        same = same && aux[i].a_type && getauxval(types[t]) == aux[i].a_un.a_val;
    }
    IS(same);
    SHOW(getauxval(AT_PAGESZ));

    char *s = text("/proc/self/status");
    IS(value(s, "Tgid:") == getpid() && value(s, "Pid:") == getpid() && value(s, "Threads:") == 1);
    IS(value(s, "VmSize:") >= value(s, "VmRSS:") && value(s, "VmRSS:") > 0);
    IS(value(s, "VmRSS:") == value(s, "RssAnon:") + value(s, "RssFile:") + value(s, "RssShmem:"));
    IS(value(s, "VmStk:") > 0 && value(s, "VmExe:") > 0 && value(s, "VmData:") > 0);
    SHOW(value(s, "VmSwap:"));
    SHOW(value(s, "Seccomp:"));
    IS(value(s, "voluntary_ctxt_switches:") >= 0 && value(s, "nonvoluntary_ctxt_switches:") >= 0);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, (void (*)(int))process);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
    MUST(kill(getpid(), SIGTERM));
    MUST0(pthread_kill(pthread_self(), SIGINT));
    s = text("/proc/self/status");
    IS(strstr(s, "\nSigPnd:\t0000000000000002\n"));
    IS(strstr(s, "\nShdPnd:\t0000000000004000\n"));
    IS(strstr(s, "\nSigBlk:\t0000000000004002\n"));
    IS(strtoul(strstr(s, "\nSigIgn:") + 9, 0, 16) >> 9 & 1);
    IS(strstr(s, "\nSigCgt:\t0000000000000800\n"));
    IS(value(s, "SigQ:") >= 2);

    // stat has 52 fields.
    s = strrchr(text("/proc/self/stat"), ')');
    int fields = 2;
    for (char *p = s; (p = strchr(p, ' ')); p++) fields++;
    SHOW(fields);
    long size = 0, pages = 0;
    SHOW(sscanf(s, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %ld %ld", &size, &pages));
    IS(size > 4096 && pages > 0 && pages * 4096 <= size);
    long v[7];
    SHOW(sscanf(text("/proc/self/statm"), "%ld %ld %ld %ld %ld %ld %ld", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6));
    IS(v[0] * 4096 == size && v[1] > 0 && v[1] <= v[0] && v[2] <= v[1] && v[3] > 0 && !v[4] && v[5] > 0 && !v[6]);

    SHOW(value(text("/proc/self/oom_score_adj"), ""));
    IS(!strcmp(text("/proc/self/personality"), "00000000\n"));
    SHOW(strlen(text("/proc/self/wchan")));
    SHOW(value(text("/proc/self/timerslack_ns"), ""));
    IS(strstr(text("/proc/self/cgroup"), ":/"));
    char *mount = strstr(text("/proc/self/mountinfo"), " /proc ");
    IS(mount && !strncmp(mount, " /proc rw", 9) && strstr(mount, " - proc proc rw"));
    int id, parent, ends = 0;
    unsigned major, minor;
    SHOW(sscanf(text("/proc/self/mountinfo"), "%d %d %u:%u /%*s %n", &id, &parent, &major, &minor, &ends));
    static const char *const names[] = { "auxv", "cgroup", "cmdline", "comm", "environ", "limits", "maps", "mountinfo", "mounts", "smaps", "smaps_rollup", "stat", "statm", "status", "wchan" };
    int missing = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[100];
        snprintf(path, sizeof path, "/proc/self/task/%d/%s", getpid(), names[i]);
        missing += access(path, R_OK) != 0;
    }
    SHOW(missing);
}

static void descriptors(void)
{
    section("descriptors");
    char name[64];
    int fd = MUST(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    MUST(lseek(fd, 100, SEEK_SET));
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    char *t = text(name);
    struct stat st;
    MUST(fstat(fd, &st));
    SHOW(value(t, "pos:"));
    IS(strstr(t, "flags:\t02100000\n") || strstr(t, "flags:\t02000000\n"));
    IS(value(t, "mnt_id:") >= 0 && value(t, "ino:") == (long)st.st_ino);
    int counter = MUST(eventfd(0x1f, EFD_SEMAPHORE));
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", counter);
    t = text(name);
    IS(strstr(t, "flags:\t02\n") && strstr(t, "\neventfd-count:               1f\n"));
    int e = MUST(epoll_create1(0));
    struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0xabc };
    MUST(epoll_ctl(e, EPOLL_CTL_ADD, counter, &ev));
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", e);
    t = text(name);
    int watched = -1;
    unsigned events = 0;
    char *tfd = strstr(t, "tfd:");
    IS(tfd && sscanf(tfd, "tfd: %d events: %x data: ", &watched, &events) == 2 && watched == counter && events == 0x19);
    IS(strstr(t, " data:              abc  pos:0 ino:"));
    close(counter);
    SHOW(access("/proc/self/fdinfo/999", F_OK));
    DIR *d = opendir("/proc/self/fdinfo");
    int n = 0;
    for (struct dirent *x; d && (x = readdir(d));) n += x->d_name[0] != '.';
    IS(n >= 4);
    closedir(d);
    close(fd);
    close(e);
}

static void machine(void)
{
    section("machine");
    char *t = text("/proc/meminfo");
    IS(value(t, "MemTotal:") >= value(t, "MemAvailable:") && value(t, "MemAvailable:") > 0 && value(t, "MemFree:") > 0);
    IS(value(t, "AnonPages:") > 0 && value(t, "Mapped:") >= 0 && value(t, "Shmem:") >= 0 && value(t, "Dirty:") >= 0 && value(t, "Mlocked:") >= 0);
    IS(strstr(t, "\nHugepagesize:       2048 kB\n") && strstr(t, "\nHugePages_Total:       0\n"));
    int fd = MUST(memfd_create("m", 0));
    long before = value(t, "Shmem:");
    static char block[256 << 10];
    MUST(write(fd, block, sizeof block));
    // On Linux others use it as well, and it is counted now and then only.
    IS(!in_vm() || value(text("/proc/meminfo"), "Shmem:") - before == 256);
    t = text("/proc/vmstat");
    IS(value(t, "nr_free_pages ") > 0 && value(t, "nr_anon_pages ") > 0 && value(t, "nr_shmem ") > 0);
    t = text("/proc/stat");
    IS(value(t, "ctxt ") > 0 && value(t, "btime ") > 1600000000 && value(t, "procs_running ") >= 1 && strstr(t, "\ncpu1 "));
    IS(strstr(text("/proc/filesystems"), "nodev\tsysfs\n"));
    IS(strstr(text("/proc/devices"), "Character devices:\n  1 mem\n"));
    IS(!strncmp(text("/proc/swaps"), "Filename\t\t\t\tType\t\tSize", 20));
    IS(value(text("/proc/sys/vm/max_map_count"), "") >= 65530);
    IS(value(text("/proc/sys/kernel/pid_max"), "") >= 32768);
    SHOW(value(text("/proc/sys/kernel/randomize_va_space"), ""));
    IS(value(text("/proc/sys/fs/nr_open"), "") >= 1 << 20);

    section("processors");
    struct statfs fs;
    MUST(statfs("/sys", &fs));
    printf("%lx\n", (long)fs.f_type);
    int counted = 0, last = -1;
    for (t = text("/proc/stat"); t; t = strchr(t, '\n'), t = t ? t + 1 : 0) counted += !strncmp(t, "cpu", 3) && t[3] != ' ';
    IS(sscanf(text("/sys/devices/system/cpu/online"), "0-%d", &last) == 1 && last + 1 == counted);
    IS(!in_vm() || last == 1);
    IS(sscanf(text("/sys/devices/system/cpu/present"), "0-%d", &last) == 1 && last + 1 >= counted);
    IS(sscanf(text("/sys/devices/system/cpu/possible"), "0-%d", &last) == 1 && last + 1 >= counted);
    static const char *const topology[] = { "core_id", "physical_package_id", "thread_siblings_list", "core_siblings_list", "package_cpus_list" };
    for (size_t i = 0; i < sizeof topology / sizeof *topology; i++) {
        char path[100];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu1/topology/%s", topology[i]);
        IS(strchr("-0123456789", text(path)[0]));
    }
    IS(strlen(text("/sys/devices/system/cpu/cpu0/topology/core_siblings")) >= 2);
    struct stat st;
    MUST(stat("/sys/devices/system/cpu/online", &st));
    printf("%o %ld\n", st.st_mode, (long)st.st_size);
    SHOW(access("/sys/devices/system/cpu/cpu0", F_OK));
    SHOW(access("/sys/devices/system/cpu/cpu9999", F_OK));
    SHOW(access("/sys/devices/system/cpu/0", F_OK));
    SHOW(open("/sys/devices/system/cpu/none", O_RDWR | O_CREAT, 0600));
    SHOW(access("/sys/fs/cgroup/cgroup.controllers", F_OK));
}

int main(void)
{
    enter_scratch();
    mappings();
    process();
    descriptors();
    machine();
    return done();
}
