// O_DIRECT: alignment, coherence with the cache and with mappings, the end of the file. On a disk.
//@ disk 64M
#include "test.h"
#include <sys/mman.h>
#include <sys/uio.h>

int main(void)
{
    enter_scratch();
    char *b = aligned_alloc(4096, 16384), *c = aligned_alloc(4096, 16384);
    memset(b, 'a', 16384);
    int fd = MUST(open("file", O_RDWR | O_CREAT | O_DIRECT, 0644));
    IS(fcntl(fd, F_GETFL) & O_DIRECT);
    SHOW(write(fd, b, 8192));
    SHOW(pwrite(fd, b, 4096, 8192));
    section("alignment");
    SHOW(pwrite(fd, b, 100, 0));
    SHOW(pwrite(fd, b, 4096, 100));
    SHOW(pwrite(fd, b + 1, 4096, 0));
    SHOW(pread(fd, c, 100, 0));
    SHOW(pread(fd, c, 4096, 1));
    SHOW(pread(fd, c + 1, 4096, 0));
    SHOW(pread(fd, c, 0, 0));
    SHOW(pread(fd, c, 4096, 1 << 20));
    struct iovec v[2] = { { c, 4096 }, { c + 8192, 4096 } };
    SHOW(preadv(fd, v, 2, 0));
    IS(c[0] == 'a' && c[8192 + 4095] == 'a');
    section("with the cache");
    int other = MUST(open("file", O_RDWR));
    MUST(pwrite(other, "cached", 6, 4096));
    SHOW(pread(fd, c, 4096, 4096));
    IS(!memcmp(c, "cacheda", 7));
    memset(b, 'd', 4096);
    SHOW(pwrite(fd, b, 4096, 4096));
    SHOW(pread(other, c, 6, 4096));
    IS(!memcmp(c, "dddddd", 6));
    SHOW(fsync(fd));
    section("the end");
    MUST(ftruncate(other, 5000));
    SHOW(pread(fd, c, 8192, 0));
    SHOW(pread(fd, c, 4096, 4096));
    SHOW(pread(fd, c, 4096, 8192));
    section("turned off and on");
    SHOW(fcntl(fd, F_SETFL, 0));
    SHOW(pread(fd, c, 100, 1));
    SHOW(fcntl(fd, F_SETFL, O_DIRECT));
    SHOW(pread(fd, c, 100, 1));
    // With a mapping as the buffer.
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    SHOW(pread(fd, m, 4096, 0));
    IS(m[0] == 'a');
    return done();
}
