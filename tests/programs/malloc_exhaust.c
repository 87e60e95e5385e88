// Memory runs out: ENOMEM, the program continues, and freed memory can be allocated again.
//@ hosted no
//@ memory 32M
//@ native no
#include "test.h"
#include <sys/mman.h>

static int fill(char **p, int max, size_t n)
{
    int i = 0;
    while (i < max && (p[i] = malloc(n))) {
        for (size_t k = 0; k < n; k += 4096) p[i][k] = (char)i;
        i++;
    }
    return i;
}

/* Allocates and writes blocks of `size` until malloc fails; returns the bytes. */
static size_t small(size_t size)
{
    void *head = 0;
    size_t n = 0;
    for (char *p; (p = malloc(size)); n += size) {
        memset(p, 1, size);
        *(void **)p = head;
        head = p;
    }
    while (head) {
        void *next = *(void **)head;
        free(head);
        head = next;
    }
    return n;
}

int main(void)
{
    /* Memory freed from blocks of one size is available to blocks of other sizes. */
    const size_t sizes[] = { 100, 5000, 70000, 3000000, 16, 100 };
    for (int i = 0; i < 6; i++) IS(small(sizes[i]) > 20 << 20);
    static char *p[1000];
    int first = 0;
    for (int round = 0; round < 5; round++) {
        errno = 0;
        int n = fill(p, 1000, 256 * 1024);
        IS(n > 20 && n < 128 && errno == ENOMEM);
        if (!first) first = n;
        IS(n >= first - 2);
        bool ok = true;
        for (int i = 0; i < n; i++) ok = ok && p[i][4096] == (char)i;
        IS(ok);
        for (int i = 0; i < n; i++) free(p[i]);
    }
    void *m = mmap(0, 1ul << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(m == MAP_FAILED && errno == ENOMEM);
    m = mmap(0, 1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(m == MAP_FAILED && errno == ENOMEM);
    m = mmap(0, 1ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    IS(m != MAP_FAILED);
    SHOW(munmap(m, 1ul << 30));
    return done();
}
