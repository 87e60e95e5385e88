// Code that a program makes, moves, remakes and loads from a file. With an argument it then keeps running, so that its
// memory can be examined.
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#define PAGE 4096
#define RW (PROT_READ | PROT_WRITE)
#define RX (PROT_READ | PROT_EXEC)

/* mov $n, %eax; ret */
static void put(char *p, char n) { memcpy(p, "\xb8\0\0\0\0\xc3", 6), p[1] = n; }
static int run(char *p) { return ((int (*)(void))(uintptr_t)p)(); }
static char *map(size_t n, int prot, int fd)
{
    return (char *)MUST(mmap(0, n, prot, MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0));
}

static void *stay(void *p) { pause(); return p; }

int main(int argc, char **argv)
{
    (void)argv;
    char *p = map(600 * PAGE, RW, -1);
    for (int i = 0; i < 600; i++) put(p + i * PAGE, i % 100);
    SHOW(mprotect(p, 600 * PAGE, RX));
    int sum = 0;
    for (int i = 0; i < 600; i++) sum += run(p + i * PAGE);
    SHOW(sum);
    section("and data again");
    SHOW(mprotect(p, 300 * PAGE, RW));
    for (int i = 0; i < 300; i++) put(p + i * PAGE, 1);
    SHOW(mprotect(p, 300 * PAGE, RX));
    sum = 0;
    for (int i = 0; i < 600; i++) sum += run(p + i * PAGE);
    SHOW(sum);
    section("given back, and used for other things");
    for (int round = 0; round < 5; round++) {
        SHOW(munmap(p, 600 * PAGE));
        char *q = map(600 * PAGE, RW, -1);
        memset(q, round, 600 * PAGE);
        char *r = malloc(1 << 20);
        memset(r, round, 1 << 20);
        FILE *f = tmpfile();
        MUST(f ? 0 : -1);
        SHOW(fwrite(q, PAGE, 600, f));
        fclose(f), free(r), munmap(q, 600 * PAGE);
        p = map(600 * PAGE, RW, -1);
        for (int i = 0; i < 600; i++) put(p + i * PAGE, round);
        SHOW(mprotect(p, 600 * PAGE, RX));
        SHOW(run(p) + run(p + 599 * PAGE));
    }
    section("moved, and dropped");
    p = (char *)MUST(mremap(p, 600 * PAGE, 700 * PAGE, MREMAP_MAYMOVE));
    SHOW(run(p + 5 * PAGE));
    SHOW(madvise(p, 10 * PAGE, MADV_DONTNEED));
    SHOW(p[0] + p[PAGE]);
    SHOW(run(p + 10 * PAGE));
    section("from a file");
    FILE *f = tmpfile();
    MUST(f ? 0 : -1);
    char page[2 * PAGE] = { 0 };
    put(page, 77), put(page + PAGE, 78);
    SHOW(fwrite(page, PAGE, 2, f));
    fflush(f);
    char *a = map(2 * PAGE, RX, fileno(f));
    char *b = map(2 * PAGE, PROT_READ, fileno(f));
    SHOW(run(a) + run(a + PAGE));
    SHOW(b[1] + b[PAGE + 1]);
    SHOW(mprotect(b, 2 * PAGE, RX));
    SHOW(run(b) + run(b + PAGE));
    SHOW(mprotect(b, PAGE, RW));
    put(b, 79);
    SHOW(mprotect(b, PAGE, RX));
    SHOW(run(b) + run(b + PAGE));
    /* The file can still be written. */
    SHOW(pwrite(fileno(f), page + PAGE, 6, 0));
    SHOW(run(b));
    char *zero = map(PAGE, RX, -1);
    SHOW(zero[0]);
    section("among much data");
    char *much = map(4096 * PAGE, RW, -1);
    for (int i = 0; i < 4096; i++) put(much + i * PAGE, i % 100);
    for (int i = 100; i < 4096; i += 300) MUST0(mprotect(much + i * PAGE, PAGE, RX));
    sum = 0;
    for (int i = 100; i < 4096; i += 300) sum += run(much + i * PAGE);
    SHOW(sum);
    printf("made\n");
    if (argc > 1) {
        pthread_t t;
        for (int i = 0; i < 20; i++) MUST0(pthread_create(&t, 0, stay, 0));
        stay(0);
    }
    return done();
}
