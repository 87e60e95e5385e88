// Mappings, reads and writes of one file see the same bytes, also while it is written back, truncated and grown. On a
// disk.
//@ disk 64M
//@ smp 2
//@ timeout 120
#include "test.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static long page;
static sigjmp_buf jump;
static volatile int sig_code;

static void on_bus(int signo, siginfo_t *i, void *uc)
{
    (void)signo, (void)uc;
    sig_code = i->si_code;
    siglongjmp(jump, 1);
}

// Whether touching it raises SIGBUS.
static bool bus(volatile char *p)
{
    if (sigsetjmp(jump, 1)) return sig_code == BUS_ADRERR;
    (void)*p;
    return false;
}

static char at(int fd, off_t pos)
{
    char c = '?';
    return pread(fd, &c, 1, pos) == 1 ? c : '?';
}

static char *map(int fd, size_t len, int prot, int flags)
{
    char *m = mmap(0, len, prot, flags, fd, 0);
    MUST(m == MAP_FAILED ? -1 : 0);
    return m;
}

static bool all(const char *p, char c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != c) return false;
    return true;
}

static volatile bool stop;
static void *syncer(void *arg)
{
    while (!stop) fsync((int)(intptr_t)arg);
    return 0;
}

struct half { char *m; int fd, id; long wrong; };
static void *incrementer(void *arg)
{
    // Each thread has its own words in every page; one writes through the mapping, the other by pwrite.
    struct half *h = arg;
    for (uint32_t round = 1; round <= 300; round++)
        for (int p = 0; p < 8; p++) {
            off_t pos = p * page + h->id * 64;
            uint32_t seen;
            if (h->id) {
                if (pwrite(h->fd, &round, 4, pos) != 4) h->wrong++;
                memcpy(&seen, h->m + pos, 4);
            } else {
                memcpy(h->m + pos, &round, 4);
                if (pread(h->fd, &seen, 4, pos) != 4) h->wrong++;
            }
            h->wrong += seen != round;
        }
    return 0;
}

int main(void)
{
    enter_scratch();
    page = sysconf(_SC_PAGESIZE);
    struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
    sigaction(SIGBUS, &sa, 0);
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    char *block = malloc(4 * page);
    memset(block, 'a', 4 * page);
    MUST(write(fd, block, 2 * page + 100));

    section("both ways");
    char *m = map(fd, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED);
    IS(all(m, 'a', 2 * page + 100) && all(m + 2 * page + 100, 0, page - 100));
    m[5] = 'b';
    IS(at(fd, 5) == 'b');
    MUST(pwrite(fd, "c", 1, page));
    IS(m[page] == 'c');
    SHOW(fsync(fd));
    m[5] = 'd';
    IS(at(fd, 5) == 'd');
    SHOW(msync(m, 4 * page, MS_SYNC));
    m[6] = 'e';
    SHOW(fdatasync(fd));
    IS(at(fd, 5) == 'd' && at(fd, 6) == 'e');

    section("dropped and read again");
    m[7] = 'f';
    SHOW(fsync(fd));
    MUST(munmap(m, 4 * page));
    SHOWE(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    IS(at(fd, 5) == 'd' && at(fd, 6) == 'e' && at(fd, 7) == 'f' && at(fd, page) == 'c');
    m = map(fd, 4 * page, PROT_READ | PROT_WRITE, MAP_SHARED);
    IS(m[5] == 'd' && m[7] == 'f' && m[2 * page + 99] == 'a');

    section("behind the end");
    IS(bus(m + 3 * page));
    memset(m + 2 * page + 100, 'x', page - 100);
    SHOW(fsync(fd));
    struct stat st;
    MUST(fstat(fd, &st));
    SHOW(st.st_size - 2 * page);
    // Bytes written through a mapping past the end belong to no file.
    MUST(ftruncate(fd, 3 * page));
    IS(at(fd, 2 * page + 99) == 'a' && at(fd, 2 * page + 100) == 0 && at(fd, 3 * page - 1) == 0);
    IS(all(m + 2 * page + 100, 0, page - 100));
    MUST(ftruncate(fd, 2 * page + 10));
    memset(m + 2 * page + 10, 'y', 50);
    MUST(pwrite(fd, "z", 1, 2 * page + 40));
    IS(at(fd, 2 * page + 9) == 'a' && at(fd, 2 * page + 20) == 0 && at(fd, 2 * page + 40) == 'z');

    section("cut");
    m[2 * page] = 'k';
    MUST(ftruncate(fd, page));
    IS(bus(m + page) && bus(m + 2 * page));
    MUST(ftruncate(fd, 3 * page));
    IS(m[page] == 0 && m[2 * page] == 0 && m[5] == 'd');
    m[2 * page] = 'n';
    IS(at(fd, 2 * page) == 'n');

    section("private");
    char *v = map(fd, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    v[5] = 'P';
    IS(at(fd, 5) == 'd' && m[5] == 'd' && v[5] == 'P');
    m[6] = 'Q';
    IS(v[page] == 0);
    MUST(pwrite(fd, "R", 1, page));
    IS(v[page] == 'R' && v[5] == 'P');

    section("a read into a mapping of the same file, and a write from one");
    MUST(ftruncate(fd, 0));
    for (int i = 0; i < 4; i++) block[i * page] = '0' + i;
    MUST(pwrite(fd, block, 4 * page, 0));
    SHOW(pread(fd, m + 2 * page, 2 * page, 0) / page);
    IS(m[2 * page] == '0' && m[3 * page] == '1');
    SHOW(pwrite(fd, m + 3 * page, page, 5 * page) / page);
    IS(at(fd, 5 * page) == '1' && at(fd, 4 * page) == 0);

    section("times");
    const struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
#define MOVED() (MUST(fstat(fd, &st)), st.st_mtime > 1500000000 && st.st_ctime > 1500000000)
    MUST(fsync(fd));
    MUST(futimens(fd, old));
    MUST(fstat(fd, &st));
    IS(st.st_mtime == 1000000000);
    m[0] = 'm';
    IS(MOVED());
    MUST(msync(m, page, MS_SYNC));
    MUST(futimens(fd, old));
    m[0] = 'n';
    MUST(fsync(fd));
    IS(MOVED());
    MUST(futimens(fd, old));
    MUST(pread(fd, &(char){ 0 }, 1, 0));
    MUST(fstat(fd, &st));
    IS(st.st_atime > 1500000000);

    section("two threads and write-back");
    MUST(ftruncate(fd, 0));
    MUST(ftruncate(fd, 8 * page));
    char *w = map(fd, 8 * page, PROT_READ | PROT_WRITE, MAP_SHARED);
    pthread_t t[3];
    struct half h[2] = { { w, fd, 0, 0 }, { w, fd, 1, 0 } };
    MUST0(pthread_create(&t[2], 0, syncer, (void *)(intptr_t)fd));
    for (int i = 0; i < 2; i++) MUST0(pthread_create(&t[i], 0, incrementer, &h[i]));
    for (int i = 0; i < 2; i++) MUST0(pthread_join(t[i], 0));
    stop = true;
    MUST0(pthread_join(t[2], 0));
    IS(h[0].wrong == 0 && h[1].wrong == 0);
    SHOW(fsync(fd));
    MUST(munmap(w, 8 * page));
    SHOWE(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
    int right = 0;
    for (int p = 0; p < 8; p++)
        for (int id = 0; id < 2; id++) {
            uint32_t n = 0;
            pread(fd, &n, 4, p * page + id * 64);
            right += n == 300;
        }
    SHOW(right);
    return done();
}
