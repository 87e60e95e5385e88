// The order of checks: descriptor, flags, offset, the iovec array, access. Every call of the read and write families
// with every kind of descriptor. Also lseek to data and holes.
//@ shows readv writev preadv pwritev preadv2 pwritev2
//@ env TEST_SCRATCH=/dev/shm
#include "test.h"
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static char buf[64] = "0123456789";
static struct iovec one = { buf, 4 }, none = { buf, 0 }, long_one = { buf, -1 }, outside = { (void *)-4096, 4 };

static const struct { const char *name; const void *iov; long n; } lists[] = {
    { "1", &one, 1 }, { "empty", &none, 1 }, { "0", &one, 0 }, { "1025", &one, 1025 }, { "-1", &one, -1 }, { "too long", &long_one, 1 },
    { "list outside", (void *)-4096, 1 }, { "piece outside", &outside, 1 },
};

static void word(const char *name, long r)
{
    printf(r == -1 ? " %s %s" : " %s %s%ld", name, r == -1 ? errname(errno) : "", r);
}

// Flags: none, one that all versions of Linux know, and one that none does.
static const int flags[] = { 0, 1, 0x10000 };

// Without `all`: what can be read differs between systems, as do positions out of range.
static void calls_to(const char *kind, int fd, bool all)
{
    static const long at[] = { 0, 3, -1, -2, LONG_MAX };
    section(kind);
    for (int w = !all; w < 2; w++) {
        // Restore the position for the next call.
        printf("%s:", w ? "write" : "read");
        word("", syscall(w ? SYS_write : SYS_read, fd, buf, 4L));
        word("nothing", syscall(w ? SYS_write : SYS_read, fd, buf, 0L));
        word("outside", syscall(w ? SYS_write : SYS_read, fd, (void *)-4096, 4L));
        for (size_t a = 0; a < sizeof at / sizeof *at; a++) {
            printf(" | at %ld:", at[a]);
            word("", syscall(w ? SYS_pwrite64 : SYS_pread64, fd, buf, 4L, at[a]));
            word("nothing", syscall(w ? SYS_pwrite64 : SYS_pread64, fd, buf, 0L, at[a]));
            word("outside", syscall(w ? SYS_pwrite64 : SYS_pread64, fd, (void *)-4096, 4L, at[a]));
        }
        putchar('\n');
        for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
            printf("%s %s:", w ? "writev" : "readv", lists[l].name);
            word("", syscall(w ? SYS_writev : SYS_readv, fd, lists[l].iov, lists[l].n));
            for (size_t a = 0; a < sizeof at / sizeof *at; a++) {
                printf(" | at %ld:", at[a]);
                word("", syscall(w ? SYS_pwritev : SYS_preadv, fd, lists[l].iov, lists[l].n, at[a], 0L));
                for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
                    char name[16];
                    snprintf(name, sizeof name, "%x", flags[f]);
                    word(name, syscall(w ? SYS_pwritev2 : SYS_preadv2, fd, lists[l].iov, lists[l].n, at[a], 0L, flags[f]));
                }
            }
            putchar('\n');
        }
    }
    printf("lseek:");
    for (int how = 0; how < 6; how++) {
        static const long by[] = { 0, 2, -1, LONG_MAX };
        for (size_t b = 0; b < sizeof by / sizeof *by; b++) {
            char name[40];
            snprintf(name, sizeof name, "%d/%ld", how, by[b]);
            if (!all && (by[b] == LONG_MAX || by[b] < 0)) continue;
            lseek(fd, 0, SEEK_SET);
            word(name, lseek(fd, by[b], how));
        }
    }
    putchar('\n');
    lseek(fd, 0, SEEK_SET);
}

static void calls(const char *kind, int fd) { calls_to(kind, fd, true); }

static int fresh(const char *name, int how)
{
    int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
    MUST(write(fd, "0123456789abcdefghij", 20));
    MUST(close(fd));
    return MUST(open(name, how));
}

int main(void)
{
    int p[2], s[2];
    enter_scratch();
    MUST(prctl(PR_SET_NAME, "somebody"));
    calls("no descriptor", 99);
    calls("a file", fresh("f", O_RDWR));
    calls("a file for reading", fresh("r", O_RDONLY));
    calls("a file for writing", fresh("w", O_WRONLY));
    calls("a file for neither", fresh("n", 3));
    calls("a file's place", fresh("p", O_PATH));
    MUST(pipe2(p, O_NONBLOCK));
    MUST(write(p[1], buf, 9));
    calls("a pipe's reading end", p[0]);
    calls("a pipe's writing end", p[1]);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
    calls("a socket", s[0]);
    calls("a folder", MUST(open(".", O_RDONLY)));
    calls("a folder's place", MUST(open(".", O_PATH)));
    calls("proc for reading", MUST(open("/proc/self/comm", O_RDONLY)));
    calls("proc for writing", MUST(open("/proc/self/comm", O_RDWR)));
    calls_to("proc of a kind of its own", MUST(open("/proc/self/cmdline", O_RDONLY)), false);
    calls_to("a setting", MUST(open("/proc/sys/kernel/ostype", O_RDONLY)), false);
    calls_to("a proc folder", MUST(open("/proc/self", O_RDONLY)), false);
    calls("null", MUST(open("/dev/null", O_RDWR)));
    calls("null for writing", MUST(open("/dev/null", O_WRONLY)));
    calls("zero for reading", MUST(open("/dev/zero", O_RDONLY)));
    calls("full", MUST(open("/dev/full", O_RDWR)));
    calls("eventfd", MUST(eventfd(3, EFD_NONBLOCK)));
    calls("memfd", MUST(memfd_create("m", 0)));
    return done();
}
