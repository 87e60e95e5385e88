// Who may bind to a port with connections, and with what is left of them: SO_REUSEADDR and SO_REUSEPORT on both sides.
#include "net.h"

/* Binds a new socket, with this option, to a port. */
static int binds(const address *a, int option)
{
    int s = (int)MUST(socket(a->any.sa_family, SOCK_STREAM, 0)), on = 1;
    if (option) MUST(setsockopt(s, SOL_SOCKET, option, &on, sizeof on));
    int r = bind(s, &a->any, length(a)), e = errno;
    close(s);
    errno = e;
    return r;
}

static void all_kinds(const address *a)
{
    SHOW(binds(a, 0));
    SHOW(binds(a, SO_REUSEADDR));
    SHOW(binds(a, SO_REUSEPORT));
}

/* A connection to a listener with this option, which has ended when it returns. The first end is the client's. */
static void serve(int family, int option, address *a, int pair[2])
{
    socklen_t n = sizeof *a;
    int l = (int)MUST(socket(family, SOCK_STREAM, 0)), on = 1;
    *a = loopback(family, 0);
    if (option) MUST(setsockopt(l, SOL_SOCKET, option, &on, sizeof on));
    MUST(bind(l, &a->any, length(a)));
    MUST(listen(l, 5));
    MUST(getsockname(l, &a->any, &n));
    pair[0] = connected(a);
    pair[1] = (int)MUST(accept(l, 0, 0));
    close(l);
}

static void server(int family, int option)
{
    address a, other;
    int p[2], off = 0, on = 1;
    char byte;
    section("a port with a connection");
    serve(family, option, &a, p);
    all_kinds(&a);
    section("whose socket has changed its mind");
    MUST(setsockopt(p[1], SOL_SOCKET, SO_REUSEADDR, option == SO_REUSEADDR ? &off : &on, sizeof on));
    all_kinds(&a);
    MUST(setsockopt(p[1], SOL_SOCKET, SO_REUSEADDR, option == SO_REUSEADDR ? &on : &off, sizeof on));
    section("another address");
    if (family == AF_INET) {
        other = a;
        other.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
        SHOW(binds(&other, 0));
    }
    section("its TIME-WAIT");
    close(p[1]);
    MUST(read(p[0], &byte, 1));
    close(p[0]);
    sleep_ms(50);
    all_kinds(&a);
    other = a;
    if (family == AF_INET) other.v4.sin_addr.s_addr = htonl(INADDR_ANY);
    else other.v6.sin6_addr = in6addr_any;
    all_kinds(&other);
}

static void client(int family)
{
    address a, own;
    socklen_t n = sizeof own;
    int p[2];
    section("the port of one that has connected");
    serve(family, 0, &a, p);
    MUST(getsockname(p[0], &own.any, &n));
    all_kinds(&own);
    close(p[0]), close(p[1]);
}

int main(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        int family = v6 ? AF_INET6 : AF_INET;
        server(family, 0);
        server(family, SO_REUSEADDR);
        server(family, SO_REUSEPORT);
        client(family);
    }
    return done();
}
