// The common properties of open file descriptions of every kind: attributes, the name in /proc/self/fd, status flags,
// the owner for signals, positions, and calls that do not apply to some.
//@ user root
#include "test.h"
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static int sockets[2], datagrams[2], pipes[2];

enum {
    OWN = 1,     // created here: the machine's devices and files must keep their attributes
    FILE_ = 2,   // has content: file systems differ in what else it has
    DIRECT = 4,  // whether it takes O_DIRECT depends on the file system
    NO_MAP = 16, // cannot be mapped
};

// The first anonymous inode seen: all share the same one.
static struct stat anonymous;

static void attributes(int fd)
{
    struct stat st, named;
    struct statfs fs;
    char path[64], link[300];
    unsigned long number = 0;
    MUST(fstat(fd, &st));
    printf("mode %o nlink %lu owner %u:%u size %ld block %ld blocks %ld rdev %lx\n", st.st_mode, (long)st.st_nlink, st.st_uid,
           st.st_gid, S_ISDIR(st.st_mode) ? -1L : (long)st.st_size, (long)st.st_blksize, (long)st.st_blocks, (long)st.st_rdev);
    SHOW(st.st_dev != 0 && st.st_ino != 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, link, sizeof link - 1);
    link[n < 0 ? 0 : n] = 0;
    char *bracket = strchr(link, '[');
    if (link[0] == '/')
        puts("a path");
    else if (bracket && sscanf(bracket, "[%lu]", &number) == 1) {
        printf("%.*s[%s]\n", (int)(bracket - link), link, number == st.st_ino ? "its inode" : "something");
    } else {
        puts(link);
        if (!anonymous.st_ino) anonymous = st;
        IS(st.st_ino == anonymous.st_ino && st.st_dev == anonymous.st_dev);
    }
    if (SHOW(stat(path, &named)) == 0) IS(named.st_ino == st.st_ino && named.st_dev == st.st_dev && named.st_mode == st.st_mode);
    SHOW(open(path, O_RDONLY | O_NONBLOCK) >= 0);
    if (SHOW(fstatfs(fd, &fs)) == 0 && link[0] != '/') printf("file system %lx\n", (long)fs.f_type);
}

static void flags(int fd, int what)
{
    static const struct { int flag; const char *name; } all[] = {
        { 0, "nothing" }, { O_APPEND, "O_APPEND" }, { O_NONBLOCK, "O_NONBLOCK" }, { O_DIRECT, "O_DIRECT" },
        { O_NOATIME, "O_NOATIME" }, { O_SYNC, "O_SYNC" }, { O_DSYNC, "O_DSYNC" }, { O_RDWR, "O_RDWR" }, { O_TRUNC, "O_TRUNC" },
        { O_CLOEXEC, "O_CLOEXEC" }, { O_PATH, "O_PATH" }, { O_DIRECTORY, "O_DIRECTORY" }, { 1 << 28, "1 << 28" },
        { O_ASYNC, "O_ASYNC" },
        { O_APPEND | O_NONBLOCK | O_NOATIME, "all" },
    };
    int before = fcntl(fd, F_GETFL), copy = (int)MUST(dup(fd)), on = 1, off = 0;
    printf("F_GETFL 0%o\n", before);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].flag == O_DIRECT && (what & DIRECT)) continue;
        show_call(all[i].name, fcntl(fd, F_SETFL, all[i].flag));
        printf("  0%o\n", fcntl(copy, F_GETFL));
    }
    SHOW(fcntl(fd, F_SETFL, before));
    SHOW(ioctl(fd, FIONBIO, &on));
    printf("  0%o\n", fcntl(copy, F_GETFL));
    SHOW(ioctl(fd, FIONBIO, &off));
    printf("  0%o\n", fcntl(copy, F_GETFL));
    SHOW(ioctl(fd, FIONBIO, 8));
    SHOW(ioctl(fd, FIOASYNC, &off));
    SHOW(ioctl(fd, FIOASYNC, &on));
    printf("%o\n", fcntl(fd, F_GETFL) & O_ASYNC);
    SHOW(ioctl(fd, FIOASYNC, &off));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(ioctl(fd, FIOCLEX));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(copy, F_GETFD));
    SHOW(ioctl(fd, FIONCLEX));
    MUST(close(copy));
}

static void owner(int fd)
{
    struct f_owner_ex ex;
    if (SHOW(fcntl(fd, F_GETOWN)) == -1) return;
    int copy = (int)MUST(dup(fd));
    SHOW(fcntl(fd, F_SETOWN, getpid()));
    IS(fcntl(copy, F_GETOWN) == getpid());
    SHOW(fcntl(fd, F_GETOWN_EX, &ex));
    IS(ex.type == F_OWNER_PID && ex.pid == getpid());
    SHOW(fcntl(fd, F_SETOWN, -getpgrp()));
    SHOW(fcntl(fd, F_SETOWN, 4000000));
    SHOW(fcntl(fd, F_SETOWN, INT_MIN));
    // musl asks for this as well, since a small negative number is no error.
    SHOW(fcntl(fd, F_GETOWN_EX, &ex));
    IS(ex.type == F_OWNER_PGRP && ex.pid == getpgrp());
    IS(fcntl(copy, F_GETOWN) == -getpgrp());
    ex = (struct f_owner_ex){ F_OWNER_TID, getpid() };
    SHOW(fcntl(fd, F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){ 0 };
    SHOW(fcntl(fd, F_GETOWN_EX, &ex));
    IS(ex.type == F_OWNER_TID && ex.pid == getpid());
    ex = (struct f_owner_ex){ 7, getpid() };
    SHOW(fcntl(fd, F_SETOWN_EX, &ex));
    ex = (struct f_owner_ex){ F_OWNER_PID, 4000000 };
    SHOW(fcntl(fd, F_SETOWN_EX, &ex));
    SHOW(fcntl(fd, F_SETOWN_EX, 8));
    SHOW(fcntl(fd, F_SETOWN, 0));
    SHOW(fcntl(fd, F_GETOWN));
    SHOW(fcntl(fd, F_GETSIG));
    SHOW(fcntl(fd, F_SETSIG, SIGUSR1));
    SHOW(fcntl(copy, F_GETSIG));
    SHOW(fcntl(fd, F_SETSIG, 65));
    SHOW(fcntl(fd, F_SETSIG, 0));
    SHOW(fcntl(fd, F_GETSIG));
    MUST(close(copy));
}

static void positions(int fd)
{
    char b[16];
    struct iovec none = { b, 0 }, one = { b, 1 };
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(lseek(fd, 3, SEEK_SET));
    SHOW(lseek(fd, 1, SEEK_CUR));
    SHOW(lseek(fd, -50, SEEK_CUR));
    SHOW(lseek(fd, 0, 9));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(pread(fd, b, 0, 0));
    SHOW(pwrite(fd, b, 0, 0));
    SHOW(pread(fd, b, 0, -1));
    SHOW(preadv(fd, &none, 1, 0));
    SHOW(pwritev(fd, &none, 1, 0));
    int access = fcntl(fd, F_GETFL) & O_ACCMODE;
    if (access == O_WRONLY) {
        SHOW(read(fd, b, 1));
        SHOW(readv(fd, &one, 1));
        SHOW(pread(fd, b, 1, 0));
        SHOW(preadv(fd, &one, 1, 0));
        SHOW(read(fd, b, 0));
    }
    if (access == O_RDONLY) {
        SHOW(write(fd, b, 1));
        SHOW(writev(fd, &one, 1));
        SHOW(pwrite(fd, b, 1, 0));
        SHOW(pwritev(fd, &one, 1, 0));
        SHOW(write(fd, b, 0));
    }
}

static void rest(int fd, int what)
{
    char b[16];
    int n = -1;
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(syncfs(fd));
    SHOW(syscall(SYS_sync_file_range, fd, 0L, 0L, 0));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
    SHOW(readahead(fd, 0, 0));
    SHOW(ftruncate(fd, 0));
    SHOW(fallocate(fd, 0, 0, 10));
    if (!(what & FILE_)) {
        if (SHOW(ioctl(fd, FIONREAD, &n) == 0)) {
            SHOW(n);
            SHOW(ioctl(fd, FIONREAD, 8));
        }
        SHOW(fsetxattr(fd, "user.a", "1", 1, 0));
        SHOW(fgetxattr(fd, "user.a", b, 1));
    }
    SHOW(ioctl(fd, TCGETS, b) == 0);
    SHOW(ioctl(fd, 0x12345678, 0) == 0);
    if (what & OWN) {
        SHOW(fchmod(fd, 0600));
        SHOW(fchown(fd, (uid_t)-1, (gid_t)-1));
        SHOW(futimens(fd, 0));
    }
    SHOW(flock(fd, LOCK_SH | LOCK_NB));
    SHOW(flock(fd, LOCK_UN));
    SHOW(flock(fd, 16));
    struct flock l = { .l_type = F_RDLCK };
    SHOW(fcntl(fd, F_SETLK, &l));
    l.l_type = F_UNLCK;
    SHOW(fcntl(fd, F_SETLK, &l));
    SHOW(fcntl(fd, F_GETPIPE_SZ) > 0);
    SHOW(fcntl(fd, 9999, 0));
    SHOW(fchdir(fd));
    SHOW(syscall(SYS_getdents64, fd, b, sizeof b) > 0);
    if (!(what & NO_MAP)) {
        SHOW(mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
        SHOW(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    }
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &(socklen_t){ sizeof n }));
    SHOW(listen(fd, 1) == 0 || errno == ENOTSOCK || errno == EBADF);
    SHOW(eventfd_write(fd, 0) == 0);
    SHOW(timerfd_gettime(fd, &(struct itimerspec){ 0 }));
    SHOW(signalfd(fd, &(sigset_t){ 0 }, 0) == fd ? 0 : -1);
    SHOW(epoll_wait(fd, &(struct epoll_event){ 0 }, 1, 0));
    SHOW(inotify_rm_watch(fd, 1));
}

static void kind(const char *name, int fd, int what)
{
    section(name);
    MUST(fd);
    attributes(fd);
    flags(fd, what);
    owner(fd);
    positions(fd);
    rest(fd, what);
}

// Flags that it was opened with and that F_GETFL shows.
static void created(void)
{
    sigset_t none;
    sigemptyset(&none);
    section("flags at the beginning");
#define FLAGS(make) printf("%s 0%o\n", #make, fcntl((int)MUST(make), F_GETFL))
    FLAGS(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    FLAGS(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    FLAGS(signalfd(-1, &none, SFD_NONBLOCK | SFD_CLOEXEC));
    FLAGS(epoll_create1(EPOLL_CLOEXEC));
    FLAGS(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    FLAGS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    FLAGS(memfd_create("m", MFD_CLOEXEC));
    FLAGS(open("f", O_RDWR | O_CREAT | O_EXCL | O_NOCTTY | O_APPEND | O_SYNC | O_NOFOLLOW | O_CLOEXEC, 0600));
    FLAGS(open("f", O_WRONLY | O_TRUNC | O_NONBLOCK | O_NOATIME));
    FLAGS(open("f", O_RDONLY | O_ASYNC));
    FLAGS(open("f", 3));
    FLAGS(open("f", O_PATH | O_RDWR | O_APPEND | O_NOFOLLOW));
    FLAGS(open(".", O_RDONLY | O_DIRECTORY));
    FLAGS(open("fifo", O_RDWR | O_NONBLOCK | O_APPEND | O_NOATIME | O_SYNC));
    FLAGS(open("/dev/null", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_SYNC, 0600));
    FLAGS(open("/proc/self/status", O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC));
    MUST(pipe2(pipes, O_NONBLOCK | O_CLOEXEC));
    FLAGS(pipes[0]);
    FLAGS(pipes[1]);
}

int main(void)
{
    sigset_t none;
    sigemptyset(&none);
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    MUST(mkfifo("fifo", 0600));
    created();
    kind("eventfd", eventfd(0, 0), OWN);
    kind("timerfd", timerfd_create(CLOCK_MONOTONIC, 0), OWN);
    kind("signalfd", signalfd(-1, &none, 0), OWN);
    kind("epoll", epoll_create1(0), OWN);
    kind("inotify", inotify_init1(0), OWN);
    MUST(pipe(pipes));
    kind("pipe, read end", pipes[0], OWN);
    kind("pipe, write end", pipes[1], OWN);
    kind("fifo", open("fifo", O_RDWR), OWN);
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    kind("unix stream", sockets[0], OWN);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams));
    kind("unix datagram", datagrams[0], OWN);
    kind("tcp", socket(AF_INET, SOCK_STREAM, 0), OWN | NO_MAP);
    kind("udp", socket(AF_INET, SOCK_DGRAM, 0), OWN);
    kind("netlink", socket(AF_NETLINK, SOCK_RAW, 0), OWN);
    kind("/dev/null", open("/dev/null", O_RDWR), 0);
    kind("/dev/zero", open("/dev/zero", O_RDWR), 0);
    kind("/dev/urandom", open("/dev/urandom", O_RDONLY), 0);
    kind("file", open("f", O_RDWR), OWN | FILE_ | DIRECT);
    kind("file for writing", open("f", O_WRONLY), OWN | FILE_ | DIRECT);
    kind("file for reading", open("f", O_RDONLY), OWN | FILE_ | DIRECT);
    kind("folder", open(".", O_RDONLY), OWN | FILE_ | DIRECT);
    kind("memfd", memfd_create("m", 0), OWN | FILE_ | DIRECT);
    kind("/proc/self/status", open("/proc/self/status", O_RDONLY), FILE_);
    kind("/proc/self/comm", open("/proc/self/comm", O_RDWR), FILE_);
    kind("/proc/sys/kernel/ostype", open("/proc/sys/kernel/ostype", O_RDONLY), FILE_);
    kind("path only", open("f", O_PATH), OWN | FILE_);
    return done();
}
