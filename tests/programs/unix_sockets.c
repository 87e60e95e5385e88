// AF_UNIX: stream, datagram, seqpacket, names in the file system and abstract, passed descriptors, credentials.
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <stddef.h>
#include <signal.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un name(const char *s)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    strcpy(a.sun_path, s);
    return a;
}

static void *server(void *arg)
{
    int l = (int)(long)arg, c;
    char buf[100];
    while ((c = accept(l, 0, 0)) >= 0) {
        ssize_t n;
        while ((n = read(c, buf, sizeof buf)) > 0) write(c, buf, (size_t)n);
        close(c);
        if (n < 0) break;
    }
    return 0;
}

static void options(void)
{
    char buf[200];
    int pair[2];
    section("shutdown");
    int lone = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), quiet = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    SHOW(shutdown(lone, SHUT_RDWR));
    SHOW(shutdown(quiet, SHUT_RD));
    SHOW(recv(quiet, buf, 9, MSG_DONTWAIT));
    SHOW(recv(quiet, buf, 9, 0));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    SHOW(shutdown(pair[0], SHUT_RD));
    SHOW(recv(pair[0], buf, 9, MSG_DONTWAIT));
    SHOW(send(pair[1], "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    struct pollfd f = { pair[1], POLLIN | POLLOUT | POLLRDHUP, 0 };
    SHOW(poll(&f, 1, 0));
    SHOW(f.revents);
    SHOW(shutdown(pair[1], SHUT_RD));
    SHOW(poll(&f, 1, 0));
    SHOW(f.revents);
    section("nothing");
    int n = 0;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(write(pair[0], "", 0));
    SHOW(send(pair[0], "", 0, MSG_MORE));
    SHOW(recv(pair[1], buf, 9, MSG_DONTWAIT));
    SHOW(write(pair[0], "x", 1));
    SHOW(recv(pair[1], buf, 9, 0));
    SHOW(recv(pair[1], buf, 9, MSG_DONTWAIT));
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    SHOW(write(pair[0], "abc", 3));
    SHOW(write(pair[0], "de", 2));
    SHOW(ioctl(pair[1], FIONREAD, &n));
    SHOW(n);
    section("a receiver of datagrams goes");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    close(pair[1]);
    SHOW(send(pair[0], "x", 1, 0));
    SHOW(send(pair[0], "x", 1, 0));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SHOW(shutdown(pair[0], SHUT_WR));
    close(pair[1]);
    SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
    section("options");
    int small = 1, five = 5, v;
    socklen_t vn = sizeof v;
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SHOW(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small));
    MUST(getsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &v, &vn));
    SHOW(v);
    static char big[8192];
    SHOW(send(pair[0], big, sizeof big, MSG_DONTWAIT));
    SHOW(send(pair[1], big, sizeof big, MSG_DONTWAIT));
    SHOW(send(pair[0], big, 1000, MSG_DONTWAIT));
    int count = 0;
    while (send(pair[0], big, 1000, MSG_DONTWAIT) == 1000 && count < 100) count++;
    IS(errno == EAGAIN && count < 5);
    while (recv(pair[1], buf, 9, MSG_DONTWAIT) >= 0) {}
    SHOW(send(pair[0], big, 1000, MSG_DONTWAIT));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(setsockopt(pair[0], SOL_SOCKET, SO_RCVLOWAT, &five, sizeof five));
    MUST(write(pair[1], "abc", 3));
    SHOW(recv(pair[0], buf, 9, MSG_DONTWAIT));
    MUST(write(pair[1], "abc", 3));
    shutdown(pair[1], SHUT_WR);
    SHOW(recv(pair[0], buf, 9, 0)); /* three of five, and the end */
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    int one = 1;
    SHOW(setsockopt(pair[0], SOL_SOCKET, SO_TIMESTAMP, &one, sizeof one));
    SHOW(setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    MUST(send(pair[1], "x", 1, 0));
    clock_gettime(CLOCK_REALTIME, &after);
    _Alignas(8) char control[200];
    struct iovec iov = { buf, sizeof buf };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    SHOW(recvmsg(pair[0], &m, 0));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMP) {
            struct timeval *t = (void *)CMSG_DATA(c);
            IS(t->tv_sec >= before.tv_sec && t->tv_sec <= after.tv_sec && t->tv_usec < 1000000);
        } else IS(c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS);
    }
    struct ucred nobody;
    socklen_t un = sizeof nobody;
    SHOW(getsockopt(quiet, SOL_SOCKET, SO_PEERCRED, &nobody, &un));
    IS(nobody.pid == 0 && nobody.uid == (uid_t)-1);
}

static long send_descriptor(int s, int fd)
{
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } ctl = { 0 };
    struct iovec v = { "f", 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof ctl };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    return sendmsg(s, &m, MSG_DONTWAIT);
}

/* Descriptors of any kind that are never received are closed with the socket that they wait in. */
static void unreceived(void)
{
    section("unreceived descriptors");
    int p[2], q[2];
    char c;
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    for (int i = 0; i < 3; i++) {
        MUST(socketpair(AF_UNIX, types[i], 0, p));
        SHOW(send_descriptor(p[1], p[1]));
        close(p[1]);
        SHOW(close(p[0]));
    }
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    MUST(pipe(q));
    SHOW(send_descriptor(p[0], q[1]));
    close(q[1]);
    close(p[1]);
    SHOW(read(q[0], &c, 1));
    close(p[0]);
    /* Nested in each other; kernels may limit the depth. */
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    MUST(pipe(q));
    MUST(send_descriptor(p[0], q[1]));
    close(q[1]);
    for (int i = 0; i < 900; i++) {
        int next[2];
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, next));
        if (send_descriptor(next[0], p[1]) < 0) {
            close(next[0]), close(next[1]);
            break;
        }
        close(p[0]), close(p[1]);
        p[0] = next[0], p[1] = next[1];
    }
    close(p[0]), close(p[1]);
    SHOW(read(q[0], &c, 1));
}

int main(void)
{
    char buf[200];
    int pair[2];
    struct stat st;
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    section("stream");
    struct sockaddr_un a = name("sock"), got;
    socklen_t len = sizeof got;
    int l = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    SHOW(connect(l, (void *)&a, sizeof a));
    SHOW(bind(l, (void *)&a, sizeof a));
    SHOW(bind(l, (void *)&a, sizeof a));
    MUST(stat("sock", &st));
    IS(S_ISSOCK(st.st_mode));
    int l2 = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(bind(l2, (void *)&a, sizeof a));
    SHOW(connect(l2, (void *)&a, sizeof a));
    SHOW(open("sock", O_RDWR));
    SHOW(listen(l, 5));
    MUST(getsockname(l, (void *)&got, &len));
    printf("%s\n", got.sun_path);
    pthread_t t;
    MUST0(pthread_create(&t, 0, server, (void *)(long)l));
    for (int i = 0; i < 20; i++) {
        int c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
        MUST(connect(c, (void *)&a, sizeof a));
        int n = snprintf(buf, sizeof buf, "message %d", i);
        MUST(write(c, buf, (size_t)n));
        char back[100];
        if (read(c, back, sizeof back) != n || memcmp(buf, back, (size_t)n)) printf("echo %d is bad\n", i);
        close(c);
    }
    printf("20 echoes\n");
    SHOW(unlink("sock"));
    SHOW(connect(l2, (void *)&a, sizeof a));

    section("pair");
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(write(pair[0], "abc", 3));
    SHOW(write(pair[0], "def", 3));
    SHOW(recv(pair[1], buf, 100, MSG_PEEK));
    SHOW(recv(pair[1], buf, 4, 0));
    SHOW(recv(pair[1], buf, 100, 0));
    SHOW(recv(pair[1], buf, 100, MSG_DONTWAIT));
    SHOW(shutdown(pair[0], SHUT_WR));
    SHOW(recv(pair[1], buf, 100, 0));
    SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
    SHOW(send(pair[1], "back", 4, 0));
    close(pair[1]);
    SHOW(read(pair[0], buf, 100));
    SHOW(read(pair[0], buf, 100));
    close(pair[0]);

    section("datagram");
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SHOW(write(pair[0], "one", 3));
    SHOW(write(pair[0], "second", 6));
    SHOW(read(pair[1], buf, 2));
    SHOW(read(pair[1], buf, 100));
    close(pair[0]), close(pair[1]);
    struct sockaddr_un d = name("dgram"), me = name("client");
    int s = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), c = (int)MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    MUST(bind(s, (void *)&d, sizeof d));
    MUST(bind(c, (void *)&me, sizeof me));
    SHOW(sendto(c, "hi", 2, 0, (void *)&d, sizeof d));
    len = sizeof got;
    SHOW(recvfrom(s, buf, 100, 0, (void *)&got, &len));
    printf("from %s\n", got.sun_path);
    SHOW(sendto(s, "answer", 6, 0, (void *)&got, len));
    SHOW(recv(c, buf, 100, 0));

    section("seqpacket");
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
    SHOW(write(pair[0], "12345", 5));
    SHOW(write(pair[0], "67", 2));
    SHOW(read(pair[1], buf, 100));
    SHOW(read(pair[1], buf, 100));
    close(pair[0]), close(pair[1]);

    section("passed descriptor");
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int p[2];
    MUST(pipe(p));
    union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } ctl = { 0 };
    struct iovec v = { "f", 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &ctl, .msg_controllen = sizeof ctl };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &p[1], sizeof(int));
    SHOW(sendmsg(pair[0], &m, 0));
    close(p[1]);
    memset(&ctl, 0, sizeof ctl);
    v.iov_base = buf;
    m.msg_controllen = sizeof ctl;
    SHOW(recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC));
    h = CMSG_FIRSTHDR(&m);
    IS(h && h->cmsg_type == SCM_RIGHTS);
    int passed = -1;
    if (h) memcpy(&passed, CMSG_DATA(h), sizeof(int));
    SHOW(fcntl(passed, F_GETFD));
    SHOW(write(passed, "through", 7));
    SHOW(read(p[0], buf, 100));
    close(passed);
    SHOW(read(p[0], buf, 100));

    section("abstract");
    struct sockaddr_un ab = { .sun_family = AF_UNIX };
    snprintf(ab.sun_path + 1, 50, "unibody-test-%d", getpid());
    socklen_t abl = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ab.sun_path + 1));
    l2 = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(bind(l2, (void *)&ab, abl));
    SHOW(listen(l2, 1));
    c = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    SHOW(connect(c, (void *)&ab, abl));
    int acc = (int)MUST(accept(l2, 0, 0));
    struct ucred cred;
    len = sizeof cred;
    SHOW(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &len));
    IS(cred.pid == getpid() && cred.uid == geteuid());
    close(acc);
    options();
    unreceived();
    return done();
}
