// Files in memory: private and shared mappings, write back, coherence with read and write, faults beyond the end.
//@ shows msync
#include "test.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

enum { PAGE = 4096 };
static sigjmp_buf back;
static void handler(int s) { siglongjmp(back, s); }

static int faults(volatile char *p)
{
    int s = sigsetjmp(back, 1);
    if (s) return s;
    (void)*p;
    return 0;
}

int main(void)
{
    enter_scratch();
    signal(SIGSEGV, handler);
    signal(SIGBUS, handler);
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    char buf[PAGE];
    memset(buf, 'a', PAGE);
    MUST(write(fd, buf, PAGE));
    MUST(write(fd, buf, 100));

    section("private");
    char *p = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    IS(p != MAP_FAILED && p[0] == 'a' && p[PAGE + 99] == 'a' && p[PAGE + 100] == 0);
    p[0] = 'P';
    MUST(pread(fd, buf, 1, 0));
    IS(buf[0] == 'a');
    SHOW(munmap(p, 2 * PAGE));

    section("shared");
    p = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *q = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    IS(p != MAP_FAILED && q != MAP_FAILED);
    p[1] = 'S';
    MUST(pread(fd, buf, 2, 0));
    IS(buf[1] == 'S');
    MUST(pwrite(fd, "W", 1, PAGE + 5));
    IS(p[PAGE + 5] == 'W' && q[5] == 'W');
    p[PAGE + 6] = 'X';
    IS(q[6] == 'X');
    SHOW(msync(p, 2 * PAGE, MS_SYNC));
    SHOW(close(fd));
    p[2] = 'C';
    fd = (int)MUST(open("f", O_RDWR));
    MUST(pread(fd, buf, 3, 0));
    IS(buf[2] == 'C');
    struct stat st;
    MUST(fstat(fd, &st));
    SHOW(st.st_size);

    section("times");
    const struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
#define MOVED() (MUST(fstat(fd, &st)), st.st_mtime > 1500000000 && st.st_ctime >= st.st_mtime)
    MUST(msync(p, PAGE, MS_SYNC)); /* clean again: the next write faults */
    MUST(futimens(fd, old));
    (void)*(volatile char *)p;
    IS(!MOVED());
    char *priv = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    priv[0] = 'p';
    IS(!MOVED());
    p[0] = '1';
    IS(MOVED());
    MUST(msync(p, PAGE, MS_SYNC));
    IS(MOVED());
    MUST(futimens(fd, old));
    IS(!MOVED());
    p[0] = '2';
    MUST(msync(p, PAGE, MS_SYNC));
    IS(MOVED());
    MUST(futimens(fd, old));
    p[0] = '3';
    MUST(fsync(fd));
    IS(MOVED());
    MUST(munmap(priv, PAGE));
    MUST(futimens(fd, old));
    MUST(pread(fd, buf, 1, 0));
    IS(buf[0] == '3');
    MUST(fstat(fd, &st));
    IS(st.st_atime > 1500000000);

    section("end of file");
    char *r = mmap(0, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    IS(faults(r + PAGE + 200) == 0);
    IS(faults(r + 2 * PAGE) == SIGBUS);
    SHOW(ftruncate(fd, 3 * PAGE));
    IS(faults(r + 2 * PAGE) == 0 && r[2 * PAGE] == 0);
    SHOW(ftruncate(fd, 10));
    IS(faults(r + PAGE) == SIGBUS);
    SHOW(ftruncate(fd, PAGE));
    IS(r[10] == 0 && r[2] == 'C');

    section("refused");
    int ro = (int)MUST(open("f", O_RDONLY));
    IS(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES);
    IS(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0) != MAP_FAILED);
    int wo = (int)MUST(open("f", O_WRONLY));
    IS(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, wo, 0) == MAP_FAILED && errno == EACCES);
    IS(mmap(0, PAGE, PROT_READ, MAP_SHARED, ro, 100) == MAP_FAILED && errno == EINVAL);
    int pipes[2];
    MUST(pipe(pipes));
    IS(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0) == MAP_FAILED && errno == ENODEV);

    section("unlinked file stays mapped");
    SHOW(unlink("f"));
    close(fd), close(ro), close(wo);
    IS(r[2] == 'C');

    section("shared anonymous and /dev/shm");
    char *a = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    IS(a != MAP_FAILED && *a == 0);
    int shm = (int)SHOW(shm_open("/unibody-test-shm", O_RDWR | O_CREAT | O_EXCL, 0600) >= 0 ? 0 : -1);
    shm = (int)MUST(shm_open("/unibody-test-shm", O_RDWR, 0));
    SHOW(ftruncate(shm, PAGE));
    a = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    char *b = mmap(0, PAGE, PROT_READ, MAP_SHARED, shm, 0);
    strcpy(a, "seen twice");
    printf("%s\n", b);
    SHOW(shm_unlink("/unibody-test-shm"));
    return done();
}
