// Seals of memfds, one by one and together: what each forbids to write, truncate, fallocate, mmap, mprotect and chmod.
//@ env TEST_SCRATCH=/dev/shm
#include "test.h"
#include <sys/mman.h>
#include <sys/uio.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 16U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 32
#endif

static char buf[3 * 4096];

static void word(const char *name, long r)
{
    if (r == -1) printf(" %s %s", name, errname(errno));
    else printf(" %s %ld", name, r);
}

static long size_of(int fd)
{
    struct stat st;
    MUST(fstat(fd, &st));
    return st.st_size;
}

static void map(const char *name, int fd, int prot, int flags)
{
    char *p = mmap(0, 4096, prot, flags, fd, 0);
    printf(" %s", name);
    if (p == MAP_FAILED) {
        printf(" %s", errname(errno));
        return;
    }
    word("rw", mprotect(p, 4096, PROT_READ | PROT_WRITE));
    munmap(p, 4096);
}

static void sealed(int seals)
{
    int fd = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
    MUST(write(fd, buf, 5000));
    char *before = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    printf("%2d:", seals);
    word("add", fcntl(fd, F_ADD_SEALS, seals));
    word("get", fcntl(fd, F_GET_SEALS));
    word("again", fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    word("more", fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    word("write", pwrite(fd, buf, 10, 0));
    word("to the end", pwrite(fd, buf, 10, 4990));
    word("across", pwrite(fd, buf, 20, 4990));
    word("pages across", pwrite(fd, buf, 9000, 0));
    word("behind", pwrite(fd, buf, 10, 6000));
    word("nothing", pwrite(fd, buf, 0, 0));
    struct iovec v[2] = { { buf, 5000 }, { buf, 4000 } };
    word("pieces", pwritev(fd, v, 2, 0));
    word("size", size_of(fd));
    word("shrink", ftruncate(fd, 4500));
    word("same", ftruncate(fd, size_of(fd)));
    word("after", pwrite(fd, buf, 10, 4490));
    word("grow", ftruncate(fd, 20000));
    word("size", size_of(fd));
    word("allocate", fallocate(fd, 0, 0, 100));
    word("more", fallocate(fd, 0, 0, 30000));
    word("kept", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 60000));
    word("hole", fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
    word("hole behind", fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 1 << 20, 4096));
    map("shared w", fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    map("shared r", fd, PROT_READ, MAP_SHARED);
    map("private w", fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    word("chmod x", fchmod(fd, 0600));
    word("chmod", fchmod(fd, 0611));
    putchar('\n');
    munmap(before, 4096);
    close(fd);
}

int main(void)
{
    enter_scratch();
    section("each");
    for (int s = 0; s < 32; s++) sealed(s);
    section("others");
    int fd = MUST(memfd_create("plain", 0));
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_ADD_SEALS, 0));
    close(fd);
    fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    close(fd);
    int p[2];
    MUST(pipe(p));
    SHOW(fcntl(p[0], F_GET_SEALS));
    SHOW(fcntl(p[0], F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(p[1], F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(99, F_GET_SEALS));
    SHOW(memfd_create("x", 0x40));
    SHOW(memfd_create("x", MFD_NOEXEC_SEAL | MFD_EXEC));

    section("open for reading");
    fd = MUST(memfd_create("m", MFD_ALLOW_SEALING));
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int reader = MUST(open(name, O_RDONLY));
    SHOW(fcntl(reader, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(fcntl(reader, F_GET_SEALS));
    SHOW(fcntl(fd, F_ADD_SEALS, 0x1000));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(fcntl(reader, F_GET_SEALS));

    section("mapped");
    fd = MUST(memfd_create("m", MFD_ALLOW_SEALING));
    MUST(ftruncate(fd, 8192));
    char *w = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    MUST(mprotect(w, 8192, PROT_READ));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    // What is mapped stays writable.
    SHOW(mprotect(w, 8192, PROT_READ | PROT_WRITE));
    w[0] = 'w';
    char c = 0;
    SHOW(pread(fd, &c, 1, 0));
    IS(c == 'w');
    SHOW(pwrite(fd, "x", 1, 0));
    MUST(munmap(w, 4096));
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    MUST(munmap(w + 4096, 4096));
    char *priv = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    SHOW(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    priv[0] = 'p';
    SHOW(pread(fd, &c, 1, 0));
    IS(c == 'w');
    SHOW(fcntl(fd, F_GET_SEALS));

    section("executable");
    // Linux 6.3 and later.
    fd = memfd_create("m", MFD_NOEXEC_SEAL);
    struct stat st;
    bool known = fd != -1;
    IS(known || !in_vm());
    if (known) MUST(fstat(fd, &st));
    IS(!known || (st.st_mode & 0777) == 0666);
    IS(!known || fcntl(fd, F_GET_SEALS) == F_SEAL_EXEC);
    IS(!known || (fchmod(fd, 0755) == -1 && errno == EPERM));
    IS(!known || fchmod(fd, 0644) == 0);
    fd = memfd_create("m", MFD_EXEC | MFD_ALLOW_SEALING);
    if (known) MUST(fstat(fd, &st));
    IS(!known || (st.st_mode & 0777) == 0777);
    IS(!known || fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC) == 0);
    IS(!known || fcntl(fd, F_GET_SEALS) == 0x3e);
    return done();
}
