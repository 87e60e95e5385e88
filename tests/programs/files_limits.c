// Limits: on descriptors, for every call that creates one, and on file sizes.
//@ shows close_range prlimit64
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#define TOP 40

static volatile int signals;
static void on_signal(int signo) { signals += signo == SIGXFSZ; }

/* Closes the descriptor that the call may have created, and prints whether it was refused. */
static void refused(const char *text, long fd)
{
    show_call(text, fd);
    if (fd >= 0) close((int)fd);
}
#define REFUSED(call) (errno = 0, refused(#call, call))

static void fill(void) { while (dup(0) >= 0) {} }

int main(void)
{
    int p[2], pair[2], connected[4];
    struct rlimit limit = { TOP, TOP + 1 };
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    enter_scratch();
    strcpy(name.sun_path, "socket");
    close((int)MUST(open("f", O_RDWR | O_CREAT, 0644)));
    int listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    MUST(bind(listener, (void *)&name, sizeof name)), MUST(listen(listener, 4));
    for (int i = 0; i < 2; i++) {
        connected[i] = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        MUST(connect(connected[i], (void *)&name, sizeof name));
    }
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    int dir = (int)MUST(open(".", O_RDONLY));
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);

    section("descriptors");
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    fill();
    REFUSED(open("f", O_RDONLY));
    REFUSED(open("none", O_RDONLY));
    REFUSED(open("made", O_RDONLY | O_CREAT, 0600));
    REFUSED(openat(dir, ".", O_TMPFILE | O_RDWR, 0600));
    REFUSED(dup(0));
    REFUSED(fcntl(0, F_DUPFD, 3));
    REFUSED(fcntl(0, F_DUPFD_CLOEXEC, TOP - 1));
    REFUSED(fcntl(0, F_DUPFD, TOP));
    REFUSED(dup2(0, TOP));
    REFUSED(pipe(p));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REFUSED(socket(AF_INET, SOCK_STREAM, 0));
    REFUSED(socket(AF_INET, SOCK_DGRAM, 0));
    REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    REFUSED(accept(listener, NULL, NULL));
    REFUSED(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    REFUSED(epoll_create1(0));
    REFUSED(eventfd(0, 0));
    REFUSED(inotify_init1(0));
    REFUSED(timerfd_create(CLOCK_MONOTONIC, 0));
    REFUSED(signalfd(-1, &set, 0));
    REFUSED(memfd_create("m", 0));
    SHOW(access("made", F_OK));
    // One number is free: calls that need two keep neither.
    close(TOP - 1);
    REFUSED(pipe(p));
    REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    REFUSED(dup(0));
    // The connections that were not accepted still wait.
    SHOW(accept(listener, NULL, NULL));
    REFUSED(accept(listener, NULL, NULL));
    close(TOP - 1);
    SHOW(accept(listener, NULL, NULL));
    // A descriptor received in a message is lost if there is no number for it, and the receiver is told.
    union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } control = { 0 };
    char byte = 'x';
    struct iovec iov = { &byte, 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    control.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(&control.h), &dir, sizeof dir);
    SHOW(sendmsg(pair[0], &m, 0));
    SHOW(recvmsg(pair[1], &m, 0));
    IS(m.msg_flags & MSG_CTRUNC);
    SHOW(m.msg_controllen);
    limit.rlim_cur = TOP + 1;
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    SHOW(dup(0));
    limit.rlim_cur = 5;
    SHOW(setrlimit(RLIMIT_NOFILE, &limit));
    // Descriptors above the limit stay open.
    SHOW(fcntl(TOP, F_GETFD));
    REFUSED(dup(TOP));
    limit.rlim_cur = TOP + 1;
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    MUST(syscall(SYS_close_range, 3, ~0u, 0));

    section("sizes");
    int f = (int)MUST(open("f", O_RDWR)), big = (int)MUST(open("big", O_RDWR | O_CREAT, 0644));
    MUST(ftruncate(big, 5000));
    sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = on_signal }, NULL);
    limit = (struct rlimit){ 1000, RLIM_INFINITY };
    // Standard output may be a file, too: print nothing while the limit is in force.
    static char data[3000];
    struct { long result; int error, signals; } found[20];
    int n = 0;
#define TRY(call) (signals = 0, errno = 0, found[n].result = (call), found[n].error = errno, found[n].signals = signals, n++)
    MUST(setrlimit(RLIMIT_FSIZE, &limit));
    TRY(pwrite(f, data, 100, 950));
    TRY(pwrite(f, data, 100, 1000));
    TRY(pwrite(f, data, 0, 2000));
    TRY(lseek(f, 990, SEEK_SET));
    TRY(write(f, data, 100));
    TRY(write(f, data, 1));
    TRY(writev(f, (struct iovec[]){ { data, 5 }, { data, 5 } }, 2));
    TRY(ftruncate(f, 1001));
    TRY(truncate("f", 5000));
    TRY(ftruncate(f, 1000));
    TRY(ftruncate(big, 4000));
    TRY(pwrite(big, data, 10, 100));
    TRY(pwrite(big, data, 10, 2000));
    TRY(fallocate(f, 0, 0, 2000));
    TRY(fallocate(big, 1, 0, 9000));
    TRY(sendfile(f, big, &(off_t){ 0 }, 10));
    TRY(copy_file_range(big, &(off_t){ 0 }, f, &(off_t){ 1000 }, 10, 0));
    limit.rlim_cur = RLIM_INFINITY;
    MUST(setrlimit(RLIMIT_FSIZE, &limit));
    for (int i = 0; i < n; i++)
        printf("%2d: %ld %s, %d signals\n", i, found[i].result, found[i].result < 0 ? errname(found[i].error) : "", found[i].signals);
    return done();
}
