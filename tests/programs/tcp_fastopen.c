// TCP Fast Open without a cookie, as with a Linux server in its default configuration: the options are there, and every
// handshake is an ordinary one.
#include "net.h"

static void option(const char *what, int s, int name, int value)
{
    int got = -1;
    socklen_t n = sizeof got;
    int r = setsockopt(s, IPPROTO_TCP, name, &value, sizeof value), e = errno;
    int q = getsockopt(s, IPPROTO_TCP, name, &got, &n);
    printf("%s %s %d: %s", what, name == TCP_FASTOPEN ? "queue" : "connect", value, r ? errname(e) : "ok");
    if (q) printf(", reads %s\n", errname(errno));
    else printf(", reads %d\n", got);
}

/* In every state that a socket can be in. */
static void options(int family, int name)
{
    address a;
    int s = (int)MUST(socket(family, SOCK_STREAM, 0)), l = listener(family, &a, 5);
    static const int values[] = { 0, 1, 2, 5, 0, -1, 4096, 7 };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) option("new", s, name, values[i]);
    SHOW(setsockopt(s, IPPROTO_TCP, name, "\1\0\0", 3));
    option("listening", l, name, 9);
    option("listening", l, name, 0);
    option("listening", l, name, 1);
    int c = connected(&a), t = (int)MUST(accept(l, 0, 0));
    option("connected", c, name, 1);
    option("accepted", t, name, 1);
    close(c), close(t), close(s), close(l);
}

static void talk(int c, int l)
{
    char got[8] = { 0 };
    int t = (int)MUST(accept(l, 0, 0));
    SHOW(recv(t, got, sizeof got - 1, 0));
    printf("came: %s\n", got);
    SHOW(send(t, "back", 4, 0));
    SHOW(recv(c, got, sizeof got - 1, 0));
    close(t);
}

static void connections(int family)
{
    address a, none = { 0 };
    int l = listener(family, &a, 5), five = 5, one = 1;
    MUST(setsockopt(l, IPPROTO_TCP, TCP_FASTOPEN, &five, sizeof five));
    int c = connected(&a);
    SHOW(send(c, "plain", 5, 0));
    talk(c, l);
    SHOW(sendto(c, "again", 5, MSG_FASTOPEN, &a.any, length(&a)));
    close(c);
    c = (int)MUST(socket(family, SOCK_STREAM, 0));
    MUST(setsockopt(c, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one));
    SHOW(connect(c, &a.any, length(&a)));
    SHOW(send(c, "later", 5, 0));
    talk(c, l);
    close(c);
    c = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(sendto(c, "first", 5, MSG_FASTOPEN, &a.any, length(&a)));
    talk(c, l);
    SHOW(send(c, "more", 4, MSG_FASTOPEN));
    close(c);
    c = (int)MUST(socket(family, SOCK_STREAM, 0));
    SHOW(sendto(c, "none", 4, MSG_FASTOPEN, &none.any, sizeof none));
    SHOW(sendto(c, "short", 5, MSG_FASTOPEN, &a.any, 3));
    SHOW(sendto(c, "", 0, MSG_FASTOPEN, &a.any, length(&a)));
    SHOW(send(c, "then", 4, 0));
    talk(c, l);
    close(c);
    /* Non-blocking: none of it is sent yet. */
    c = (int)MUST(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SHOW(sendto(c, "early", 5, MSG_FASTOPEN, &a.any, length(&a)));
    IS(wait_for(c, POLLOUT) & POLLOUT);
    SHOW(send(c, "now", 3, 0));
    fcntl(c, F_SETFL, 0);
    talk(c, l);
    close(c), close(l);
    c = (int)MUST(socket(family, SOCK_STREAM, 0));
    signal(SIGPIPE, SIG_IGN);
    SHOW(sendto(c, "refused", 7, MSG_FASTOPEN, &a.any, length(&a)));
    SHOW(send(c, "nobody", 6, 0));
    close(c);
}

int main(void)
{
    static const int families[] = { AF_INET, AF_INET6 };
    for (int i = 0; i < 2; i++) {
        options(families[i], TCP_FASTOPEN);
        options(families[i], TCP_FASTOPEN_CONNECT);
        connections(families[i]);
    }
    return done();
}
