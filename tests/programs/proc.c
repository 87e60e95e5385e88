// The part of /proc that programs and libc read.
//@ smp 2
#include "test.h"
#include <dirent.h>

static bool has(const char *path, const char *what)
{
    static char buf[65536];
    FILE *f = fopen(path, "r");
    if (!f) return false;
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    buf[n] = 0;
    fclose(f);
    return strstr(buf, what) != 0;
}

int main(int argc, char **argv)
{
    char buf[PATH_MAX], name[64];
    (void)argc;
    ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);
    IS(n > 0 && buf[0] == '/');
    int fd = (int)MUST(open("/dev/null", O_RDONLY));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    n = readlink(name, buf, sizeof buf - 1);
    IS(n > 0);
    buf[n > 0 ? n : 0] = 0;
    printf("%s\n", buf);
    DIR *d = opendir("/proc/self/fd");
    IS(d != 0);
    bool seen = false;
    for (struct dirent *e; d && (e = readdir(d));) seen = seen || atoi(e->d_name) == fd;
    IS(seen);
    fd = open("/proc/self/cmdline", O_RDONLY);
    n = read(fd, buf, sizeof buf);
    IS(n > 0 && !strcmp(buf, argv[0]));
    IS(has("/proc/self/status", "VmRSS:"));
    IS(has("/proc/self/status", "Threads:\t1\n"));
    IS(has("/proc/self/maps", "[stack]"));
    IS(has("/proc/meminfo", "MemTotal:"));
    IS(has("/proc/meminfo", "MemAvailable:"));
    IS(has("/proc/cpuinfo", "processor\t: 0"));
    IS(has("/proc/stat", "cpu "));
    IS(has("/proc/uptime", "."));
    IS(has("/proc/loadavg", "."));
    IS(has("/proc/version", "Linux"));
    IS(has("/proc/mounts", " / "));
    IS(has("/proc/filesystems", "\n"));
    IS(has("/proc/sys/kernel/osrelease", "."));
    IS(has("/proc/sys/kernel/random/boot_id", "-"));
    IS(has("/proc/sys/vm/overcommit_memory", "\n"));
    IS(has("/proc/sys/net/core/somaxconn", "\n"));
    snprintf(name, sizeof name, "/proc/%d/status", getpid());
    IS(has(name, "Name:"));
    SHOW(access("/proc/self/none", F_OK));
    SHOW(mkdir("/proc/x", 0755) == 0);
    return done();
}
