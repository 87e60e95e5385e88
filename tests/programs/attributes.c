// fchmod, fchown, futimens, chmod and friends on objects outside any file system: pipes, sockets, eventfds, epolls,
// inotify.
//@ shows fchmod fchown fchownat utimensat
#include "test.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

static const char *type(mode_t m)
{
    return S_ISSOCK(m) ? "socket" : S_ISFIFO(m) ? "pipe" : S_ISREG(m) ? "file" : (m & S_IFMT) ? "other" : "no type";
}

static void show(const char *when, int fd)
{
    struct stat s;
    MUST(fstat(fd, &s));
    printf("%s: %s %04o uid %d gid %d links %d size %ld\n", when, type(s.st_mode), s.st_mode & 07777, (int)s.st_uid,
           (int)s.st_gid, (int)s.st_nlink, (long)s.st_size);
}

static bool same(int a, int b)
{
    struct stat x, y;
    MUST(fstat(a, &x)), MUST(fstat(b, &y));
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void object(const char *name, int fd, int other)
{
    char path[64], buf[16];
    struct stat s;
    struct timespec t[2] = { { 1000, 5 }, { 2000, 6 } };
    printf("-- %s\n", name);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    show("new", fd);
    IS(!same(fd, other));
    if (strncmp(name, "anon", 4)) show("other", other);
    SHOW(fchmod(fd, 0640));
    show("fchmod", fd);
    SHOW(fchmod(fd, S_IFDIR | 07755));
    show("with type", fd);
    SHOW(fchown(fd, 7, 8));
    show("fchown", fd);
    SHOW(fchown(fd, -1, 9));
    show("group only", fd);
    SHOW(fchmod(fd, 04711));
    SHOW(fchown(fd, 10, -1));
    show("owner only, was set-user-ID", fd);
    SHOW(futimens(fd, t));
    SHOW(fstat(fd, &s));
    IS(s.st_atim.tv_sec == 1000 && s.st_atim.tv_nsec == 5 && s.st_mtim.tv_sec == 2000 && s.st_mtim.tv_nsec == 6);
    SHOW(chmod(path, 0604));
    SHOW(chown(path, 3, 4));
    show("by name", fd);
    SHOW(fchmodat(fd, "", 0600, AT_EMPTY_PATH));
    SHOW(fchownat(fd, "", 5, 6, AT_EMPTY_PATH));
    show("by an empty name", fd);
    SHOW(stat(path, &s));
    printf("stat: %s %04o %d\n", type(s.st_mode), s.st_mode & 07777, (int)s.st_uid);
    int copy = (int)MUST(dup(fd));
    show("copy", copy);
    close(copy);
    SHOW(ftruncate(fd, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(pread(fd, buf, 1, 0));
    SHOW(fsync(fd));
    if (strncmp(name, "anon", 4)) show("other", other);
}

int main(void)
{
    int p[2], q[2], s[2];
    if (getuid()) printf("not root\n");
    MUST(pipe(p)), MUST(pipe(q));
    object("pipe", p[0], q[0]);
    show("its other end", p[1]);
    IS(same(p[0], p[1]));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    object("unix stream", s[0], s[1]);
    object("unix datagram", socket(AF_UNIX, SOCK_DGRAM, 0), s[1]);
    object("TCP", socket(AF_INET, SOCK_STREAM, 0), s[1]);
    object("UDP", socket(AF_INET6, SOCK_DGRAM, 0), s[1]);
    int e = eventfd(0, 0), ep = epoll_create1(0), in = inotify_init1(0);
    struct { const char *name; int fd; } anon[] = { { "anon: eventfd", e }, { "anon: epoll", ep }, { "anon: inotify", in } };
    for (int i = 0; i < 3; i++) {
        printf("-- %s\n", anon[i].name);
        show("new", anon[i].fd);
        SHOW(fchmod(anon[i].fd, 0640));
        SHOW(fchown(anon[i].fd, 7, 8));
        SHOW(fchown(anon[i].fd, -1, -1));
        SHOW(futimens(anon[i].fd, NULL));
        SHOW(ftruncate(anon[i].fd, 0));
        SHOW(fsync(anon[i].fd));
        show("afterwards", anon[i].fd);
    }
    return done();
}
