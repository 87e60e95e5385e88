// mremap: the order of its checks, and shrinking.
//@ shows mremap memfd_create
#include "test.h"
#include <sys/mman.h>

#define PAGE 4096UL
#define SPACE (1UL << 47)

static char *map(size_t pages, int prot, int flags)
{
    char *p = mmap(0, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) MUST(-1);
    return p;
}
static char *fresh(size_t pages) { return map(pages, PROT_READ | PROT_WRITE, MAP_PRIVATE); }

// Where the result is relative to `p`, or the error.
static const char *at(char *p, void *r)
{
    static char text[32];
    if (r == MAP_FAILED) return errname(errno);
    if (r != p) return "elsewhere";
    snprintf(text, sizeof text, "there");
    return text;
}
#define TRY(p, ...) printf("mremap(%s, %s) = %s\n", #p, #__VA_ARGS__, at((char *)(p), mremap((void *)(p), __VA_ARGS__)))

static bool mapped(char *p) { return msync(p, PAGE, MS_ASYNC) == 0; }

int main(void)
{
    section("addresses and lengths");
    char *p = fresh(8);
    memset(p, 7, 8 * PAGE);
    static const size_t sizes[] = { 0, 1, PAGE, 8 * PAGE, 9 * PAGE, SPACE - PAGE, SPACE, SPACE + PAGE, -PAGE, -1 };
    static const int flags[] = { 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_FIXED, 16 };
    char *const places[] = { p + 1, (char *)PAGE, (char *)(SPACE - PAGE), (char *)SPACE, (char *)(SPACE + 16 * PAGE), (char *)-PAGE };
    char *to = fresh(64);
    for (size_t w = 0; w < sizeof places / sizeof *places; w++)
        for (size_t o = 0; o < sizeof sizes / sizeof *sizes; o++) {
            printf("place %zu, old %zd:", w, (ssize_t)sizes[o]);
            for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++)
                for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
                    printf(" %s", at(places[w], mremap(places[w], sizes[o], sizes[n], flags[f], to)));
            putchar('\n');
        }
    section("lengths of a mapping");
    for (size_t o = 1; o < sizeof sizes / sizeof *sizes; o++) {
        printf("old %zd:", (ssize_t)sizes[o]);
        for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
            // These might succeed and move it.
            if (sizes[n] == 1 || sizes[n] == PAGE || sizes[n] == 8 * PAGE || sizes[n] == 9 * PAGE) continue;
            for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
                printf(" %s", at(p, mremap(p, sizes[o], sizes[n], flags[f], to)));
        }
        putchar('\n');
    }
    section("where to");
    char *const targets[] = { p, p + PAGE, p + 1, p - PAGE, to + 1, (char *)(SPACE - PAGE), (char *)SPACE, (char *)-PAGE, 0 };
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        if (targets[t] == 0) continue;
        printf("to %zu: %s", t, at(p, mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, targets[t])));
        printf(" %s\n", at(p, mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, targets[t])));
    }

    section("shrinking over a hole");
    p = fresh(8);
    memset(p, 7, 8 * PAGE);
    MUST(munmap(p + 4 * PAGE, PAGE));
    TRY(p, 8 * PAGE, 2 * PAGE, 0);
    IS(mapped(p + PAGE) && !mapped(p + 2 * PAGE) && !mapped(p + 3 * PAGE) && !mapped(p + 5 * PAGE) && !mapped(p + 7 * PAGE));
    p = fresh(8);
    MUST(munmap(p + 4 * PAGE, PAGE));
    TRY(p, 8 * PAGE, 6 * PAGE, 0);
    IS(mapped(p + 3 * PAGE) && mapped(p + 5 * PAGE) && !mapped(p + 6 * PAGE));
    TRY(p, 8 * PAGE, 8 * PAGE, 0);
    TRY(p, 6 * PAGE, 9 * PAGE, 0);
    TRY(p, 6 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
    TRY(p + 4 * PAGE, 2 * PAGE, PAGE, 0);
    TRY(p + 4 * PAGE, PAGE, PAGE, 0);
    section("shrinking over two mappings");
    p = fresh(8);
    MUST(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ));
    TRY(p, 8 * PAGE, 3 * PAGE, 0);
    IS(mapped(p + 2 * PAGE) && !mapped(p + 3 * PAGE) && !mapped(p + 7 * PAGE));
    p = fresh(8);
    memset(p, 7, 8 * PAGE);
    MUST(mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ));
    TRY(p, 8 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    IS(!mapped(p + 7 * PAGE));
    IS(mapped(to + 2 * PAGE) && to[2 * PAGE] == 7);
    p = fresh(8);
    MUST(munmap(p + 4 * PAGE, 4 * PAGE));
    TRY(p, 8 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 8 * PAGE);
    section("old length 0");
    int fd = MUST(memfd_create("m", 0));
    MUST(ftruncate(fd, 4 * PAGE));
    p = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(p + PAGE, "shared");
    char *q = mremap(p, 0, 4 * PAGE, MREMAP_MAYMOVE);
    IS(q != MAP_FAILED && q != p && !strcmp(q + PAGE, "shared"));
    if (q != MAP_FAILED) {
        strcpy(p, "both");
        IS(!strcmp(q, "both"));
        q = mremap(p + PAGE, 0, PAGE, MREMAP_MAYMOVE);
        IS(q != MAP_FAILED && !strcmp(q, "shared"));
    }
    TRY(p, 0, 4 * PAGE, 0);
    TRY(p, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE);
    TRY(p, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    IS(!strcmp(to, "both"));
    p = fresh(4);
    TRY(p, 0, 4 * PAGE, MREMAP_MAYMOVE);
    TRY(p, 0, 4 * PAGE, 0);
    return done();
}
