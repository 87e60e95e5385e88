// fsync, fdatasync, sync, syncfs, sync_file_range, msync, O_SYNC, O_DSYNC, RWF_*, posix_fadvise, readahead: what they
// accept and refuse, on files, directories, pipes, sockets and bad descriptors.
//@ shows fsync fdatasync sync syncfs sync_file_range readahead fadvise64
#include "test.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef RWF_HIPRI
#define RWF_HIPRI 1
#define RWF_DSYNC 2
#define RWF_SYNC 4
#define RWF_NOWAIT 8
#define RWF_APPEND 16
#endif

static ssize_t pwv2(int fd, const char *text, off_t at, int flags)
{
    struct iovec v = { (void *)text, strlen(text) };
    return syscall(SYS_pwritev2, fd, &v, 1, at, 0, flags);
}

static ssize_t prv2(int fd, char *buf, size_t n, off_t at, int flags)
{
    struct iovec v = { buf, n };
    return syscall(SYS_preadv2, fd, &v, 1, at, 0, flags);
}

static void each(const char *name, int fd)
{
    section(name);
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(syncfs(fd));
    SHOW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
    SHOW(sync_file_range(fd, 0, 0, 0));
    SHOWE(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
}

int main(void)
{
    enter_scratch();
    char buf[64] = { 0 };
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
    MUST(write(fd, "hello", 5));
    each("a file", fd);

    int ro = MUST(open("file", O_RDONLY));
    each("a file open for reading", ro);
    int dir = MUST(open(".", O_RDONLY | O_DIRECTORY));
    each("a directory", dir);
    int path = MUST(open("file", O_PATH));
    section("O_PATH");
    SHOW(fsync(path));
    SHOW(fdatasync(path));
    SHOW(syncfs(path));
    SHOW(sync_file_range(path, 0, 0, 0));
    SHOWE(posix_fadvise(path, 0, 0, POSIX_FADV_NORMAL));
    int p[2];
    MUST(pipe(p));
    section("a pipe");
    SHOW(fsync(p[0]));
    SHOW(fdatasync(p[1]));
    SHOW(sync_file_range(p[1], 0, 0, 0));
    SHOWE(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL));
    SHOW(readahead(p[0], 0, 10));
    int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    section("a socket");
    SHOW(fsync(s));
    SHOW(fdatasync(s));
    SHOW(sync_file_range(s, 0, 0, 0));
    int e = MUST(eventfd(0, 0));
    section("an eventfd");
    SHOW(fsync(e));
    SHOW(fdatasync(e));
    section("no descriptor");
    SHOW(fsync(-1));
    SHOW(fdatasync(999));
    SHOW(syncfs(-1));
    SHOW(sync_file_range(-1, 0, 0, 0));
    SHOWE(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL));
    SHOW(readahead(-1, 0, 10));
    SHOW(readahead(MUST(open("file", O_WRONLY)), 0, 10));
    SHOW(readahead(fd, 0, 1 << 20));

    section("arguments");
    SHOW(sync_file_range(fd, -1, 0, 0));
    SHOW(sync_file_range(fd, 0, -1, 0));
    SHOW(sync_file_range(fd, 0, 0, 8));
    SHOWE(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
    SHOWE(posix_fadvise(fd, 0, 0, 99));
    for (int advice = 0; advice <= 5; advice++) SHOWE(posix_fadvise(fd, 0, 0, advice));
    SHOWE(posix_fadvise(fd, 1 << 30, 1 << 30, POSIX_FADV_DONTNEED));
    sync();

    section("O_SYNC and O_DSYNC");
    int os = MUST(open("sync", O_RDWR | O_CREAT | O_SYNC, 0644));
    int od = MUST(open("dsync", O_RDWR | O_CREAT | O_DSYNC | O_APPEND, 0644));
    SHOW(write(os, "one", 3));
    SHOW(pwrite(os, "two", 3, 10));
    SHOW(write(od, "three", 5));
    IS((fcntl(os, F_GETFL) & O_SYNC) == O_SYNC);
    IS((fcntl(od, F_GETFL) & O_SYNC) == O_DSYNC);
    // Not one of the flags that F_SETFL changes.
    SHOW(fcntl(od, F_SETFL, O_SYNC));
    IS((fcntl(od, F_GETFL) & (O_SYNC | O_APPEND)) == O_DSYNC);

    section("RWF");
    MUST(ftruncate(fd, 0));
    MUST(lseek(fd, 0, SEEK_SET));
    SHOW(pwv2(fd, "abc", -1, 0));
    SHOW(pwv2(fd, "def", -1, RWF_DSYNC));
    SHOW(pwv2(fd, "ghi", 6, RWF_SYNC | RWF_HIPRI));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwv2(fd, "end", 0, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pwv2(fd, "END", -1, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(prv2(fd, buf, sizeof buf, 0, RWF_HIPRI));
    printf("%s\n", buf);
    SHOW(pwv2(fd, "x", 0, 0x40000000));
    SHOW(prv2(fd, buf, 1, 0, 0x40000000));
    SHOW(pwv2(fd, "x", -2, RWF_APPEND));
    SHOW(pwv2(ro, "x", 0, RWF_SYNC));
    SHOW(pwv2(p[1], "pipe", -1, RWF_SYNC));
    SHOW(prv2(p[0], buf, 4, -1, 0));

    section("msync");
    long page = sysconf(_SC_PAGESIZE);
    MUST(ftruncate(fd, 3 * page));
    char *m = mmap(0, 3 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(m == MAP_FAILED ? -1 : 0);
    m[0] = 'M';
    m[2 * page] = 'N';
    SHOW(msync(m, 3 * page, MS_SYNC));
    SHOW(msync(m, 3 * page, MS_ASYNC));
    SHOW(msync(m, 3 * page, MS_SYNC | MS_INVALIDATE));
    SHOW(msync(m, 1, MS_SYNC));
    SHOW(msync(m, 0, MS_SYNC));
    SHOW(msync(m, page, 0));
    SHOW(msync(m, page, MS_SYNC | MS_ASYNC));
    SHOW(msync(m, page, 64));
    SHOW(msync(m + 1, page, MS_SYNC));
    MUST(mlock(m, page));
    SHOW(msync(m, page, MS_INVALIDATE));
    SHOW(msync(m, page, MS_SYNC | MS_INVALIDATE));
    SHOW(munlock(m, page));
    MUST(munmap(m + page, page));
    SHOW(msync(m, 3 * page, MS_SYNC));
    SHOW(msync(m, 3 * page, MS_ASYNC));
    SHOW(msync(m + page, page, MS_SYNC));
    SHOW(madvise(m, page, MADV_WILLNEED));
    SHOW(madvise(m, 3 * page, MADV_WILLNEED));
    char *anon = mmap(0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(msync(anon, page, MS_SYNC));
    char *priv = mmap(0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    priv[0] = 'P';
    SHOW(msync(priv, page, MS_SYNC));
    SHOW(pread(fd, buf, 1, 0));
    IS(buf[0] == 'M');
    return done();
}
