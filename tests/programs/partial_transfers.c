// Transfers whose memory ends before they do: what was moved before the fault counts, in the steps of each kind of file.
//@ env TEST_SCRATCH=/dev/shm
#include "test.h"
#include <arpa/inet.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#ifndef FILES_ONLY
#define FILES_ONLY 0
#endif

enum { PAGE = 4096, ROOM = 4 * PAGE };

// The last byte of `room` is the last one that can be touched.
static char *room, *end;
// Content for files and pipes.
static char text[4 * ROOM];

// Pieces of memory: the first `good` bytes can be touched, the rest of `all` cannot.
static const struct { size_t good, all; } shapes[] = {
    { 0, 1 }, { 1, 2 }, { 7, 16 }, { 100, 101 }, { 600, 4096 }, { 3000, 9000 }, { PAGE, 2 * PAGE }, { 5000, 10000 }, { 3 * PAGE, 4 * PAGE },
    { 3 * PAGE + 77, 4 * PAGE },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void fill(char c)
{
    memset(room, c, ROOM);
}

// How many bytes before `end` differ from `c`.
static long touched(size_t good, char c)
{
    long n = 0;
    for (char *p = end - good; p < end; p++) n += *p != c;
    return n;
}

static void word(const char *name, long r)
{
    if (r == -1) printf(" %s %s", name, errname(errno));
    else printf(" %s %ld", name, r);
}

// Empties a file that does not block; returns how many bytes there were.
static long drain(int fd)
{
    static char buf[ROOM];
    long all = 0, n;
    while ((n = read(fd, buf, sizeof buf)) > 0) all += n;
    return all;
}

// One call with a single range, then with several: the fault is in the middle of the second or at the beginning of the third.
static struct iovec pieces[4];
static int split(size_t good, size_t all)
{
    size_t first = good / 3;
    pieces[0] = (struct iovec){ end - good, first };
    pieces[1] = (struct iovec){ end - good + first, good - first };
    pieces[2] = (struct iovec){ end, all - good };
    return 3;
}

static void file_writes(const char *kind, int fd)
{
    section(kind);
    for (int i = 0; i < SHAPES; i++) {
        size_t good = shapes[i].good, all = shapes[i].all;
        struct stat st;
        printf("%zu of %zu:", good, all);
        for (int at = 0; at < 2; at++) {
            fill('a' + at);
            MUST(ftruncate(fd, 0));
            word("write", pwrite(fd, end - good, all, at ? 1000 : 0));
            MUST(fstat(fd, &st));
            // Some versions of Linux extend the file to where nothing was written.
            if (good) word("size", st.st_size);
            MUST(ftruncate(fd, 0));
            word("writev", pwritev(fd, pieces, split(good, all), at ? 1000 : 0));
            MUST(fstat(fd, &st));
            if (good) word("size", st.st_size);
            // Over what is there.
            MUST(pwrite(fd, text, ROOM, 0));
            word("over", pwrite(fd, end - good, all, at ? 1000 : 0));
            char back[ROOM];
            long changed = 0;
            MUST(pread(fd, back, ROOM, 0));
            for (int b = 0; b < ROOM; b++) changed += back[b] != text[b];
            word("changed", changed);
        }
        lseek(fd, 0, SEEK_SET);
        word("write", write(fd, end - good, all));
        word("at", lseek(fd, 0, SEEK_CUR));
        putchar('\n');
    }
}

static void file_reads(const char *kind, int fd, bool counted)
{
    section(kind);
    for (int i = 0; i < SHAPES; i++) {
        size_t good = shapes[i].good, all = shapes[i].all;
        printf("%zu of %zu:", good, all);
        for (int at = 0; at < 2; at++) {
            fill(1);
            word("read", pread(fd, end - good, all, at ? 1000 : 0));
            if (counted) word("touched", touched(good, 1));
            fill(1);
            word("readv", preadv(fd, pieces, split(good, all), at ? 1000 : 0));
            if (counted) word("touched", touched(good, 1));
        }
        lseek(fd, 0, SEEK_SET);
        word("read", read(fd, end - good, all));
        word("at", lseek(fd, 0, SEEK_CUR));
        putchar('\n');
    }
}

// A flow of bytes or messages from one end to the other, with at most so many bytes before the fault: on Linux, which
// bytes of a TCP stream are moved together depends on buffers.
static void flow(const char *kind, int from, int to, size_t most)
{
    section(kind);
    for (int i = 0; i < SHAPES && shapes[i].good <= most; i++) {
        size_t good = shapes[i].good, all = shapes[i].all;
        printf("%zu of %zu:", good, all);
        fill('f');
        word("write", write(from, end - good, all));
        word("came", drain(to));
        word("writev", writev(from, pieces, split(good, all)));
        word("came", drain(to));
        for (int v = 0; v < 2; v++) {
            MUST(write(from, text, all));
            fill(1);
            if (v) word("readv", readv(to, pieces, split(good, all)));
            else word("read", read(to, end - good, all));
            word("left", drain(to));
        }
        putchar('\n');
    }
}

// `parts`: a part of a record is EFAULT in all versions of Linux.
static void numbers(const char *kind, int fd, void (*ready)(int), size_t size, bool parts)
{
    section(kind);
    static const size_t goods[] = { 0, 1, 4, 7 };
    for (size_t i = 0; i < (parts ? sizeof goods / sizeof *goods : 1); i++) {
        printf("%zu:", goods[i]);
        ready(fd);
        word("read", read(fd, end - goods[i], size));
        ready(fd);
        // One whole record, then a part of one.
        word("read", read(fd, end - goods[i] - size, 2 * size));
        word("left", drain(fd) > 0);
        putchar('\n');
    }
}

static void post(int fd)
{
    (void)fd;
    MUST(kill(getpid(), SIGUSR1));
    MUST(kill(getpid(), SIGUSR2));
}
static void count(int fd)
{
    uint64_t one = 1;
    MUST(write(fd, &one, 8));
}
static void expire(int fd)
{
    struct itimerspec soon = { .it_value.tv_nsec = 1 };
    MUST(timerfd_settime(fd, 0, &soon, 0));
    sleep_ms(2);
}
static void change(int fd)
{
    (void)fd;
    for (int i = 0; i < 2; i++) {
        char name[2] = { 'a' + i };
        close(MUST(open(name, O_CREAT | O_WRONLY, 0600)));
        MUST(unlink(name));
    }
}

static void names(void)
{
    section("directory");
    mkdir("d", 0755);
    for (int i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof name, "d/%d", i + 10);
        close(MUST(open(name, O_CREAT | O_WRONLY, 0600)));
    }
    int d = MUST(open("d", O_RDONLY));
    static const size_t goods[] = { 0, 10, 24, 48, 60, 100 };
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        lseek(d, 0, SEEK_SET);
        long n = syscall(SYS_getdents64, d, end - goods[i], 4096L);
        printf("%zu:", goods[i]);
        word("getdents", n);
        putchar('\n');
    }
    close(d);
    printf("readlink:");
    symlink("0123456789", "l");
    word("", readlink("l", end - 5, 10));
    word("", readlink("l", end - 5, 5));
    word("getcwd", syscall(SYS_getcwd, end - 5, 100L));
    putchar('\n');
}

static void waits(void)
{
    section("epoll");
    int e = MUST(epoll_create1(0)), fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = MUST(eventfd(1, 0));
        struct epoll_event ev = { .events = EPOLLIN | (i == 1 ? EPOLLET : 0), .data.u32 = i };
        MUST(epoll_ctl(e, EPOLL_CTL_ADD, fds[i], &ev));
    }
    static const size_t goods[] = { 0, 5, 12, 20, 24, 30 };
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        printf("%zu:", goods[i]);
        word("wait", epoll_wait(e, (void *)(end - goods[i]), 3, 0));
        putchar('\n');
    }
    struct epoll_event all[4];
    SHOW(epoll_wait(e, all, 4, 0));
    for (int i = 0; i < 3; i++) close(fds[i]);
    close(e);
}

int main(void)
{
    enter_scratch();
    char *both = mmap(0, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    room = both;
    end = room + ROOM;
    MUST(munmap(end, PAGE));
    for (size_t i = 0; i < sizeof text; i++) text[i] = 'A' + i % 23;

    int file = MUST(open("file", O_RDWR | O_CREAT, 0600));
    file_writes("file written", file);
    MUST(pwrite(file, text, ROOM, 0));
    file_reads("file read", file, true);
    MUST(ftruncate(file, 0));
    MUST(ftruncate(file, 10 * ROOM));
    file_reads("hole read", file, true);
    if (FILES_ONLY) return done();
    int memory = MUST(memfd_create("m", 0));
    file_writes("memfd written", memory);

    file_reads("/dev/zero", MUST(open("/dev/zero", O_RDONLY)), true);
    file_reads("/dev/full", MUST(open("/dev/full", O_RDONLY)), true);
    file_reads("/dev/urandom", MUST(open("/dev/urandom", O_RDONLY)), false);
    section("getrandom");
    for (int i = 0; i < SHAPES; i++) SHOW(getrandom(end - shapes[i].good, shapes[i].all, 0));
    section("/dev/null");
    int null = MUST(open("/dev/null", O_RDWR));
    SHOW(write(null, end, 100));
    SHOW(read(null, end, 100));
    section("/proc");
    int limits = MUST(open("/proc/self/limits", O_RDONLY));
    SHOW(read(limits, end - 100, 1000));
    SHOW(lseek(limits, 0, SEEK_CUR));
    SHOW(read(limits, end, 1000));
    SHOW(read(limits, end - 7, 1000));
    int comm = MUST(open("/proc/self/comm", O_RDWR));
    memcpy(end - 3, "new", 3);
    SHOW(write(comm, end - 3, 5));
    SHOW(write(comm, end - 3, 3));

    int p[2];
    MUST(pipe2(p, O_NONBLOCK));
    flow("pipe", p[1], p[0], ROOM);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p));
    flow("unix stream", p[0], p[1], ROOM);
    MUST(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p));
    flow("unix datagrams", p[0], p[1], ROOM);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, p));
    flow("unix packets", p[0], p[1], ROOM);
    for (int tcp = 0; tcp < 2; tcp++) {
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;
        int l = MUST(socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0));
        MUST(bind(l, (void *)&a, sizeof a));
        MUST(getsockname(l, (void *)&a, &len));
        if (tcp) MUST(listen(l, 1));
        int c = MUST(socket(AF_INET, tcp ? SOCK_STREAM : SOCK_DGRAM, 0));
        MUST(connect(c, (void *)&a, sizeof a));
        int s = tcp ? MUST(accept(l, 0, 0)) : l;
        fcntl(s, F_SETFL, O_NONBLOCK);
        fcntl(c, F_SETFL, O_NONBLOCK);
        flow(tcp ? "TCP" : "UDP", c, s, tcp ? PAGE - 1 : ROOM);
    }

    numbers("eventfd", MUST(eventfd(0, EFD_NONBLOCK)), count, 8, true);
    int counter = MUST(eventfd(0, EFD_NONBLOCK));
    SHOW(write(counter, end - 4, 8));
    SHOW(write(counter, end - 4, 4));
    numbers("timerfd", MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), expire, 8, false);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    MUST(sigprocmask(SIG_BLOCK, &set, 0));
    numbers("signalfd", MUST(signalfd(-1, &set, SFD_NONBLOCK)), post, sizeof(struct signalfd_siginfo), true);
    int watch = MUST(inotify_init1(IN_NONBLOCK));
    MUST(inotify_add_watch(watch, ".", IN_CREATE | IN_DELETE));
    numbers("inotify", watch, change, sizeof(struct inotify_event) + 16, true);
    names();
    waits();
    return done();
}
