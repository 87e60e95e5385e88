// Space and sizes: fallocate, copy_file_range, preadv2 and pwritev2, sendfile, limits.
//@ shows sendfile ftruncate
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static struct stat st;
static long size(int fd) { return MUST(fstat(fd, &st)), (long)st.st_size; }

static int ends[2];

static void *back_and_forth(void *mine)
{
    int from = *(int *)mine, to = ends[from == ends[0]];
    for (int i = 0; i < 3000; i++) {
        sendfile(to, from, NULL, 100);
        if (i % 10 == 0) lseek(from, 0, SEEK_SET);
    }
    return NULL;
}

int main(void)
{
    char buf[300] = "";
    int p[2];
    off_t from, to;
    enter_scratch();
    signal(SIGXFSZ, SIG_IGN);
    int f = (int)MUST(open("f", O_RDWR | O_CREAT, 0644)), d = (int)MUST(open(".", O_RDONLY));
    MUST(pipe(p));

    section("fallocate");
    SHOW(fallocate(f, 0, 0, 10000));
    printf("%ld\n", size(f));
    IS(st.st_blocks >= 20);
    SHOW(fallocate(f, 1, 0, 50000));
    printf("%ld\n", size(f));
    MUST(pwrite(f, "data", 4, 4096));
    SHOW(fallocate(f, 3, 0, 8192));
    SHOW(pread(f, buf, 4, 4096));
    IS(!memcmp(buf, "\0\0\0", 4));
    SHOW(fallocate(f, 2, 0, 100));
    SHOW(fallocate(f, 16, 0, 12288));
    printf("%ld\n", size(f));
    SHOW(fallocate(f, 17, 0, 20480));
    printf("%ld\n", size(f));
    SHOW(fallocate(f, 0, -1, 10));
    SHOW(fallocate(f, 0, 0, 0));
    SHOW(fallocate(f, 0, INT64_MAX, 10));
    SHOW(fallocate(d, 0, 0, 10));
    SHOW(fallocate(p[1], 0, 0, 10));
    SHOWE(posix_fallocate(f, 20000, 10));
    printf("%ld\n", size(f));

    section("copy_file_range");
    MUST(pwrite(f, "hello world", 11, 0));
    from = 0, to = 100;
    SHOW(copy_file_range(f, &from, f, &to, 11, 0));
    IS(from == 11 && to == 111);
    from = 0, to = 5;
    SHOW(copy_file_range(f, &from, f, &to, 11, 0));
    SHOW(copy_file_range(f, &from, d, &to, 11, 0));
    SHOW(copy_file_range(d, &from, f, &to, 11, 0));
    SHOW(copy_file_range(f, &from, f, &to, 1, 1));
    SHOW(copy_file_range(p[0], NULL, f, &to, 1, 0));
    int append = (int)MUST(open("a", O_WRONLY | O_CREAT | O_APPEND, 0644)), g = (int)MUST(open("g", O_RDWR | O_CREAT, 0644));
    SHOW(copy_file_range(f, NULL, append, NULL, 5, 0));
    SHOW(copy_file_range(append, NULL, g, NULL, 5, 0));
    from = 1000000;
    SHOW(copy_file_range(f, &from, g, NULL, 5, 0));

    section("vectors with flags");
    struct iovec iov[2] = { { "ab", 2 }, { "cd", 2 } };
    SHOW(syscall(SYS_pwritev2, g, iov, 2, 10L, 0L, 0));
    SHOW(syscall(SYS_pwritev2, g, iov, 2, -1L, 0L, 0));
    SHOW(lseek(g, 0, SEEK_CUR));
    SHOW(syscall(SYS_pwritev2, g, iov, 2, 0L, 0L, 2));
    SHOW(syscall(SYS_pwritev2, g, iov, 2, 0L, 0L, 4));
    SHOW(syscall(SYS_pwritev2, g, iov, 2, 0L, 0L, 16));
    printf("%ld\n", size(g));
    SHOW(syscall(SYS_pwritev2, g, iov, 2, 0L, 0L, 0x10000));
    iov[0].iov_base = buf, iov[1].iov_base = buf + 2;
    SHOW(syscall(SYS_preadv2, g, iov, 2, 10L, 0L, 0));
    IS(!memcmp(buf, "abcd", 4));
    SHOW(syscall(SYS_preadv2, g, iov, 2, 0L, 0L, 1));
    SHOW(syscall(SYS_preadv2, g, iov, 2, 0L, 0L, 0x10000));
    SHOW(syscall(SYS_preadv2, g, iov, 2, -2L, 0L, 0));
    SHOW(syscall(SYS_preadv2, p[0], iov, 1, 0L, 0L, 0));
    SHOW(readv(g, iov, 1025));
    SHOW(readv(g, iov, -1));
    SHOW(writev(g, iov, 0));
    SHOW(pread(g, buf, 1, -1));
    SHOW(pwrite(g, buf, 1, INT64_MAX));

    section("sendfile");
    from = 0;
    SHOW(sendfile(p[1], f, &from, 5));
    IS(from == 5);
    SHOW(read(p[0], buf, 10));
    IS(!memcmp(buf, "hello", 5));
    SHOW(sendfile(f, p[0], NULL, 1));
    SHOW(sendfile(p[0], f, NULL, 1));
    from = -1;
    SHOW(sendfile(p[1], f, &from, 4));
    // Both descriptors have a position: they may be the same file or even the same description.
    MUST(lseek(f, 0, SEEK_SET));
    SHOW(sendfile(f, f, NULL, 5));
    SHOW(lseek(f, 0, SEEK_CUR));
    ends[0] = f, ends[1] = g;
    pthread_t other;
    IS(!pthread_create(&other, NULL, back_and_forth, ends + 1));
    back_and_forth(ends);
    IS(!pthread_join(other, NULL));

    section("limits");
    // Standard output may be a file, too: print nothing while the limit is in force.
    struct rlimit limit = { 1000, RLIM_INFINITY };
    long found[6];
    MUST(ftruncate(g, 0)), MUST(setrlimit(RLIMIT_FSIZE, &limit));
    found[0] = pwrite(g, buf, 200, 900);
    found[1] = pwrite(g, buf, 1, 1000) == -1 ? errno : 0;
    found[2] = ftruncate(g, 1001) == -1 ? errno : 0;
    found[3] = ftruncate(g, 1000) == -1 ? errno : 0;
    found[4] = posix_fallocate(g, 0, 2000);
    limit.rlim_cur = RLIM_INFINITY;
    found[5] = setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 6; i++) printf("%ld\n", found[i]);
    limit = (struct rlimit){ 10, 5 };
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    SHOW(setrlimit(99, &limit));
    limit = (struct rlimit){ 40, 40 };
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    SHOW(dup2(0, 40));
    SHOW(dup2(0, 39));
    while (dup(0) >= 0) {}
    printf("%s\n", errname(errno));
    SHOW(open("none", O_RDWR | O_CREAT, 0600));
    SHOW(pipe(p));
    SHOW(fcntl(0, F_DUPFD, 40));
    SHOW(syscall(436, 20, 100, 0));
    SHOW(access("none", F_OK));
    return done();
}
