// O_ASYNC: SIGIO, or the signal that F_SETSIG chose with its descriptor and reason, to the owner, when a pipe or socket
// becomes ready.
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <netinet/in.h>

static volatile int count, last, code, fd_told;
static volatile long band;
static volatile pid_t where;

static void handler(int n, siginfo_t *i, void *c)
{
    (void)c;
    count++, last = n, code = i->si_code, where = (pid_t)syscall(SYS_gettid);
    fd_told = i->si_fd, band = i->si_band;
}

static void seen(const char *what)
{
    for (int i = 0; i < 100 && !count; i++) sleep_ms(1);
    printf("%s: %d %s", what, count > 0, count ? (last == SIGIO ? "SIGIO" : "chosen") : "");
    if (count) printf(" code %d", code);
    if (count && last != SIGIO) printf(" band %lx", band);
    putchar('\n');
    count = 0;
}

static volatile bool leave;
static volatile pid_t other_tid;
static void *other(void *arg)
{
    (void)arg;
    other_tid = (pid_t)syscall(SYS_gettid);
    while (!leave) sleep_ms(1);
    return 0;
}

int main(void)
{
    struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigaction(SIGIO, &sa, 0);
    sigaction(SIGRTMIN + 1, &sa, 0);
    char buf[100];
    int p[2];
    MUST(pipe2(p, O_NONBLOCK));

    section("nobody");
    SHOW(fcntl(p[0], F_SETFL, O_NONBLOCK | O_ASYNC));
    printf("%o %o\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL));
    SHOW(fcntl(p[0], F_GETOWN));
    MUST(write(p[1], "a", 1));
    seen("written");
    section("plain");
    MUST(fcntl(p[0], F_SETOWN, getpid()));
    MUST(write(p[1], "a", 1));
    seen("written");
    MUST(read(p[0], buf, 10));
    seen("read");
    section("chosen");
    MUST(fcntl(p[0], F_SETSIG, SIGRTMIN + 1));
    MUST(write(p[1], "a", 1));
    seen("written");
    IS(fd_told == p[0]);
    int copy = MUST(dup(p[0]));
    MUST(write(p[1], "a", 1));
    seen("written with a copy");
    IS(fd_told == p[0]);
    close(p[1]);
    seen("closed");
    section("off");
    MUST(pipe2(p, O_NONBLOCK));
    MUST(fcntl(p[0], F_SETOWN, getpid()));
    SHOW(fcntl(p[0], F_SETFL, O_NONBLOCK | O_ASYNC));
    SHOW(fcntl(p[0], F_SETFL, O_NONBLOCK));
    MUST(write(p[1], "a", 1));
    seen("written");
    int on = 1, off = 0;
    SHOW(ioctl(p[0], FIOASYNC, &on));
    SHOW(ioctl(p[0], FIOASYNC, &on));
    MUST(write(p[1], "a", 1));
    seen("written");
    SHOW(ioctl(p[0], FIOASYNC, &off));
    MUST(write(p[1], "a", 1));
    seen("written");
    close(copy);

    section("room");
    char page[4096] = "";
    while (write(p[1], page, sizeof page) > 0) {}
    MUST(fcntl(p[1], F_SETOWN, getpid()));
    MUST(fcntl(p[1], F_SETSIG, SIGRTMIN + 1));
    SHOW(fcntl(p[1], F_SETFL, O_NONBLOCK | O_ASYNC));
    count = 0;
    while (read(p[0], page, sizeof page) > 0) {}
    seen("emptied");
    IS(fd_told == p[1]);

    section("to one thread");
    pthread_t t;
    MUST0(pthread_create(&t, 0, other, 0));
    while (!other_tid) sleep_ms(1);
    MUST(pipe2(p, O_NONBLOCK));
    struct f_owner_ex { int type; pid_t pid; } owner = { 0, other_tid };
    SHOW(fcntl(p[0], 15, &owner));
    MUST(fcntl(p[0], F_SETFL, O_NONBLOCK | O_ASYNC));
    MUST(write(p[1], "a", 1));
    seen("written");
    IS(where == other_tid);
    leave = true;
    MUST0(pthread_join(t, 0));

    section("sockets");
    for (int tcp = 0; tcp < 2; tcp++) {
        int s[2];
        if (!tcp) {
            MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        } else {
            struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
            socklen_t len = sizeof a;
            int l = MUST(socket(AF_INET, SOCK_STREAM, 0));
            MUST(bind(l, (void *)&a, sizeof a));
            MUST(getsockname(l, (void *)&a, &len));
            MUST(listen(l, 1));
            MUST(fcntl(l, F_SETOWN, getpid()));
            MUST(fcntl(l, F_SETSIG, SIGRTMIN + 1));
            MUST(fcntl(l, F_SETFL, O_ASYNC));
            s[1] = MUST(socket(AF_INET, SOCK_STREAM, 0));
            MUST(connect(s[1], (void *)&a, sizeof a));
            seen("connected");
            s[0] = MUST(accept(l, 0, 0));
        }
        MUST(fcntl(s[0], F_SETOWN, getpid()));
        MUST(fcntl(s[0], F_SETSIG, SIGRTMIN + 1));
        MUST(fcntl(s[0], F_SETFL, O_ASYNC));
        count = 0;
        MUST(send(s[1], "hello", 5, 0));
        seen("sent");
        IS(fd_told == s[0]);
        MUST(recv(s[0], buf, sizeof buf, 0));
        count = 0;
        close(s[1]);
        for (int i = 0; i < 100 && !count; i++) sleep_ms(1);
        IS(count > 0);
        count = 0;
    }

    section("files without");
    int fd = MUST(memfd_create("m", 0));
    SHOW(fcntl(fd, F_SETFL, O_ASYNC));
    SHOW(fcntl(fd, F_GETFL) & O_ASYNC);
    SHOW(ioctl(fd, FIOASYNC, &on));
    SHOW(ioctl(fd, FIOASYNC, &off));
    return done();
}
