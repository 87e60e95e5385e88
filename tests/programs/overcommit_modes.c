// /proc shows vm.overcommit_memory and can change it: guess, always, strict.
//@ memory 128M
//@ hosted no
#include "test.h"
#include <sys/mman.h>

#define MIB (1ul << 20)
#define SETTING "/proc/sys/vm/overcommit_memory"

static char *map(size_t size, int flags) { return mmap(0, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0); }

static int maps(char **m, int many, size_t size)
{
    int n = 0;
    while (n < many && (m[n] = map(size, MAP_PRIVATE)) != MAP_FAILED) n++;
    return n;
}

static ssize_t set(const char *text)
{
    int fd = open(SETTING, O_WRONLY | O_TRUNC);
    ssize_t n = write(fd, text, strlen(text));
    int e = errno;
    close(fd);
    errno = e;
    return n;
}

static int get(void)
{
    char b[8] = "";
    int fd = open(SETTING, O_RDONLY);
    MUST(read(fd, b, sizeof b));
    close(fd);
    return b[1] == '\n' && !b[2] ? b[0] - '0' : -1;
}

/* Without malloc, whose own memory would count. */
static long meminfo(const char *name)
{
    static char text[4096];
    int fd = open("/proc/meminfo", O_RDONLY);
    ssize_t n = read(fd, text, sizeof text - 1);
    MUST(n);
    text[n] = 0;
    close(fd);
    char *at = strstr(text, name);
    return at ? strtol(at + strlen(name), 0, 10) : -1;
}

int main(void)
{
    only_in_vm();
    static char *m[400];
    struct stat s;
    MUST(stat(SETTING, &s));
    IS((s.st_mode & 07777) == 0644);
    SHOW(get());
    SHOW(set("3"));
    SHOW(set("-1"));
    SHOW(set("x\n"));
    SHOW(set(""));
    SHOW(set(" 1 \n"));
    SHOW(get());

    section("guess");
    SHOW(set("0\n"));
    long before = meminfo("Committed_AS:");
    SHOW(maps(m, 10, 30 * MIB));
    IS(meminfo("Committed_AS:") - before == 300 << 10);
    IS(meminfo("CommitLimit:") > 90 << 10 && meminfo("CommitLimit:") < 128 << 10);
    for (int i = 0; i < 10; i++) MUST(munmap(m[i], 30 * MIB));
    IS(meminfo("Committed_AS:") == before);
    IS(map(1ul << 30, MAP_PRIVATE) == MAP_FAILED && errno == ENOMEM);

    section("always");
    SHOW(set("1"));
    SHOW(maps(m, 100, 1ul << 30));
    for (int i = 0; i < 100; i++) MUST(munmap(m[i], 1ul << 30));

    section("strict");
    SHOW(set("2"));
    int n = maps(m, 400, MIB);
    IS(n > 90 && n < 128);
    IS(map(MIB, MAP_PRIVATE | MAP_NORESERVE) == MAP_FAILED && errno == ENOMEM);
    IS(meminfo("CommitLimit:") - meminfo("Committed_AS:") < 2 << 10);
    /* Granted memory is there. */
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < MIB; k += 4096) m[i][k] = 1;
    for (int i = 0; i < n; i++) MUST(munmap(m[i], MIB));
    IS(maps(m, 400, MIB) >= n - 1);
    return done();
}
