// What mmap and related calls refuse, and the order of their checks.
//@ shows mlock2 mlockall munlockall
#include "test.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
/* The raw calls: musl's wrapper checks some arguments first. */
#define MAP(...) SHOW(syscall(SYS_mmap, __VA_ARGS__) > 0 ? 1 : -1)

static int rw, ro, wo, dir, pipes[2];

static void order(void)
{
    section("mmap");
    /* The offset, then the descriptor, then the length, the address, the file. */
    MAP(0, 0, PROT_READ, MAP_PRIVATE, 99, 1);
    MAP(0, 0, PROT_READ, MAP_PRIVATE, 99, 0);
    MAP(0, 0, PROT_READ, 0, -1, 0);
    MAP(0, PAGE, PROT_READ, 0, -1, 0);
    MAP(0, PAGE, PROT_READ, 0, rw, 0);
    MAP(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, 99, 0);
    MAP(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, rw, 0);
    MAP(0, 0, PROT_READ, MAP_PRIVATE, rw, 0);
    MAP(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MAP(0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0);
    MAP(0, PAGE, PROT_READ, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1, 0);
    MAP(0, PAGE, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE, 99, 0);
    MAP(0, PAGE, PROT_READ, MAP_ANONYMOUS | 0xf, -1, 0);
    MAP(0, PAGE, PROT_READ, 0xf, rw, 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE, rw, 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, rw, 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x40000080, rw, 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x80000000, rw, 0);
    MAP(0x200000, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, rw, 0);
    MAP(0, -1ul, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    MAP(0, -PAGE, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    MAP(0, 1ul << 47, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    MAP(0x100001, PAGE, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0);
    MAP(0x100001, 1ul << 47, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0);
    MAP(1ul << 47, PAGE, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0);
    MAP(0x100001, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, wo, 0);
    MAP(0x100001, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 99, 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED, wo, 0);
    MAP(0, PAGE, PROT_READ, MAP_PRIVATE, wo, 0);
    MAP(0, PAGE, PROT_WRITE, MAP_SHARED, ro, 0);
    MAP(0, PAGE, PROT_WRITE, MAP_PRIVATE, ro, 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED, dir, 0);
    MAP(0, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED, pipes[1], 0);
    MAP(0, PAGE, PROT_READ, MAP_SHARED, rw, LONG_MIN);
    MAP(0, PAGE, PROT_READ, MAP_SHARED, wo, LONG_MIN);
    char *m = mmap(0, 2 * PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    IS(mmap(m, PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    IS(munmap(m + PAGE, PAGE) == 0);
    IS(mmap(m + PAGE, PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == m + PAGE);

    section("munmap, mprotect, mremap");
    SHOW(munmap(m + 1, PAGE));
    SHOW(munmap(m, 0));
    SHOW(munmap((void *)(1ul << 47), PAGE));
    SHOW(munmap(m, -PAGE));
    SHOW(munmap((void *)0x200000, PAGE));
    SHOW(syscall(SYS_mprotect, m + 1, PAGE, PROT_READ));
    SHOW(syscall(SYS_mprotect, m, 0, 0x77));
    SHOW(syscall(SYS_mprotect, m, PAGE, 0x77));
    SHOW(syscall(SYS_mprotect, m, -1ul, PROT_READ));
    SHOW(syscall(SYS_mprotect, m, -PAGE, PROT_READ));
    SHOW(syscall(SYS_mprotect, 1ul << 48, PAGE, PROT_READ));
    SHOW(syscall(SYS_mprotect, 0x200000, PAGE, PROT_READ));
    char *shared = mmap(0, PAGE, PROT_READ, MAP_SHARED, ro, 0);
    SHOW(mprotect(shared, PAGE, RW));
    IS(mremap(m + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    IS(mremap(m, PAGE, 0, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    IS(mremap((void *)0x200000, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
    IS(mremap(m, PAGE, 2 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
    /* The stack: this is how pthread_getattr_np determines its size. */
    char *here = (char *)((uintptr_t)&m & -PAGE);
    IS(mremap(here - PAGE, PAGE, 2 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
}

static void locks(void)
{
    char *m = mmap(0, 4 * PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    char *last = (char *)(LONG_MAX & -PAGE);
    MUST(munmap(m + 2 * PAGE, PAGE));

    section("mlock, munlock");
    SHOW(mlock(last, 8));
    SHOW(munlock(last, 8));
    SHOW(mlock2(last, 8, MLOCK_ONFAULT));
    SHOW(mlock2(m, 8, 2));
    SHOW(mlock((void *)(1ul << 47), PAGE));
    SHOW(mlock(m, 0));
    SHOW(mlock(last, 0));
    SHOW(mlock(m + 1, 10));
    SHOW(mlock(m, -1ul));
    SHOW(mlock(m, -PAGE));
    void *closed = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(mlock(closed, PAGE));
    SHOW(mlock2(closed, PAGE, MLOCK_ONFAULT));
    SHOW(munmap(closed, PAGE));
    SHOW(mlock(m + 10, -10));
    SHOW(mlock((void *)-PAGE, 8));
    SHOW(mlock((void *)-PAGE, PAGE + 1));
    SHOW(mlock(m + PAGE, 2 * PAGE));
    SHOW(munlock(m + PAGE, 2 * PAGE));
    SHOW(munlock(m, -PAGE));
    SHOW(mlock((void *)0x200000, 1));

    section("msync, mincore");
    unsigned char v[8];
    SHOW(msync(last, 8, MS_SYNC));
    SHOW(msync(m + 1, 8, MS_SYNC));
    SHOW(msync(m, PAGE, MS_SYNC | MS_ASYNC));
    SHOW(msync(m, PAGE, 8));
    SHOW(msync(last, 0, MS_SYNC));
    SHOW(msync(m, -PAGE, MS_SYNC));
    SHOW(msync(m, -1ul, MS_SYNC));
    SHOW(msync(m, 4 * PAGE, MS_ASYNC));
    SHOW(mincore(m + 1, PAGE, v));
    SHOW(mincore(last, PAGE, v));
    SHOW(mincore(m, 4 * PAGE, v));
    SHOW(mincore(m, 0, v));
    SHOW(mincore(m, PAGE, (void *)8));

    section("beyond a file's end");
    int fd = open("empty", O_CREAT | O_RDWR, 0600);
    char *e = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    SHOW(mlock(e, PAGE));
    SHOW(munlock(e, PAGE));
    IS(mlockall(MCL_CURRENT) == 0 || geteuid() != 0);
    SHOW(munlockall());
    SHOW(mlockall(0));
    SHOW(mlockall(MCL_ONFAULT));
    SHOW(mlockall(8));
    IS(mmap(0, PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) != MAP_FAILED);
    IS(mmap(0, PAGE, PROT_READ, MAP_SHARED | MAP_LOCKED, fd, 0) != MAP_FAILED);
    SHOW(madvise(e, PAGE, 22));
    SHOW(madvise(e, PAGE, MADV_WILLNEED));
}

static void advice(void)
{
    section("madvise");
    char *private = mmap(0, 2 * PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    char *shared = mmap(0, 2 * PAGE, RW, MAP_ANONYMOUS | MAP_SHARED, -1, 0);
    char *file = mmap(0, PAGE, RW, MAP_SHARED, rw, 0);
    char *copy = mmap(0, PAGE, RW, MAP_PRIVATE, rw, 0);
    char *none = mmap(0, PAGE, PROT_NONE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    char *hole = mmap(0, 3 * PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    char *locked = mmap(0, PAGE, RW, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    char *outside = (char *)(LONG_MAX & -PAGE);
    MUST(mlock(locked, PAGE));
    MUST(munmap(hole + PAGE, PAGE));
    static const int all[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
        MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT,
        22, 23, 77, -1 };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int a = all[i];
        printf("advice %d\n", a);
        SHOW(madvise(private, PAGE, a));
        SHOW(madvise(shared, PAGE, a));
        SHOW(madvise(file, PAGE, a));
        SHOW(madvise(copy, PAGE, a));
        SHOW(madvise(locked, PAGE, a));
        SHOW(madvise(none, PAGE, a));
        SHOW(madvise(hole, 3 * PAGE, a));
        SHOW(madvise(outside, PAGE, a));
        SHOW(madvise(private + 1, PAGE, a));
        SHOW(madvise(private, 0, a));
        SHOW(madvise(private, -1ul, a));
        SHOW(madvise(private, -PAGE, a));
        SHOW(posix_madvise(outside, PAGE, POSIX_MADV_NORMAL));
    }
}

int main(void)
{
    enter_scratch();
    rw = open("f", O_CREAT | O_RDWR, 0600);
    MUST(ftruncate(rw, 2 * PAGE));
    ro = open("f", O_RDONLY), wo = open("f", O_WRONLY), dir = open(".", O_RDONLY);
    MUST(pipe(pipes));
    order();
    locks();
    advice();
    return done();
}
