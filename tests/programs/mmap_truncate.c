// The end of a truncated file disappears from all its mappings, however they were created, split, moved and merged; a
// file that grows shows zeros.
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static void handler(int s) { siglongjmp(back, s); }

// What the page shows: its first byte, or '!' for SIGBUS, '?' for SIGSEGV.
static char shows(volatile char *p)
{
    int s = sigsetjmp(back, 1);
    return s ? (s == SIGBUS ? '!' : '?') : *p;
}

// The first bytes of pages, in a row; zeros as '.'.
static const char *row(char *p, int pages)
{
    static char text[2][64];
    static int turn;
    char *t = text[turn ^= 1];
    for (int i = 0; i < pages; i++) {
        char c = shows(p + i * PAGE);
        t[i] = c ? c : '.';
    }
    t[pages] = 0;
    return t;
}

// A file whose pages begin with a, b, c, ...
static int make(const char *name, int pages)
{
    int fd = (int)MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
    for (int i = 0; i < pages; i++) {
        char page[PAGE];
        memset(page, 'a' + i, PAGE);
        MUST(pwrite(fd, page, PAGE, (off_t)i * PAGE));
    }
    return fd;
}

static char *map(int fd, int pages, int prot, int flags, int first)
{
    char *p = mmap(0, (size_t)pages * PAGE, prot, flags, fd, (off_t)first * PAGE);
    MUST(p == MAP_FAILED ? -1 : 0);
    return p;
}

enum { RW = PROT_READ | PROT_WRITE };

int main(void)
{
    enter_scratch();
    signal(SIGSEGV, handler);
    signal(SIGBUS, handler);

    section("mapped twice, by two descriptions");
    int fd = make("f", 8), other = (int)MUST(open("f", O_RDONLY));
    char *p = map(fd, 8, RW, MAP_SHARED, 0), *q = map(other, 4, RW, MAP_PRIVATE, 3);
    printf("%s %s\n", row(p, 8), row(q, 4));
    q[2 * PAGE] = 'Q';
    q[0] = 'Q';
    SHOW(ftruncate(fd, 5 * PAGE));
    printf("%s %s\n", row(p, 8), row(q, 4));
    SHOW(ftruncate(fd, 8 * PAGE));
    printf("%s %s\n", row(p, 8), row(q, 4));
    p[6 * PAGE] = 'P';
    printf("%s %s\n", row(p, 8), row(q, 4));
    SHOW(ftruncate(fd, 0));
    printf("%s %s\n", row(p, 8), row(q, 4));

    section("the last page of what was cut");
    MUST(ftruncate(fd, 2 * PAGE));
    memset(p, 'x', 2 * PAGE);
    char *whole = map(other, 2, PROT_READ, MAP_PRIVATE, 0);
    IS(whole[PAGE + 10] == 'x');
    MUST(ftruncate(fd, PAGE + 10));
    IS(p[PAGE + 9] == 'x' && p[PAGE + 10] == 0 && whole[PAGE + 9] == 'x' && whole[PAGE + 10] == 0);
    munmap(whole, 2 * PAGE);
    munmap(p, 8 * PAGE);
    munmap(q, 4 * PAGE);
    // It is no longer mapped.
    SHOW(ftruncate(fd, 0));
    close(fd);
    close(other);

    section("written through one mapping, and seen everywhere");
    fd = make("f", 4);
    other = (int)MUST(open("f", O_RDONLY));
    p = map(fd, 4, RW, MAP_SHARED, 0);
    q = map(other, 2, PROT_READ, MAP_SHARED, 1);
    for (int round = 0; round < 3; round++) {
        char c;
        p[PAGE] = (char)('1' + round);
        p[3 * PAGE] = (char)('A' + round);
        SHOW(msync(p, 4 * PAGE, MS_SYNC));
        MUST(pread(other, &c, 1, PAGE));
        IS(c == p[PAGE] && c == q[0]);
        MUST(pread(other, &c, 1, 3 * PAGE));
        IS(c == p[3 * PAGE]);
        SHOW(fsync(fd));
    }
    munmap(p, 4 * PAGE);
    munmap(q, 2 * PAGE);
    close(fd);
    close(other);

    section("half unmapped, the other half moved");
    fd = make("f", 8);
    p = map(fd, 8, RW, MAP_SHARED, 0);
    SHOW(munmap(p, 4 * PAGE));
    char *room = mmap(0, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    q = mremap(p + 4 * PAGE, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    IS(q == room);
    printf("%s\n", row(q, 6));
    SHOW(ftruncate(fd, 6 * PAGE));
    printf("%s\n", row(q, 6));
    SHOW(ftruncate(fd, 9 * PAGE));
    q[3 * PAGE] = 'Q';
    printf("%s\n", row(q, 6));
    SHOW(ftruncate(fd, 4 * PAGE));
    printf("%s\n", row(q, 6));
    munmap(q, 6 * PAGE);
    close(fd);

    section("moved by a few pages");
    fd = make("f", 40);
    // At an address whose last 20 bits are the same on each run.
    char *base = mmap(0, 2 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base = (char *)(((uintptr_t)base + (1 << 20) - 1) & -(uintptr_t)(1 << 20));
    const struct { int from, to, pages; } moves[] = { { 0, 8, 1 }, { 20, 4, 8 }, { 100, 36, 40 }, { 50, 60, 10 }, { 36, 100, 40 } };
    for (int i = 0; i < 5; i++) {
        int n = moves[i].pages;
        p = mmap(base + moves[i].from * PAGE, (size_t)n * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
        MUST(p == MAP_FAILED ? -1 : 0);
        p[0] = 'A';
        p[(n * 3 / 4) * PAGE] = 'B';
        q = mremap(p, (size_t)n * PAGE, (size_t)n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, base + moves[i].to * PAGE);
        IS(q == base + moves[i].to * PAGE && q[(n * 3 / 4) * PAGE] == 'B');
        MUST(ftruncate(fd, 0));
        printf("%c%c%c\n", shows(q), shows(q + (n * 3 / 4) * PAGE), shows(q + (n - 1) * PAGE));
        MUST(ftruncate(fd, 40 * PAGE));
        MUST(munmap(q, (size_t)n * PAGE));
    }
    close(fd);

    section("split by its rights, and joined again");
    fd = make("f", 6);
    p = map(fd, 6, RW, MAP_SHARED, 0);
    SHOW(mprotect(p + PAGE, 2 * PAGE, PROT_READ));
    SHOW(mprotect(p + 4 * PAGE, PAGE, PROT_NONE));
    MUST(ftruncate(fd, 2 * PAGE));
    printf("%s\n", row(p, 6));
    SHOW(mprotect(p, 6 * PAGE, RW));
    printf("%s\n", row(p, 6));
    MUST(ftruncate(fd, 6 * PAGE));
    memset(p, 'm', 6 * PAGE);
    MUST(ftruncate(fd, PAGE));
    printf("%s\n", row(p, 6));
    munmap(p, 6 * PAGE);
    close(fd);

    section("among mappings of another file");
    fd = make("f", 6);
    other = make("g", 6);
    p = map(fd, 6, RW, MAP_SHARED, 0);
    // The middle shows another file, and between the two is an unmapped page.
    IS(mmap(p + 2 * PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, other, 4 * PAGE) == p + 2 * PAGE);
    SHOW(munmap(p + PAGE, PAGE));
    printf("%s\n", row(p, 6));
    MUST(ftruncate(fd, 0));
    printf("%s\n", row(p, 6));
    MUST(ftruncate(fd, 6 * PAGE));
    MUST(ftruncate(other, 5 * PAGE));
    printf("%s\n", row(p, 6));
    munmap(p, 6 * PAGE);
    MUST(ftruncate(fd, 0));
    close(fd);
    close(other);

    section("doubled by mremap");
    fd = make("f", 4);
    p = map(fd, 4, RW, MAP_SHARED, 0);
    q = mremap(p + PAGE, 0, 3 * PAGE, MREMAP_MAYMOVE);
    IS(q != MAP_FAILED);
    close(fd);
    SHOW(truncate("f", 2 * PAGE));
    printf("%s %s\n", row(p, 4), row(q, 3));
    munmap(p, 4 * PAGE);
    SHOW(truncate("f", PAGE));
    printf("%s\n", row(q, 3));
    munmap(q, 3 * PAGE);

    section("many mappings of one file");
    enum { MANY = 200 };
    fd = make("f", 16);
    char *all[MANY];
    for (int i = 0; i < MANY; i++) all[i] = map(fd, 2, i & 1 ? RW : PROT_READ, i & 2 ? MAP_SHARED : MAP_PRIVATE, i % 15);
    for (int i = 0; i < MANY; i++) MUST(shows(all[i]) == 'a' + i % 15 ? 0 : -1);
    for (int i = 0; i < MANY; i += 3) munmap(all[i], 2 * PAGE);
    MUST(ftruncate(fd, 8 * PAGE));
    int wrong = 0;
    for (int i = 0; i < MANY; i++)
        if (i % 3)
            for (int j = 0; j < 2; j++) {
                int page = i % 15 + j;
                wrong += shows(all[i] + j * PAGE) != (page < 8 ? 'a' + page : '!');
            }
    IS(wrong == 0);
    return done();
}
