//@ user root
/* Sockets of unprivileged programs: ports, options, who is at the other end. */
#include "cred.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

static long bind_to(int type, int port)
{
    int s = MUST(socket(AF_INET, type, 0));
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    long r = bind(s, (void *)&a, sizeof a);
    int e = errno;
    close(s);
    errno = e;
    return r;
}
static long option(int level, int name, int value)
{
    int s = MUST(socket(AF_INET, SOCK_STREAM, 0));
    long r = setsockopt(s, level, name, &value, sizeof value);
    int e = errno;
    close(s);
    errno = e;
    return r;
}
static void peer(const char *who, int fd)
{
    struct ucred c;
    socklen_t n = sizeof c;
    MUST(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n));
    printf("%s: %d:%d, this process: %d\n", who, (int)c.uid, (int)c.gid, c.pid == getpid());
}
static long claim(int fd, pid_t pid, uid_t uid, gid_t gid)
{
    union { char b[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr h; } u = { 0 };
    struct iovec v = { "x", 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u };
    u.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(struct ucred)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS };
    struct ucred c = { pid, uid, gid };
    memcpy(CMSG_DATA(&u.h), &c, sizeof c);
    return sendmsg(fd, &m, 0);
}
static void sender(int fd)
{
    union { char b[CMSG_SPACE(sizeof(struct ucred))]; struct cmsghdr h; } u = { 0 };
    char b;
    struct iovec v = { &b, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u };
    MUST(recvmsg(fd, &m, 0));
    struct ucred c;
    memcpy(&c, CMSG_DATA(&u.h), sizeof c);
    printf("from %d:%d, this process: %d\n", (int)c.uid, (int)c.gid, c.pid == getpid());
}

int main(void)
{
    int on = 1, v[2];
    struct stat s;
    enter_scratch();
    MUST(chmod(".", 0777));

    section("options of root");
    SHOW(option(SOL_SOCKET, SO_PRIORITY, 6));
    SHOW(option(SOL_SOCKET, SO_PRIORITY, 7));
    SHOW(option(SOL_SOCKET, SO_MARK, 1));
    SHOW(option(SOL_SOCKET, SO_DEBUG, 1));

    section("ports");
    be(WWW, WWW);
    SHOW(bind_to(SOCK_STREAM, 81));
    SHOW(bind_to(SOCK_DGRAM, 1023));
    SHOW(bind_to(SOCK_DGRAM, 0));
    IS(bind_to(SOCK_STREAM, 1024) == 0 || errno == EADDRINUSE);

    section("options");
    SHOW(option(SOL_SOCKET, SO_PRIORITY, 6));
    SHOW(option(SOL_SOCKET, SO_PRIORITY, 7));
    SHOW(option(SOL_SOCKET, SO_PRIORITY, -1));
    SHOW(option(SOL_SOCKET, SO_MARK, 1));
    SHOW(option(SOL_SOCKET, SO_MARK, 0));
    SHOW(option(SOL_SOCKET, SO_DEBUG, 1));
    SHOW(option(SOL_SOCKET, SO_DEBUG, 0));
    SHOW(option(SOL_SOCKET, SO_RCVBUFFORCE, 4096));
    SHOW(option(SOL_SOCKET, SO_SNDBUFFORCE, 4096));
    SHOW(option(SOL_SOCKET, SO_RCVBUF, 4096));
    int dev = MUST(socket(AF_INET, SOCK_DGRAM, 0));
    SHOW(setsockopt(dev, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    SHOW(setsockopt(dev, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    MUST(fstat(dev, &s));
    printf("%d:%d\n", (int)s.st_uid, (int)s.st_gid);

    section("who is there");
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, v));
    peer("pair", v[0]);
    root();
    peer("pair, later", v[0]);
    MUST(setsockopt(v[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    MUST(write(v[0], "x", 1));
    sender(v[1]);
    be(WWW, WWW);
    /* Messages carry the real user. */
    MUST(write(v[0], "x", 1));
    sender(v[1]);
    SHOW(claim(v[0], getpid(), WWW, WWW));
    sender(v[1]);
    SHOW(claim(v[0], getpid(), 0, 0));
    sender(v[1]);
    SHOW(claim(v[0], getpid(), OTHER, 0));
    SHOW(claim(v[0], getpid(), 0, OTHER));
    SHOW(claim(v[0], getpid(), -1, 0));
    SHOW(claim(v[0], 0x3ffffff0, 0, 0));
    root();
    SHOW(claim(v[0], getpid(), OTHER, OTHER));
    sender(v[1]);
    SHOW(claim(v[0], 0x3ffffff0, 0, 0));

    section("paths");
    struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "sock" };
    umask(077);
    int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
    be(OTHER, OTHER);
    SHOW(bind(l, (void *)&a, sizeof a));
    MUST(stat("sock", &s));
    printf("%o %d:%d\n", (unsigned)s.st_mode, (int)s.st_uid, (int)s.st_gid);
    SHOW(listen(l, 1));
    be(WWW, WWW);
    SHOW(connect(c, (void *)&a, sizeof a));
    root();
    MUST(chmod("sock", 0602));
    be(WWW, WWW);
    SHOW(connect(c, (void *)&a, sizeof a));
    root();
    int got = MUST(accept(l, 0, 0));
    peer("client", got);
    peer("server", c);
    MUST(mkdir("closed", 0755));
    be(WWW, WWW);
    struct sockaddr_un b = { .sun_family = AF_UNIX, .sun_path = "closed/sock" };
    l = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
    SHOW(bind(l, (void *)&b, sizeof b));
    SHOW(bind(l, (void *)&a, sizeof a));
    return done();
}
