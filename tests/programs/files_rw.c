// Reading and writing: offsets, append, sparse files, truncation, vectors, positional calls.
//@ shows read write pread64 pwrite64 fallocate truncate
#include "test.h"
#include <sys/uio.h>

static off_t size(int fd) { struct stat st; return fstat(fd, &st) ? -1 : st.st_size; }

int main(void)
{
    char buf[8192];
    enter_scratch();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    SHOW(write(fd, "hello world", 11));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, 6, SEEK_SET));
    SHOW(read(fd, buf, 100));
    printf("%.5s\n", buf);
    SHOW(lseek(fd, -5, SEEK_END));
    SHOW(lseek(fd, -100, SEEK_CUR));
    SHOW(lseek(fd, 3, 77));
    SHOW(write(fd, "W", 1));
    SHOW(pread(fd, buf, 11, 0));
    printf("%.11s\n", buf);
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwrite(fd, "J", 1, 0));
    SHOW(pread(fd, buf, 1, -1));
    SHOW(pread(fd, buf, 10, 1000));

    section("sparse");
    SHOW(lseek(fd, 1000000, SEEK_SET));
    SHOW(size(fd));
    SHOW(write(fd, "end", 3));
    SHOW(size(fd));
    SHOW(pread(fd, buf, 4096, 500000));
    bool zero = true;
    for (int i = 0; i < 4096; i++) zero = zero && buf[i] == 0;
    IS(zero);
    SHOW(pread(fd, buf, 100, 999999));
    printf("%d%.3s\n", buf[0], buf + 1);

    section("truncate");
    SHOW(ftruncate(fd, 5));
    SHOW(size(fd));
    SHOW(ftruncate(fd, 20));
    SHOW(pread(fd, buf, 100, 0));
    printf("%.5s %d %d\n", buf, buf[5], buf[19]);
    SHOW(truncate("f", 3));
    SHOW(size(fd));
    SHOW(truncate("none", 3));
    SHOW(truncate("f", -1));
    SHOW(truncate(".", 1));
    int ro = (int)MUST(open("f", O_RDONLY));
    SHOW(ftruncate(ro, 1));

    section("append");
    int ap = (int)MUST(open("f", O_WRONLY | O_APPEND));
    SHOW(lseek(ap, 0, SEEK_SET));
    SHOW(write(ap, "++", 2));
    SHOW(write(fd, "", 0));
    SHOW(lseek(ap, 0, SEEK_CUR));
    SHOW(pread(ro, buf, 100, 0));
    printf("%.5s\n", buf);
    SHOW(fcntl(ap, F_SETFL, 0));
    SHOW(lseek(ap, 0, SEEK_SET));
    SHOW(write(ap, "__", 2));
    SHOW(pread(ro, buf, 100, 0));
    printf("%.5s\n", buf);

    section("vectors");
    SHOW(ftruncate(fd, 0));
    SHOW(lseek(fd, 0, SEEK_SET));
    struct iovec v[3] = { { "abc", 3 }, { "", 0 }, { "defgh", 5 } };
    SHOW(writev(fd, v, 3));
    SHOW(writev(fd, v, 0));
    SHOW(writev(fd, v, -1));
    SHOW(writev(fd, v, 5000));
    SHOW(pwritev(fd, v, 3, 4));
    char a[3], b[6];
    struct iovec r[2] = { { a, 3 }, { b, 6 } };
    SHOW(preadv(fd, r, 2, 0));
    printf("%.3s %.6s\n", a, b);
    SHOW(lseek(fd, 2, SEEK_SET));
    SHOW(readv(fd, r, 2));
    printf("%.3s %.6s\n", a, b);

    section("large");
    SHOW(ftruncate(fd, 0));
    SHOW(lseek(fd, 0, SEEK_SET));
    for (int i = 0; i < 500; i++) {
        memset(buf, 'A' + i % 26, sizeof buf);
        MUST(write(fd, buf, 8000 + i % 100));
    }
    off_t total = size(fd), sum = 0, n;
    SHOW(total);
    SHOW(lseek(fd, 0, SEEK_SET));
    unsigned long hash = 5381;
    while ((n = read(fd, buf, 777)) > 0) {
        for (int i = 0; i < n; i++) hash = hash * 33 + (unsigned char)buf[i];
        sum += n;
    }
    IS(sum == total);
    printf("%lx\n", hash);
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(fsync(-1));
    SHOW(posix_fallocate(fd, 0, 5000000));
    SHOW(size(fd));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    return done();
}
