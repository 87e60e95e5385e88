// malloc and friends: sizes, alignment, contents kept by realloc, reuse, zeroed calloc, refusal of the impossible.
//@ memory 64M
#include "test.h"
#include <malloc.h>

static uint32_t seed = 12345;
static uint32_t rnd(void) { return seed = seed * 1664525 + 1013904223, seed >> 8; }

static bool filled(const unsigned char *p, size_t n, unsigned char c)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != c) return false;
    return true;
}

int main(void)
{
    enum { SLOTS = 500, ROUNDS = 60000 };
    static struct { unsigned char *p; size_t n; unsigned char c; } slot[SLOTS];
    long bad = 0, misaligned = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int s = (int)(rnd() % SLOTS);
        if (slot[s].p && !filled(slot[s].p, slot[s].n, slot[s].c)) bad++;
        size_t n = rnd() % 100 < 95 ? rnd() % 2000 : rnd() % 60000;
        unsigned char c = (unsigned char)rnd();
        switch (rnd() % 4) {
        case 0:
            free(slot[s].p);
            slot[s].p = 0;
            break;
        case 1:
            if (slot[s].p) {
                size_t old = slot[s].n;
                unsigned char *p = realloc(slot[s].p, n + 1);
                if (!p || !filled(p, old < n ? old : n, slot[s].c)) bad++;
                slot[s].p = p;
            } else slot[s].p = malloc(n + 1);
            memset(slot[s].p, c, n);
            slot[s].n = n, slot[s].c = c;
            break;
        case 2:
            free(slot[s].p);
            slot[s].p = calloc(n / 8 + 1, 8);
            if (!filled(slot[s].p, n / 8 * 8, 0)) bad++;
            memset(slot[s].p, c, n / 8 * 8);
            slot[s].n = n / 8 * 8, slot[s].c = c;
            break;
        default:
            free(slot[s].p);
            slot[s].p = malloc(n + 1);
            memset(slot[s].p, c, n);
            slot[s].n = n, slot[s].c = c;
        }
        if ((uintptr_t)slot[s].p % 16 && slot[s].n >= 16) misaligned++;
        if (slot[s].p && malloc_usable_size(slot[s].p) < slot[s].n) bad++;
    }
    SHOW(bad);
    SHOW(misaligned);
    for (int s = 0; s < SLOTS; s++) free(slot[s].p);

    /* A volatile size keeps the compiler from evaluating these itself. */
    volatile size_t huge = SIZE_MAX / 2, many = SIZE_MAX / 4 + 1;
    errno = 0;
    IS(malloc(huge) == 0 && errno == ENOMEM);
    errno = 0;
    IS(calloc(many, 8) == 0 && errno == ENOMEM);
    char *keep = strdup("kept");
    errno = 0;
    char *volatile same = keep;
    IS(realloc(same, huge) == 0 && errno == ENOMEM);
    IS(!strcmp(same, "kept"));
    free(same);
    IS(malloc(0) != 0);
    free(0);

    void *p = 0;
    for (size_t a = 8; a <= 1 << 16; a *= 2) {
        int e = posix_memalign(&p, a, a + 5);
        if (e || (uintptr_t)p % a) printf("alignment %zu: bad\n", a);
        free(p);
    }
    SHOWE(posix_memalign(&p, 3, 10));
    p = aligned_alloc(4096, 8192);
    IS(p && (uintptr_t)p % 4096 == 0);
    free(p);
    p = memalign(256, 100);
    IS(p && (uintptr_t)p % 256 == 0);
    free(p);

    /* Repeated allocations of 20 MiB fit only if memory is given back or reused. */
    for (int i = 0; i < 50; i++) {
        char *big = malloc(20 << 20);
        if (!big) { printf("big %d failed\n", i); break; }
        for (size_t k = 0; k < 20 << 20; k += 4096) big[k] = 1;
        free(big);
    }
    char *grow = 0;
    for (size_t n = 1000; n < 8 << 20; n = n * 3 / 2) {
        grow = realloc(grow, n);
        memset(grow + n / 2, (int)(n & 127), n / 2);
        if (!grow) printf("grow failed\n");
    }
    IS(grow != 0);
    free(grow);
    return done();
}
