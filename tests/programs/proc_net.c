// Files of /proc/net, with nothing but the loopback interface: formats, and lines about sockets of our own.
//@ network own
#include "own_net.h"
#include <sys/un.h>

static char text[65536];

/* A file as one string. */
static char *whole(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/net/%s", name);
    int f = (int)MUST(open(path, O_RDONLY)), n = 0;
    for (ssize_t got; (got = read(f, text + n, sizeof text - 1 - (size_t)n)) > 0;) n += (int)got;
    text[n] = 0;
    close(f);
    return text;
}

static unsigned long inode(int fd)
{
    struct stat s;
    MUST(fstat(fd, &s));
    return s.st_ino;
}

static void header(const char *name)
{
    char *t = whole(name);
    int n = (int)strcspn(t, "\n");
    printf("%s: %d '%.*s'\n", name, n, n, t);
}

static int port_of(int s)
{
    address a = { 0 };
    socklen_t n = sizeof a;
    MUST(getsockname(s, &a.any, &n));
    return ntohs(a.v4.sin_port);
}

/* The line of a socket, with its ports and what follows the inode replaced by what they mean. */
static void line(const char *what, const char *name, int fd, int column)
{
    char want[32], *save = 0;
    snprintf(want, sizeof want, "%lu", inode(fd));
    whole(name);
    int found = 0;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(0, "\n", &save)) {
        char copy[400], *words[40], *at = 0;
        int n = 0, length = (int)strlen(l);
        snprintf(copy, sizeof copy, "%s", l);
        for (char *w = strtok_r(copy, " ", &at); w && n < 40; w = strtok_r(0, " ", &at)) words[n++] = w;
        if (n <= column || strcmp(words[column], want)) continue;
        found++;
        /* Only some have lines that are filled up. */
        printf("%s: %d:", what, length == 149 || length == 127 ? length : 0);
        for (int i = 1; i < column; i++) {
            char *colon = strchr(words[i], ':');
            unsigned port = colon ? (unsigned)strtoul(colon + 1, 0, 16) : 0;
            /* Columns of timers change with time. */
            if (column == 9 && (i == 5 || i == 6 || i == 8)) continue;
            if (column == 9 && i < 3 && colon) printf(" %.*s:%s", (int)(colon - words[i]), words[i], port ? "port" : "0");
            else if (strlen(words[i]) == 16) printf(" pointer");
            else printf(" %s", words[i]);
        }
        printf(" inode%s\n", column == 6 && n > 7 ? words[7] : "");
    }
    IS(found == 1);
}

int main(void)
{
    section("headers");
    const char *names[] = { "tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "unix", "packet", "dev", "route", "arp", "igmp" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) header(names[i]);
    SHOW(access("/proc/self/net/tcp", R_OK));
    SHOW(access("/proc/net/nothing", R_OK));
    char link[20] = "";
    SHOW(readlink("/proc/net", link, sizeof link - 1));
    SHOW(strcmp(link, "self/net"));
    section("interfaces");
    puts(whole("if_inet6"));
    char *d = strstr(whole("dev"), "lo:");
    IS(d && strspn(d + 3, " 0123456789\n") == strlen(d + 3));
    puts(whole("igmp"));
    section("TCP");
    address a;
    int l = listener(AF_INET, &a, 5), c = connected(&a), s = (int)MUST(accept(l, 0, 0));
    line("listening", "tcp", l, 9);
    line("client", "tcp", c, 9);
    line("server", "tcp", s, 9);
    MUST(write(c, "hello", 5));
    line("unread", "tcp", s, 9);
    int waits = connected(&a);
    line("one waits", "tcp", l, 9);
    MUST(shutdown(c, SHUT_WR));
    line("half closed", "tcp", s, 9);
    address b;
    int six = listener(AF_INET6, &b, 5), c6 = connected(&b);
    line("listening", "tcp6", six, 9);
    line("client", "tcp6", c6, 9);
    section("datagrams");
    int u = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0)), v = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    address p = loopback(AF_INET, 0);
    MUST(bind(u, &p.any, sizeof p.v4));
    p = loopback(AF_INET, port_of(u));
    line("bound", "udp", u, 9);
    MUST(connect(v, &p.any, sizeof p.v4));
    line("connected", "udp", v, 9);
    int u6 = (int)MUST(socket(AF_INET6, SOCK_DGRAM, 0));
    b = loopback(AF_INET6, 0), b.v6.sin6_addr = in6addr_any;
    MUST(bind(u6, &b.any, sizeof b.v6));
    line("IPv6", "udp6", u6, 9);
    int r = (int)MUST(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), r6 = (int)MUST(socket(AF_INET6, SOCK_RAW, 200));
    line("raw", "raw", r, 9);
    line("raw", "raw6", r6, 9);
    section("others");
    int k = (int)MUST(socket(AF_UNIX, SOCK_STREAM, 0)), pair[2];
    struct sockaddr_un n = { AF_UNIX, "" };
    memcpy(n.sun_path, "\0an abstract name", 17);
    MUST(bind(k, (void *)&n, 2 + 17));
    MUST(listen(k, 3));
    MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    line("listening", "unix", k, 6);
    line("pair", "unix", pair[0], 6);
    int packet = (int)MUST(socket(AF_PACKET, SOCK_DGRAM, htons(0x88b5)));
    line("packet", "packet", packet, 8);
    close(waits);
    return done();
}
