// More open files than the system allows: ENFILE, and everything goes on when some are closed. Linux lets root go beyond its limit,
// and a test must not lower that of the machine it runs on.
//@ hosted no
//@ memory 16M
#include "test.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define REFUSED(expr) do { errno = 0; IS((expr) == -1); if (errno != ENFILE) printf("%s: %s\n", #expr, errname(errno)); } while (0)

int main(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/fs/file-max", O_RDONLY), last = -1, pair[2];
    MUST(read(fd, text, sizeof text - 1));
    close(fd);
    long most = atol(text), made = 0;
    IS(most > 1000 && most < 65536);
    struct rlimit limit = { 65536, 65536 };
    MUST(setrlimit(RLIMIT_NOFILE, &limit));

    while ((fd = eventfd(0, 0)) >= 0) {
        last = fd;
        made++;
    }
    printf("%s\n", errname(errno));
    IS(made == most - 3); /* the standard streams */
    REFUSED(open("/", O_RDONLY));
    REFUSED(pipe(pair));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    REFUSED(epoll_create1(0));
    REFUSED(inotify_init1(0));
    /* No new file: only the process' limit counts. */
    IS(dup(0) == last + 1);

    close(last + 1);
    close(last);
    close(last - 1);
    MUST(pipe(pair));
    IS(pair[0] == last - 1 && pair[1] == last);
    puts("done");
    return 0;
}
