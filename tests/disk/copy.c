// Writes a file larger than memory, copies it, and compares: memory use stays bounded, and other allocations succeed.
// copy DIR MEGABYTES
#include "../programs/test.h"
#include <sys/mman.h>

static long least = -1, total;

/* A line of /proc/meminfo, in KiB. */
static long meminfo(const char *key)
{
    char text[4096], *at;
    int fd = (int)MUST(open("/proc/meminfo", O_RDONLY));
    long n = MUST(read(fd, text, sizeof text - 1));
    close(fd);
    text[n] = 0;
    at = strstr(text, key);
    return at ? atol(at + strlen(key)) : -1;
}

static void look(void)
{
    long available = meminfo("MemAvailable:");
    if (available < 0) available = meminfo("MemFree:");
    if (least < 0 || available < least) least = available;
    /* Meanwhile another part of the program needs memory. */
    char *other = malloc(2 << 20);
    if (!other) { puts("no memory for others"); exit(1); }
    memset(other, 1, 2 << 20);
    free(other);
}

static void pattern(uint64_t *to, long block)
{
    for (long i = 0; i < 8192; i++) to[i] = (uint64_t)(block * 8192 + i) * 0x9e3779b97f4a7c15;
}

int main(int argc, char **argv)
{
    static uint64_t buffer[8192], expected[8192];
    long blocks = atol(argv[argc - 1]) * 16;
    MUST(chdir(argv[1]));
    total = meminfo("MemTotal:");
    int from = (int)MUST(open("source", O_RDWR | O_CREAT | O_TRUNC, 0644));
    for (long i = 0; i < blocks; i++) {
        pattern(buffer, i);
        if (write(from, buffer, sizeof buffer) != sizeof buffer) MUST(-1);
        if (i % 64 == 0) look();
    }
    int to = (int)MUST(open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
    MUST(lseek(from, 0, SEEK_SET));
    for (long i = 0; i < blocks; i++) {
        if (read(from, buffer, sizeof buffer) != sizeof buffer) MUST(-1);
        if (write(to, buffer, sizeof buffer) != sizeof buffer) MUST(-1);
        if (i % 64 == 0) look();
    }
    MUST(fsync(to));
    long wrong = 0;
    for (long i = 0; i < blocks; i++) {
        pattern(expected, i);
        if (pread(to, buffer, sizeof buffer, i * (long)sizeof buffer) != sizeof buffer || memcmp(buffer, expected, sizeof buffer)) wrong++;
        if (i % 64 == 0) look();
    }
    printf("%ld of %ld blocks are wrong\n", wrong, blocks);
    /* The same through a mapping, page by page. */
    uint64_t *map = mmap(0, (size_t)blocks * sizeof buffer, PROT_READ, MAP_SHARED, to, 0);
    if (map == MAP_FAILED) MUST(-1);
    wrong = 0;
    for (long i = 0; i < blocks; i++) {
        for (long j = 0; j < 8192; j += 512) wrong += map[i * 8192 + j] != (uint64_t)(i * 8192 + j) * 0x9e3779b97f4a7c15;
        if (i % 64 == 0) look();
    }
    printf("%ld mapped words are wrong\n", wrong);
    printf("file %ld KiB, memory %ld KiB, least available %ld KiB\n", blocks * 64, total, least);
    puts("end");
    return 0;
}
