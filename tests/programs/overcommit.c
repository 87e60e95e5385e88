// Memory counts once it is touched: many large stacks and mappings fit into 128 MiB; obvious overcommits are refused.
//@ shows brk
//@ memory 128M
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define MIB (1ul << 20)

static void *map(size_t size, int flags) { return mmap(0, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0); }

static void *wait_for_end(void *x) { return pause(), x; }

static int stacks(int many, size_t size)
{
    pthread_attr_t a;
    pthread_t t;
    int n = 0;
    MUST0(pthread_attr_init(&a));
    MUST0(pthread_attr_setstacksize(&a, size));
    while (n < many && pthread_create(&t, &a, wait_for_end, 0) == 0) n++;
    return n;
}

static int maps(int many, size_t size, int flags)
{
    int n = 0;
    while (n < many && map(size, flags) != MAP_FAILED) n++;
    return n;
}

static int mode(void)
{
    char c = 0;
    int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY);
    MUST(read(fd, &c, 1));
    close(fd);
    return c - '0';
}

static bool in_meminfo(const char *name)
{
    char line[100];
    bool found = false;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f)) found |= !strncmp(line, name, strlen(name)) && strstr(line, " kB");
    if (f) fclose(f);
    return found;
}

int main(void)
{
    section("untouched");
    SHOW(stacks(100, 8 * MIB));
    SHOW(stacks(300, 64 << 10));
    SHOW(maps(40, 30 * MIB, MAP_PRIVATE));
    SHOW(maps(2000, MIB, MAP_PRIVATE));
    SHOW(maps(10, 30 * MIB, MAP_SHARED));
    SHOW(maps(10, 300 * MIB, MAP_PRIVATE | MAP_NORESERVE));
    char *brk = sbrk(0);
    IS(brk != (char *)-1);

    section("touched in part, given back, and mapped again");
    char *m = map(90 * MIB, MAP_PRIVATE);
    IS(m != MAP_FAILED);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 60 * MIB; i += 4096) m[i] = 1;
        SHOW(madvise(m, 90 * MIB, MADV_DONTNEED));
    }
    char *n = map(90 * MIB, MAP_PRIVATE);
    IS(n != MAP_FAILED);
    for (size_t i = 0; i < 60 * MIB; i += 4096) n[i] = 1;
    SHOW(munmap(n, 90 * MIB));
    SHOW(munmap(m, 90 * MIB));

    section("too much");
    struct sysinfo si;
    MUST(sysinfo(&si));
    IS(mode() >= 0 && mode() <= 2);
    size_t all = (si.totalram + si.totalswap) * si.mem_unit;
    IS(mode() == 1 || (map(all + 4096, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM));
    IS(mode() == 1 || (map(all + 4096, MAP_SHARED) == MAP_FAILED && errno == ENOMEM));
    IS(map(all + 4096, MAP_PRIVATE | MAP_NORESERVE) != MAP_FAILED || mode() == 2);
    n = mmap(0, all + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(n != MAP_FAILED);
    IS(mode() == 1 || (mprotect(n, all + 4096, PROT_READ | PROT_WRITE) == -1 && errno == ENOMEM));
    IS(in_meminfo("CommitLimit:") && in_meminfo("Committed_AS:"));
    return done();
}
