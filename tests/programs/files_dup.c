// Descriptors: dup, dup2, dup3, fcntl, close-on-exec, shared offsets, EMFILE.
//@ shows dup dup2 dup3 fcntl ioctl
#include "test.h"
#include <sys/ioctl.h>
#include <sys/resource.h>

int main(void)
{
    char c;
    enter_scratch();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(write(fd, "abcdef", 6));
    int copy = dup(fd);
    SHOW(lseek(copy, 2, SEEK_SET));
    MUST(read(fd, &c, 1));
    printf("%c\n", c);
    int own = (int)MUST(open("f", O_RDONLY));
    MUST(read(own, &c, 1));
    printf("%c\n", c);
    SHOW(dup2(fd, 20));
    SHOW(dup2(fd, fd));
    SHOW(dup2(99, 21));
    SHOW(dup2(99, 99));
    SHOW(dup2(fd, -1));
    SHOW(dup2(fd, 1 << 30));
    SHOW(dup3(fd, fd, 0));
    SHOW(dup3(fd, 22, O_CLOEXEC));
    SHOW(dup3(fd, 22, O_APPEND));
    SHOW(fcntl(22, F_GETFD));
    SHOW(fcntl(20, F_GETFD));
    SHOW(fcntl(20, F_SETFD, FD_CLOEXEC));
    SHOW(fcntl(20, F_GETFD));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, 30));
    SHOW(fcntl(fd, F_DUPFD_CLOEXEC, 30));
    SHOW(fcntl(31, F_GETFD));
    SHOW(fcntl(fd, F_DUPFD, -1));
    SHOW(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
    SHOW(fcntl(fd, F_SETFL, O_NONBLOCK | O_APPEND));
    IS((fcntl(copy, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) == (O_RDWR | O_APPEND | O_NONBLOCK));
    IS((fcntl(own, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) == O_RDONLY);
    int on = 0;
    SHOW(ioctl(fd, FIONBIO, &on));
    SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
    SHOW(ioctl(fd, FIOCLEX));
    SHOW(fcntl(fd, F_GETFD));
    SHOW(ioctl(99, FIONBIO, &on));
    SHOW(ioctl(fd, 0x5401 /* TCGETS */, &on));
    SHOW(isatty(fd));
    SHOW(fcntl(99, F_GETFL));
    SHOW(fcntl(fd, 9999));
    SHOW(close(20));
    SHOW(close(20));

    section("locks");
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 3 };
    SHOW(fcntl(fd, F_SETLK, &l));
    SHOW(fcntl(own, F_GETLK, &l));
    IS(l.l_type == F_UNLCK);
    l.l_type = F_UNLCK;
    SHOW(fcntl(fd, F_SETLK, &l));

    section("limit");
    struct rlimit r;
    MUST(getrlimit(RLIMIT_NOFILE, &r));
    IS(r.rlim_cur >= 256 && r.rlim_max >= r.rlim_cur);
    r.rlim_cur = 100;
    SHOW(setrlimit(RLIMIT_NOFILE, &r));
    int last = -1, e;
    while ((e = open("/dev/null", O_RDONLY)) >= 0) last = e;
    printf("%s after descriptor %d\n", errname(errno), last);
    SHOW(dup(fd));
    SHOW(dup2(fd, 100));
    SHOW(fcntl(fd, F_DUPFD, 100));
    int p[2];
    close(last);
    SHOW(pipe(p));
    SHOW(dup(fd) == last ? 0 : -1);
    for (int i = 3; i < 100; i++) close(i);
    SHOW(pipe(p));
    printf("%d %d\n", p[0], p[1]);
    return done();
}
