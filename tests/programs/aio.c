// Linux's asynchronous I/O: reads, writes and syncs of files, pipes and sockets, results in order, eventfds, timeouts,
// every error of each call.
//@ env TEST_SCRATCH=/dev/shm
//@ smp 2
//@ shows io_setup io_destroy io_submit io_getevents io_pgetevents
#include "test.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct block {
    uint64_t data;
    uint32_t key;
    int32_t rw_flags;
    uint16_t what;
    int16_t priority;
    uint32_t fd;
    uint64_t buf, len;
    int64_t offset;
    uint64_t reserved;
    uint32_t flags, resfd;
};
struct event {
    uint64_t data, obj;
    int64_t res, res2;
};
typedef unsigned long context;
enum { READ, WRITE, FSYNC, FDSYNC, POLL = 5, NOOP, READV, WRITEV };

static long setup(unsigned n, context *c) { return syscall(SYS_io_setup, (long)n, c); }
static long destroy(context c) { return syscall(SYS_io_destroy, c); }
static long submit(context c, long n, struct block **b) { return syscall(SYS_io_submit, c, n, b); }
static long get(context c, long min, long max, struct event *e, struct timespec *t) { return syscall(SYS_io_getevents, c, min, max, e, t); }

static context c;
static struct event ev[64];
static struct timespec none, soon = { 0, 20000000 };

// Submits one block and prints what comes of it.
static long one(const char *name, struct block b)
{
    struct block *list[1] = { &b };
    b.data = 77;
    errno = 0;
    long r = submit(c, 1, list);
    printf("%s: %s", name, r == -1 ? errname(errno) : "submitted");
    long n = get(c, r == 1, 4, ev, r == 1 ? 0 : &none);
    if (n == 1) {
        printf(", %ld %s", ev[0].res < 0 ? -1L : (long)ev[0].res, ev[0].res < 0 ? errname((int)-ev[0].res) : "");
        if (ev[0].data != 77 || ev[0].obj != (uintptr_t)&b || ev[0].res2) printf(", wrong event");
    } else printf(", %ld events", n);
    putchar('\n');
    return n == 1 ? ev[0].res : r;
}

#define IO(w, f, b, l, o, ...) ((struct block){ .what = w, .fd = (uint32_t)(f), .buf = (uintptr_t)(b), .len = l, .offset = o, ##__VA_ARGS__ })

static void handler(int n) { (void)n; }

static struct block later;
static void *submits(void *fd)
{
    struct block *list[1] = { &later };
    sleep_ms(50);
    later = IO(WRITE, *(int *)fd, "late", 4, 0);
    submit(c, 1, list);
    return 0;
}
static pthread_t main_thread;
static void *signals(void *arg)
{
    (void)arg;
    sleep_ms(50);
    pthread_kill(main_thread, SIGUSR1);
    return 0;
}
static void *destroys(void *arg)
{
    (void)arg;
    sleep_ms(50);
    destroy(c);
    return 0;
}

int main(void)
{
    enter_scratch();
    char buf[10000];
    memset(buf, 'b', sizeof buf);
    section("contexts");
    context bad = 5, other = 0;
    SHOW(setup(4, &bad));
    SHOW(setup(0, &other));
    SHOW(setup(4, (context *)8));
    SHOW(setup(1u << 30, &other));
    SHOW(setup(1u << 22, &other));
    SHOW(setup(32, &c));
    IS(c != 0);
    SHOW(setup(4, &other));
    IS(other != c);
    SHOW(destroy(other));
    SHOW(destroy(other));
    SHOW(destroy(0));
    SHOW(submit(other, 0, 0));
    SHOW(submit(c, 0, 0));
    SHOW(submit(c, -1, 0));
    SHOW(submit(c, 1, (struct block **)8));
    SHOW(get(other, 0, 1, ev, &none));
    SHOW(get(c, 0, 1, ev, &none));
    SHOW(get(c, 0, 0, ev, 0));
    SHOW(get(c, 2, 1, ev, &none));
    SHOW(get(c, -1, 1, ev, &none));
    SHOW(get(c, 1, 1, ev, &none));
    SHOW(get(c, 1, 1, ev, &soon));

    section("files");
    int fd = MUST(open("file", O_RDWR | O_CREAT, 0600));
    one("write", IO(WRITE, fd, buf, 5000, 100));
    one("read", IO(READ, fd, buf, 10000, 0));
    IS(buf[0] == 0 && buf[99] == 0 && buf[100] == 'b' && buf[5099] == 'b');
    one("at the end", IO(READ, fd, buf, 100, 5100));
    one("nothing", IO(READ, fd, buf, 0, 0));
    struct iovec v[2] = { { buf, 10 }, { buf + 200, 20 } };
    one("writev", IO(WRITEV, fd, v, 2, 6000));
    one("readv", IO(READV, fd, v, 2, 5990));
    one("too many", IO(READV, fd, v, 2000, 0));
    one("fsync", IO(FSYNC, fd, 0, 0, 0));
    one("fdatasync", IO(FDSYNC, fd, 0, 0, 0));
    one("fsync with a buffer", IO(FSYNC, fd, buf, 0, 0));
    SHOW(lseek(fd, 0, SEEK_CUR));
    one("negative offset", IO(READ, fd, buf, 10, -1));
    one("too long", IO(READ, fd, buf, 1UL << 63, 0));
    one("no memory", IO(READ, fd, 8, 10, 0));
    one("outside", IO(READ, fd, -4096, 10, 0));
    one("bad list", IO(READV, fd, 8, 1, 0));
    one("no file", IO(READ, 99, buf, 10, 0));
    one("poll of a file", IO(99, fd, buf, 10, 0));
    one("no operation", IO(NOOP, fd, 0, 0, 0));
    one("reserved", IO(READ, fd, buf, 10, 0, .reserved = 1));
    one("unknown flags", IO(READ, fd, buf, 10, 0, .rw_flags = 0x10000));
    one("synchronous", IO(WRITE, fd, buf, 10, 0, .rw_flags = 2));
    one("appended", IO(WRITE, fd, buf, 10, 0, .rw_flags = 0x10));
    struct stat st;
    MUST(fstat(fd, &st));
    SHOW(st.st_size);
    int reader = MUST(open("file", O_RDONLY)), writer = MUST(open("file", O_WRONLY | O_APPEND));
    one("not for writing", IO(WRITE, reader, buf, 10, 0));
    one("not for reading", IO(READ, writer, buf, 10, 0));
    one("appended", IO(WRITE, writer, buf, 10, 0));
    MUST(fstat(fd, &st));
    SHOW(st.st_size);
    one("directory", IO(READ, MUST(open(".", O_RDONLY)), buf, 10, 0));

    section("others");
    int p[2], s[2];
    MUST(pipe2(p, O_NONBLOCK));
    one("pipe", IO(WRITE, p[1], buf, 10, 500));
    one("pipe", IO(READ, p[0], buf, 100, 500));
    one("empty pipe", IO(READ, p[0], buf, 100, 0));
    one("sync", IO(FSYNC, p[0], 0, 0, 0));
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    one("socket", IO(WRITE, s[1], buf, 10, 0));
    one("socket", IO(READ, s[0], buf, 100, 0));
    one("null", IO(WRITE, MUST(open("/dev/null", O_WRONLY)), buf, 10, 0));
    one("zero", IO(READ, MUST(open("/dev/zero", O_RDONLY)), buf, 10, 0));
    signal(SIGPIPE, SIG_IGN);
    close(p[0]);
    one("no reader", IO(WRITE, p[1], buf, 10, 0));

    section("several");
    struct block b[40], *list[40];
    for (int i = 0; i < 40; i++) {
        b[i] = IO(WRITE, fd, buf, 1 + i, i * 100);
        b[i].data = 1000 + i;
        list[i] = &b[i];
    }
    SHOW(submit(c, 10, list));
    SHOW(get(c, 4, 4, ev, 0));
    printf("%lu %lu %ld\n", (unsigned long)ev[0].data, (unsigned long)ev[3].data, (long)ev[3].res);
    SHOW(get(c, 1, 20, ev, 0));
    printf("%lu %lu\n", (unsigned long)ev[0].data, (unsigned long)ev[5].data);
    // What comes before an error counts.
    b[2].what = 99;
    SHOW(submit(c, 5, list));
    SHOW(submit(c, 3, list + 2));
    SHOW(get(c, 0, 20, ev, 0));
    list[3] = (struct block *)8;
    b[2].what = WRITE;
    SHOW(submit(c, 5, list));
    SHOW(get(c, 0, 20, (struct event *)8, 0));
    SHOW(get(c, 3, 20, ev, 0));

    section("eventfd");
    int e = MUST(eventfd(0, EFD_NONBLOCK));
    for (int i = 4; i < 8; i++) b[i].flags = 1, b[i].resfd = (uint32_t)e;
    SHOW(submit(c, 4, list + 4));
    struct pollfd pf = { e, POLLIN, 0 };
    SHOW(poll(&pf, 1, 1000));
    uint64_t n = 0;
    SHOW(read(e, &n, 8));
    SHOW(n);
    SHOW(get(c, 4, 20, ev, 0));
    one("no eventfd", IO(READ, fd, buf, 10, 0, .flags = 1, .resfd = (uint32_t)fd));
    one("no file", IO(READ, fd, buf, 10, 0, .flags = 1, .resfd = 99));

    section("waiting");
    pthread_t t;
    main_thread = pthread_self();
    MUST0(pthread_create(&t, 0, submits, &fd));
    SHOW(get(c, 1, 4, ev, 0));
    IS(ev[0].obj == (uintptr_t)&later && ev[0].res == 4);
    MUST0(pthread_join(t, 0));
    struct sigaction sa = { .sa_handler = handler };
    sigaction(SIGUSR1, &sa, 0);
    MUST0(pthread_create(&t, 0, signals, 0));
    SHOW(get(c, 1, 4, ev, 0));
    MUST0(pthread_join(t, 0));
    // The mask lets no signal in until the time is over.
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    struct { sigset_t *set; size_t size; } mask = { &set, 8 }, odd = { &set, 5 };
    struct timespec longer = { 0, 200000000 };
    MUST0(pthread_create(&t, 0, signals, 0));
    SHOW(syscall(SYS_io_pgetevents, c, 1L, 4L, ev, &longer, &mask));
    MUST0(pthread_join(t, 0));
    SHOW(syscall(SYS_io_pgetevents, c, 1L, 4L, ev, &soon, &odd));
    SHOW(syscall(SYS_io_pgetevents, c, 0L, 4L, ev, 0L, 0L));
    SHOW(syscall(SYS_io_cancel, c, &b[0], ev));
    SHOW(syscall(SYS_io_cancel, c, 8L, ev));
    MUST0(pthread_create(&t, 0, destroys, 0));
    SHOW(get(c, 1, 4, ev, 0));
    MUST0(pthread_join(t, 0));
    SHOW(get(c, 1, 4, ev, 0));
    SHOW(destroy(c));
    return done();
}
