// Files larger than memory, written through a shared mapping and with write, and read back, while the program allocates
// and frees memory: nothing is lost, and no allocation fails. On a disk.
//@ disk 96M
//@ memory 32M
//@ smp 2
//@ timeout 180
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 9216, HEAP = 6 << 20 };

static int fd, other;
static char *map;
static volatile bool stop;

static uint64_t word(uint64_t page, uint64_t round) { return (page + 1) * 0x9e3779b97f4a7c15 + round; }

/* Visits every page of the file through the mapping, in a scattered order. */
static void *mapper(void *arg)
{
    long *wrong = arg;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t page = i * 7919 % PAGES;
        uint64_t *at = (uint64_t *)(map + page * PAGE);
        *wrong += at[0] != 0;
        at[0] = word(page, 1);
        at[511] = word(page, 2);
    }
    return 0;
}

static void *writer(void *arg)
{
    long *wrong = arg;
    static uint64_t block[8 * 512], back[8 * 512];
    for (uint64_t i = 0; i < PAGES / 2; i += 8) {
        for (int k = 0; k < 8 * 512; k++) block[k] = word(i, k);
        *wrong += pwrite(other, block, sizeof block, i * PAGE) != sizeof block;
        uint64_t before = i / 8 * 31 % (i / 8 + 1) * 8;
        *wrong += pread(other, back, sizeof back, before * PAGE) != sizeof back;
        for (int k = 0; k < 8 * 512; k += 37) *wrong += back[k] != word(before, k);
        if (i % 1024 == 0) *wrong += fdatasync(other) != 0;
    }
    return 0;
}

static void *heap(void *arg)
{
    long *wrong = arg;
    for (int round = 0; !stop; round++) {
        char *p = malloc(HEAP);
        if (!p) {
            ++*wrong;
            continue;
        }
        memset(p, round, HEAP);
        for (int i = 0; i < HEAP; i += 4099) *wrong += p[i] != (char)round;
        free(p);
        sleep_ms(20);
    }
    return 0;
}

int main(void)
{
    enter_scratch();
    fd = MUST(open("mapped", O_RDWR | O_CREAT, 0644));
    other = MUST(open("written", O_RDWR | O_CREAT, 0644));
    MUST(ftruncate(fd, (off_t)PAGES * PAGE));
    map = mmap(0, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(map == MAP_FAILED ? -1 : 0);
    pthread_t t[3];
    long wrong[3] = { 0 };
    MUST0(pthread_create(&t[0], 0, mapper, &wrong[0]));
    MUST0(pthread_create(&t[1], 0, writer, &wrong[1]));
    MUST0(pthread_create(&t[2], 0, heap, &wrong[2]));
    for (int i = 0; i < 2; i++) MUST0(pthread_join(t[i], 0));
    stop = true;
    MUST0(pthread_join(t[2], 0));
    IS(wrong[0] == 0);
    IS(wrong[1] == 0);
    IS(wrong[2] == 0);
    long lost = 0;
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t *at = (uint64_t *)(map + i * PAGE), seen = 0;
        lost += at[0] != word(i, 1) || at[511] != word(i, 2) || at[7] != 0;
        if (i % 61 == 0) lost += pread(fd, &seen, 8, i * PAGE) != 8 || seen != word(i, 1);
    }
    SHOW(lost);
    SHOW(msync(map, (size_t)PAGES * PAGE, MS_SYNC));
    SHOW(fsync(other));
    return done();
}
