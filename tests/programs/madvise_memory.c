// madvise that changes memory: MADV_REMOVE, MADV_DONTNEED and MADV_DONTNEED_LOCKED, on shared memory, files and the image.
//@ shows madvise mlock munlock
//@ env TEST_SCRATCH=/dev/shm
#include "test.h"
#include <sys/mman.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static char *map(size_t pages, int prot, int flags, int fd)
{
    char *p = mmap(0, pages * PAGE, prot, flags | (fd == -1 ? MAP_ANONYMOUS : 0), fd, 0);
    if (p == MAP_FAILED) MUST(-1);
    return p;
}
static void fill(char *p, size_t pages)
{
    for (size_t i = 0; i < pages; i++) memset(p + i * PAGE, 'a' + i, PAGE);
}
// The first byte of each page.
static const char *look(const char *p, size_t pages)
{
    static char text[64];
    for (size_t i = 0; i < pages; i++) text[i] = p[i * PAGE] ? p[i * PAGE] : '0';
    text[pages] = 0;
    return text;
}
static long blocks(int fd)
{
    struct stat s;
    MUST(fstat(fd, &s));
    return s.st_blocks / 8;
}

static int number = 7;
static const char text[] = "as it was linked";
static int zero;

static void file(const char *name, int fd)
{
    section(name);
    MUST(ftruncate(fd, 6 * PAGE));
    char *p = map(6, RW, MAP_SHARED, fd), *other = map(6, RW, MAP_SHARED, fd), *copy = map(6, RW, MAP_PRIVATE, fd);
    fill(p, 6);
    copy[2 * PAGE] = 'Z';
    SHOW(blocks(fd));
    SHOW(madvise(p + PAGE, 2 * PAGE, MADV_REMOVE));
    printf("%s ", look(p, 6));
    printf("%s ", look(other, 6));
    printf("%s\n", look(copy, 6));
    char b = 'x';
    SHOW(pread(fd, &b, 1, PAGE));
    SHOW(b);
    SHOW(lseek(fd, 0, SEEK_END));
    other[PAGE] = 'y';
    printf("%s\n", look(p, 6));
    SHOW(madvise(copy, PAGE, MADV_REMOVE));
    MUST(mlock(p + 3 * PAGE, PAGE));
    SHOW(madvise(p + 3 * PAGE, PAGE, MADV_REMOVE));
    SHOW(madvise(p, 6 * PAGE, MADV_REMOVE));
    printf("%s\n", look(p, 6));
    MUST(munlock(p + 3 * PAGE, PAGE));
    MUST(munmap(p + 4 * PAGE, PAGE));
    fill(other, 6);
    SHOW(madvise(p, 6 * PAGE, MADV_REMOVE));
    printf("%s\n", look(other, 6));
    SHOW(madvise(p, 0, MADV_REMOVE));
    SHOW(madvise(p + 1, PAGE, MADV_REMOVE));
    // Pages dropped from a mapping come back from the file.
    fill(other, 6);
    SHOW(madvise(other, 6 * PAGE, MADV_DONTNEED));
    SHOW(madvise(copy, 6 * PAGE, MADV_DONTNEED));
    printf("%s ", look(other, 6));
    printf("%s\n", look(copy, 6));
}

int main(void)
{
    enter_scratch();
    file("memfd", MUST(memfd_create("m", 0)));
    file("tmpfs", MUST(open("f", O_RDWR | O_CREAT, 0600)));

    section("anonymous memory");
    char *shared = map(4, RW, MAP_SHARED, -1), *private = map(4, RW, MAP_PRIVATE, -1);
    fill(shared, 4), fill(private, 4);
    SHOW(madvise(shared + PAGE, PAGE, MADV_REMOVE));
    printf("%s\n", look(shared, 4));
    SHOW(madvise(private, PAGE, MADV_REMOVE));
    SHOW(madvise(shared, 4 * PAGE, MADV_DONTNEED));
    printf("%s\n", look(shared, 4));

    section("locked");
    MUST(mlock(private, 2 * PAGE));
    SHOW(madvise(private, 4 * PAGE, MADV_DONTNEED));
    SHOW(madvise(private, PAGE, MADV_FREE));
    printf("%s\n", look(private, 4));
    SHOW(madvise(private, 3 * PAGE, MADV_DONTNEED_LOCKED));
    printf("%s\n", look(private, 4));
    fill(private, 4);
    SHOW(madvise(private, PAGE, MADV_DONTNEED));
    MUST(munmap(private + 2 * PAGE, PAGE));
    SHOW(madvise(private, 4 * PAGE, MADV_DONTNEED_LOCKED));
    printf("%s %s\n", look(private, 2), look(private + 3 * PAGE, 1));

    section("the image");
    char *code = (char *)((uintptr_t)look & -PAGE), *constant = (char *)((uintptr_t)text & -PAGE);
    SHOW(madvise(code, PAGE, MADV_DONTNEED));
    SHOW(madvise(constant, PAGE, MADV_DONTNEED));
    SHOW(madvise(code, PAGE, MADV_DONTNEED_LOCKED));
    IS(!strcmp(text, "as it was linked"));
    SHOW(madvise(code, PAGE, MADV_FREE));
    SHOW(madvise(code, PAGE, MADV_REMOVE));
    SHOW(madvise(code, PAGE, MADV_WILLNEED));
    number += zero;
    IS(number == 7);
    return done();
}
