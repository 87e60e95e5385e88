// More open files than the system allows: ENFILE, and everything works again once some are closed. Linux lets root
// exceed its limit, and a test must not lower that of the machine it runs on.
//@ hosted no
//@ memory 16M
#include "test.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define REFUSED(expr) do { errno = 0; IS((expr) == -1); if (errno != ENFILE) printf("%s: %s\n", #expr, errname(errno)); } while (0)

/* The number behind `key` in a file of /proc. */
static long number(const char *path, const char *key)
{
    char text[512] = "";
    int fd = (int)MUST(open(path, O_RDONLY));
    MUST(read(fd, text, sizeof text - 1));
    close(fd);
    const char *at = strstr(text, key);
    return at ? atol(at + strlen(key)) : -1;
}

int main(void)
{
    int fd, last = -1, pair[2];
    long most = number("/proc/sys/fs/file-max", ""), made = 0;
    /* One for each KiB of memory: a limit computed before memory was known would be the minimum, 1024. */
    IS(most == number("/proc/meminfo", "MemTotal:"));
    IS(most > 8192 && most < 65536);
    IS(number("/proc/sys/fs/file-nr", "") == 4); /* the standard streams, and this file itself */
    IS(number("/proc/sys/fs/file-nr", "\t0\t") == most);
    struct rlimit limit = { 65536, 65536 };
    MUST(setrlimit(RLIMIT_NOFILE, &limit));

    while ((fd = eventfd(0, 0)) >= 0) {
        last = fd;
        made++;
    }
    printf("%s\n", errname(errno));
    IS(made == most - 3);
    REFUSED(open("/", O_RDONLY));
    REFUSED(pipe(pair));
    REFUSED(socket(AF_UNIX, SOCK_STREAM, 0));
    REFUSED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    REFUSED(epoll_create1(0));
    REFUSED(inotify_init1(0));
    /* Not a new open file: only the process's limit counts. */
    IS(dup(0) == last + 1);

    close(last + 1);
    close(last);
    close(last - 1);
    MUST(pipe(pair));
    IS(pair[0] == last - 1 && pair[1] == last);
    puts("done");
    return 0;
}
