// Locks, modes, owners, times and lengths of objects outside any file system, or in /proc or /dev.
#include "test.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static struct flock range(short kind, off_t start, off_t len)
{
    return (struct flock){ .l_type = kind, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static void locks(const char *name, int a, int b)
{
    struct flock l;
    section(name);
    SHOW(flock(a, LOCK_EX | LOCK_NB));
    SHOW(flock(b, LOCK_EX | LOCK_NB));
    SHOW(flock(a, LOCK_SH | LOCK_NB));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(a, LOCK_UN));
    SHOW(flock(b, LOCK_UN));
    l = range(F_RDLCK, 0, 10);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_WRLCK, 5, 10);
    SHOW(fcntl(b, F_SETLK, &l));
    l = range(F_WRLCK, 0, 0);
    SHOW(fcntl(a, F_GETLK, &l));
    SHOW(l.l_type == F_UNLCK);
    l = range(F_UNLCK, 0, 0);
    SHOW(fcntl(a, F_SETLK, &l));
    l = range(F_RDLCK, 0, 10);
    SHOW(fcntl(a, F_OFD_SETLK, &l));
    l = range(F_WRLCK, 5, 1);
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    SHOW(fcntl(b, F_OFD_GETLK, &l));
    printf("  %d from %ld for %ld\n", l.l_type, (long)l.l_start, (long)l.l_len);
    // Its locks end with the description.
    int other = (int)MUST(dup(a));
    MUST(close(a));
    l = range(F_WRLCK, 5, 1);
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    MUST(close(other));
    SHOW(fcntl(b, F_OFD_SETLK, &l));
}

static void attributes(const char *name, int a, int b)
{
    struct stat st;
    struct timespec t[2] = { { 100, 5 }, { 200, 6 } };
    section(name);
    MUST(fstat(a, &st));
    printf("mode %o owner %u:%u size %ld\n", st.st_mode, st.st_uid, st.st_gid, (long)st.st_size);
    SHOW(fchmod(a, 0640));
    SHOW(fchown(a, 12, 34));
    SHOW(futimens(a, t));
    MUST(fstat(b, &st));
    printf("mode %o owner %u:%u times %ld %ld\n", st.st_mode, st.st_uid, st.st_gid, (long)st.st_atime, (long)st.st_mtime);
    SHOW(fchown(a, (uid_t)-1, 0));
    SHOW(fchown(a, 0, (gid_t)-1));
    SHOW(fchmod(a, 0600));
    MUST(fstat(a, &st));
    printf("mode %o owner %u:%u\n", st.st_mode, st.st_uid, st.st_gid);
}

static void lengths(const char *name, int fd)
{
    section(name);
    SHOW(ftruncate(fd, 0));
    SHOW(ftruncate(fd, 10));
    SHOW(fallocate(fd, 0, 0, 10));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(fsync(fd));
}

int main(void)
{
    int p[2], s[2], e = (int)MUST(eventfd(0, 0)), epoll = (int)MUST(epoll_create1(0));
    char path[64];
    enter_scratch();
    MUST(pipe(p));
    attributes("attributes of a pipe", p[0], p[1]);
    // Through another name of the same object.
    struct stat st;
    snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
    SHOW(chmod(path, 0444));
    SHOW(chown(path, 5, 6));
    MUST(stat(path, &st));
    printf("mode %o owner %u:%u\n", st.st_mode, st.st_uid, st.st_gid);
    MUST(fstat(p[1], &st));
    printf("mode %o owner %u:%u\n", st.st_mode, st.st_uid, st.st_gid);
    IS(st.st_ctime > 1000000000);
    lengths("lengths of a pipe", p[1]);
    locks("locks of a pipe's ends", p[0], p[1]);
    MUST(mkfifo("fifo", 0600));
    int fifo = (int)MUST(open("fifo", O_RDWR)), again = (int)MUST(open("fifo", O_RDWR));
    attributes("attributes of a FIFO", fifo, again);
    MUST(stat("fifo", &st));
    printf("mode %o\n", st.st_mode);
    lengths("lengths of a FIFO", fifo);
    locks("locks of a FIFO", fifo, again);
    locks("locks of /dev/null", (int)MUST(open("/dev/null", O_RDWR)), (int)MUST(open("/dev/null", O_RDWR)));
    lengths("lengths of /dev/null", (int)MUST(open("/dev/null", O_RDWR)));
    SHOW(close((int)MUST(open("/dev/null", O_RDWR | O_TRUNC))));
    locks("locks of a folder", (int)MUST(open(".", O_RDONLY)), (int)MUST(open(".", O_RDONLY)));
    locks("locks of a file in /proc", (int)MUST(open("/proc/self/stat", O_RDONLY)), (int)MUST(open("/proc/self/stat", O_RDONLY)));
    int comm = (int)MUST(open("/proc/self/comm", O_RDWR));
    lengths("lengths of a file in /proc", comm);
    SHOW(fchmod(comm, 0600));
    SHOW(truncate("/proc/self/stat", 0));
    SHOW(truncate("/proc/self/comm", 0));
    SHOW(truncate("/proc/self/fd", 0));
    SHOW(open("/proc/self/comm", O_RDWR | O_TRUNC) >= 0);
    SHOW(open("/proc/self/comm", O_RDWR | O_CREAT, 0600) >= 0);
    SHOW(open("/proc/self/comm", O_RDWR | O_CREAT | O_EXCL, 0600) >= 0);
    SHOW(open("/proc/self/status", O_RDONLY | O_TRUNC) >= 0);
    SHOW(open("/proc/self/none", O_RDWR | O_CREAT, 0600) >= 0);

    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    lengths("lengths of a socket", s[0]);
    SHOW(futimens(e, NULL));
    lengths("lengths of an eventfd", e);
    lengths("lengths of an epoll", epoll);
    locks("locks of a socket", s[0], s[1]);
    section("an eventfd");
    SHOW(fchmod(e, 0600));
    SHOW(fchown(e, 0, 0));
    locks("locks of an eventfd", e, epoll);
    return done();
}
