// sendfile and splice: which error comes first, for all kinds of sources and targets, with and without an offset, also
// for zero bytes.
#include "test.h"
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { FILES = 15 };
static struct { const char *name; int fd; } all[FILES];
static int n, full[2], hole[2], sink[2];

static void add(const char *name, int fd)
{
    all[n].name = name, all[n++].fd = fd;
}

/* Resets everything before each call: positions, content of pipes and sockets. */
static void prepare(void)
{
    char buf[4096];
    struct pollfd p[] = { { hole[0], POLLIN, 0 }, { sink[1], POLLIN, 0 }, { full[0], POLLIN, 0 } };
    for (int i = 0; i < 3; i++)
        while (poll(&p[i], 1, 0) == 1 && p[i].revents & POLLIN) MUST(read(p[i].fd, buf, sizeof buf));
    MUST(write(full[1], "in a pipe", 9));
    int have = 0;
    ioctl(sink[0], FIONREAD, &have);
    if (!have) MUST(write(sink[1], "in a socket", 11));
    for (int i = 0; i < n; i++) lseek(all[i].fd, 0, SEEK_SET);
    eventfd_t v;
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].name, "eventfd")) eventfd_read(all[i].fd, &v), eventfd_write(all[i].fd, 1);
}

static void tell(long r, loff_t *at)
{
    int e = errno;
    if (r == -1) printf(" %s", errname(e));
    else printf(" %ld", r);
    if (at && at != (void *)8) printf("@%ld", (long)*at);
}

static void with(const char *call, size_t count)
{
    printf("-- %s, %zu\n", call, count);
    for (int i = 0; i < n; i++) {
        for (int o = 0; o < n; o++) {
            loff_t zero = 0, some = 3, below = -1;
            loff_t *offsets[] = { NULL, &zero, &some, &below, (void *)8 };
            printf("%s to %s:", all[i].name, all[o].name);
            for (int k = 0; k < 5; k++) {
                prepare();
                loff_t *at = offsets[k];
                if (!strcmp(call, "sendfile")) tell(sendfile(all[o].fd, all[i].fd, at, count), at);
                else if (!strcmp(call, "splice from")) tell(splice(all[i].fd, at, all[o].fd, NULL, count, SPLICE_F_NONBLOCK), at);
                else if (k) tell(splice(all[i].fd, NULL, all[o].fd, at, count, SPLICE_F_NONBLOCK), at);
            }
            printf("\n");
        }
    }
}

int main(void)
{
    enter_scratch();
    signal(SIGPIPE, SIG_IGN);
    int f = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(write(f, "0123456789", 10));
    MUST(pipe2(full, O_NONBLOCK)), MUST(pipe2(hole, O_NONBLOCK));
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sink));
    add("file", f);
    add("append", (int)MUST(open("g", O_RDWR | O_CREAT | O_APPEND, 0644)));
    add("read only", (int)MUST(open("f", O_RDONLY)));
    add("write only", (int)MUST(open("h", O_WRONLY | O_CREAT, 0644)));
    add("folder", (int)MUST(open(".", O_RDONLY)));
    add("a full pipe", full[0]);
    add("an empty pipe", hole[1]);
    add("socket", sink[0]);
    add("null", (int)MUST(open("/dev/null", O_RDWR)));
    add("zero", (int)MUST(open("/dev/zero", O_RDWR)));
    add("full", (int)MUST(open("/dev/full", O_RDWR)));
    add("proc", (int)MUST(open("/proc/self/comm", O_RDONLY)));
    add("eventfd", (int)MUST(eventfd(1, EFD_NONBLOCK)));
    add("epoll", (int)MUST(epoll_create1(0)));
    add("nothing", 99);
    size_t counts[] = { 0, 5 };
    for (int i = 0; i < 2; i++) {
        with("sendfile", counts[i]);
        with("splice from", counts[i]);
        with("splice to", counts[i]);
    }
    return done();
}
