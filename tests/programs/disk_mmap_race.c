// Some threads map, split, move and unmap two files; another truncates and grows them, and a third writes them back. On
// a disk.
//@ disk 64M
//@ smp 4
//@ timeout 120
#include "test.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 24, ROUNDS = 400 };
static int fd[2];
static atomic_bool stop;
static _Thread_local sigjmp_buf back;
static void handler(int s) { siglongjmp(back, s); }

// Writes its letter, and nothing else, to a page, which may be past the end by now.
static void touch(char *page, int index)
{
    if (!sigsetjmp(back, 1)) *(volatile char *)(page + 7) = (char)('a' + index);
}

static void *mapper(void *arg)
{
    unsigned seed = (unsigned)(intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int file = rand_r(&seed) % 2, first = rand_r(&seed) % (PAGES / 2), n = 4 + rand_r(&seed) % (PAGES / 2 - 4);
        char *p = mmap(0, (size_t)n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd[file], (off_t)first * PAGE);
        MUST(p == MAP_FAILED ? -1 : 0);
        for (int j = 0; j < n; j++) touch(p + j * PAGE, first + j);
        MUST(mprotect(p + PAGE, PAGE, PROT_READ));
        MUST(munmap(p + 2 * PAGE, PAGE));
        char *q = mremap(p + 3 * PAGE, (size_t)(n - 3) * PAGE, (size_t)(n - 2) * PAGE, MREMAP_MAYMOVE);
        MUST(q == MAP_FAILED ? -1 : 0);
        touch(p, first);
        for (int j = 3; j < n; j++) touch(q + (j - 3) * PAGE, first + j);
        MUST(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE));
        touch(p + PAGE, first + 1);
        MUST(munmap(p, 2 * PAGE));
        MUST(munmap(q, (size_t)(n - 2) * PAGE));
    }
    return 0;
}

static void *cutter(void *arg)
{
    (void)arg;
    for (unsigned seed = 5; !stop;) {
        int file = rand_r(&seed) % 2;
        MUST(ftruncate(fd[file], (off_t)(rand_r(&seed) % PAGES) * PAGE));
        MUST(ftruncate(fd[file], PAGES * PAGE));
    }
    return 0;
}

static void *writer(void *arg)
{
    (void)arg;
    for (int i = 0; !stop; i++) MUST(fsync(fd[i & 1]));
    return 0;
}

int main(void)
{
    enter_scratch();
    signal(SIGBUS, handler);
    for (int i = 0; i < 2; i++) {
        fd[i] = (int)MUST(open(i ? "g" : "f", O_RDWR | O_CREAT | O_TRUNC, 0644));
        MUST(ftruncate(fd[i], PAGES * PAGE));
    }
    pthread_t t[5];
    for (intptr_t i = 0; i < 3; i++) MUST(-pthread_create(&t[i], 0, mapper, (void *)i));
    MUST(-pthread_create(&t[3], 0, cutter, 0));
    MUST(-pthread_create(&t[4], 0, writer, 0));
    for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
    stop = true;
    for (int i = 3; i < 5; i++) pthread_join(t[i], 0);

    // Every page has its letter or nothing, and no mapping shows what is truncated now.
    bool ok = true;
    for (int i = 0; i < 2; i++) {
        for (int page = 0; page < PAGES; page++) {
            char c[16];
            MUST(pread(fd[i], c, sizeof c, (off_t)page * PAGE));
            for (int k = 0; k < 16; k++) ok = ok && (c[k] == 0 || (k == 7 && c[k] == 'a' + page));
        }
        SHOW(ftruncate(fd[i], 0));
        SHOW(close(fd[i]));
    }
    IS(ok);
    return done();
}
