// The files of /etc through the calls that read them.
//@ tool run
//@ native no
#include "test.h"
#include <grp.h>
#include <netdb.h>
#include <pwd.h>

int main(void)
{
    static const char *const paths[] = { "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/services",
        "/etc/protocols", "/tmp", "/run", "/dev/shm", "/proc" };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) printf("%s: %s\n", paths[i], access(paths[i], F_OK) ? errname(errno) : "there");
    struct passwd *p = getpwuid(0);
    IS(p && !strcmp(p->pw_name, "root"));
    p = getpwnam("nobody");
    IS(p != 0 && p->pw_uid != 0);
    IS(getpwnam("no-such-user") == 0);
    struct group *g = getgrgid(0);
    IS(g && !strcmp(g->gr_name, "root"));
    struct servent *s = getservbyname("http", "tcp");
    IS(s && ntohs((uint16_t)s->s_port) == 80);
    s = getservbyport(htons(443), "tcp");
    IS(s && !strcmp(s->s_name, "https"));
    struct protoent *pr = getprotobyname("tcp");
    IS(pr && pr->p_proto == 6);
    struct stat st;
    MUST(stat("/tmp", &st));
    printf("/tmp mode %o\n", st.st_mode & 07777);
    SHOW(getuid());
    SHOW(geteuid());
    SHOW(getgid());
    return done();
}
