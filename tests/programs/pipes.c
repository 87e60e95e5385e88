// Pipes and FIFOs: capacity, blocking, end of file, EPIPE, atomic writes.
//@ shows pipe pipe2
//@ smp 2
#include "test.h"
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>

static int p[2];
static volatile int pipes_seen;
static void on_pipe(int s) { (void)s; pipes_seen++; }

static void *writer(void *arg)
{
    char block[1000];
    memset(block, (int)(long)arg, sizeof block);
    for (int i = 0; i < 500; i++)
        if (write(p[1], block, sizeof block) != sizeof block) return (void *)1;
    return 0;
}

static void *late_write(void *arg) { (void)arg; sleep_ms(30); write(p[1], "late", 4); return 0; }
static void *late_close(void *arg) { (void)arg; sleep_ms(30); close(p[1]); return 0; }
static void *late_read(void *arg) { (void)arg; sleep_ms(30); char buf[70000]; return (void *)read(p[0], buf, sizeof buf); }

static void *open_fifo(void *arg) { (void)arg; int fd = open("fifo", O_WRONLY); write(fd, "fifo", 4); close(fd); return 0; }

/* What a write whose memory ends in the middle leaves in the pipe: whole slots, and what is beyond whole pages. */
static void faults(void)
{
    static char back[70000];
    char *m = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *hole = m + 2 * 4096;
    MUST(munmap(hole, 4096));
    memset(m, 'x', 2 * 4096);
    for (int before = 0; before <= 3; before += 3) {
        int q[2];
        MUST(pipe2(q, O_NONBLOCK));
        static const struct { int from, size; } writes[] = { { -100, 300 }, { -4196, 4296 }, { -8192, 12288 }, { -8142, 12288 }, { 0, 1 } };
        for (int i = 0; i < 5; i++) {
            MUST(write(q[1], "abc", (size_t)before));
            printf("%d bytes before, %d of %d\n", before, -writes[i].from, writes[i].size);
            SHOW(write(q[1], hole + writes[i].from, (size_t)writes[i].size));
            SHOW(read(q[0], back, sizeof back));
        }
        struct iovec pairs[][2] = {
            { { m, 5000 }, { hole, 5000 } },
            { { m, 4096 }, { hole - 50, 5000 } },
            { { m, 10 }, { hole - 50, 60 } },
            { { m, 10 }, { hole, 60 } },
            { { m, 8000 }, { hole - 90, 90 } },
        };
        for (int i = 0; i < 5; i++) {
            MUST(write(q[1], "abc", (size_t)before));
            printf("%d bytes before, pair %d\n", before, i);
            SHOW(writev(q[1], pairs[i], 2));
            SHOW(read(q[0], back, sizeof back));
        }
        MUST(close(q[0]));
        MUST(close(q[1]));
    }
    MUST(munmap(m, 2 * 4096));
}

int main(void)
{
    static char buf[100000];
    pthread_t t[4];
    void *r;
    int n;
    MUST(pipe(p));
    SHOW(write(p[1], "hello", 5));
    MUST(ioctl(p[0], FIONREAD, &n));
    SHOW(n);
    SHOW(read(p[0], buf, 3));
    SHOW(read(p[0], buf, 100));
    SHOW(read(p[1], buf, 1));
    SHOW(write(p[0], buf, 1));
    SHOW(lseek(p[0], 0, SEEK_SET));
    /* The error for lacking positions comes before that for the access mode; a bad offset comes before both. */
    SHOW(pread(p[0], buf, 1, 0));
    SHOW(pread(p[1], buf, 1, 0));
    SHOW(pwrite(p[0], buf, 1, 0));
    SHOW(pwrite(p[1], buf, 1, 0));
    SHOW(pwrite(p[0], buf, 1, -1));
    SHOW(pwrite(99, buf, 1, -1));
    SHOW(pwrite(99, buf, 1, 0));
    struct iovec one = { buf, 1 };
    SHOW(preadv(p[1], &one, 1, 0));
    SHOW(pwritev(p[0], &one, 1, 0));
    SHOW(syscall(SYS_preadv2, p[1], &one, 1, (long)0, 0L, 0));
    SHOW(syscall(SYS_preadv2, p[1], &one, 1, (long)-1, 0L, 0));
    SHOW(syscall(SYS_pwritev2, p[0], &one, 1, (long)0, 0L, 0));
    SHOW(syscall(SYS_pwritev2, p[0], &one, 1, (long)-1, 0L, 0));
    SHOW(syscall(SYS_pwritev2, p[0], &one, 1, (long)0, 0L, 16 /* RWF_APPEND */));
    SHOW(syscall(SYS_pwritev2, p[0], &one, 1, (long)-1, 0L, 16 /* RWF_APPEND */));
    SHOW(syscall(SYS_pwritev2, p[0], &one, 1, (long)0, 0L, 8 /* RWF_NOWAIT */));
    int watches = inotify_init(), dir = open("/", O_RDONLY), ro = open("/dev/null", O_RDONLY);
    SHOW(pwrite(watches, buf, 1, 0));
    SHOW(write(watches, buf, 1));
    SHOW(pwrite(dir, buf, 1, 0));
    SHOW(pwrite(ro, buf, 1, 0));
    close(watches), close(dir), close(ro);
    struct stat st;
    MUST(fstat(p[0], &st));
    IS(S_ISFIFO(st.st_mode));

    section("blocking");
    MUST0(pthread_create(&t[0], 0, late_write, 0));
    SHOW(read(p[0], buf, 100));
    pthread_join(t[0], 0);
    MUST(fcntl(p[0], F_SETFL, O_NONBLOCK));
    SHOW(read(p[0], buf, 1));
    MUST(fcntl(p[1], F_SETFL, O_NONBLOCK));
    long total = 0, w;
    while ((w = write(p[1], buf, 4096)) > 0) total += w;
    printf("%ld then %s\n", total, errname(errno));
    SHOW(fcntl(p[1], F_GETPIPE_SZ));
    SHOW(write(p[1], buf, 1));
    SHOW(read(p[0], buf, 100));
    SHOW(write(p[1], buf, 4096));
    SHOW(read(p[0], buf, 4096));
    SHOW(write(p[1], buf, 4096));
    MUST(fcntl(p[1], F_SETFL, 0));
    MUST(fcntl(p[0], F_SETFL, 0));
    MUST0(pthread_create(&t[0], 0, late_read, 0));
    SHOW(write(p[1], buf, 100));
    pthread_join(t[0], &r);
    IS((long)r > 60000);
    while (read(p[0], buf, sizeof buf) == sizeof buf) {}

    section("end");
    MUST0(pthread_create(&t[0], 0, late_close, 0));
    SHOW(read(p[0], buf, 100));
    pthread_join(t[0], 0);
    SHOW(read(p[0], buf, 100));
    close(p[0]);
    MUST(pipe2(p, O_CLOEXEC | O_NONBLOCK));
    SHOW(fcntl(p[0], F_GETFD));
    SHOW(fcntl(p[0], F_GETFL) & O_NONBLOCK);
    SHOW(pipe2(p, 0x1234567));
    close(p[0]);
    signal(SIGPIPE, on_pipe);
    SHOW(write(p[1], "x", 1));
    SHOW(pipes_seen);
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(p[1], "x", 1));
    close(p[1]);

    section("faults");
    faults();

    section("writers");
    MUST(pipe(p));
    for (long i = 0; i < 4; i++) MUST0(pthread_create(&t[i], 0, writer, (void *)(i + 1)));
    long counts[5] = { 0 }, torn = 0, have = 0;
    for (long got = 0; got < 4 * 500 * 1000; got += w) {
        w = MUST(read(p[0], buf + have, 50000));
        have += w;
        long i = 0;
        for (; i + 1000 <= have; i += 1000) {
            counts[(int)buf[i]]++;
            for (int k = 1; k < 1000; k++) torn += buf[i + k] != buf[i];
        }
        memmove(buf, buf + i, (size_t)(have - i));
        have -= i;
    }
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    printf("%ld %ld %ld %ld torn %ld\n", counts[1], counts[2], counts[3], counts[4], torn);

    section("fifo");
    enter_scratch();
    SHOW(mkfifo("fifo", 0600));
    SHOW(mkfifo("fifo", 0600));
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    MUST0(pthread_create(&t[0], 0, open_fifo, 0));
    int fd = open("fifo", O_RDONLY);
    SHOW(read(fd, buf, 100));
    pthread_join(t[0], 0);
    SHOW(read(fd, buf, 100));
    return done();
}
