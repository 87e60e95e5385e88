// The devices that every program expects.
#include "test.h"
#include <dirent.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

int main(void)
{
    char buf[4096], other[64];
    struct stat st;
    section("null");
    int fd = (int)MUST(open("/dev/null", O_RDWR));
    SHOW(read(fd, buf, 10));
    SHOW(write(fd, buf, 4096));
    SHOW(lseek(fd, 100, SEEK_SET) >= 0);
    MUST(fstat(fd, &st));
    IS(S_ISCHR(st.st_mode));
    section("zero");
    fd = (int)MUST(open("/dev/zero", O_RDWR));
    memset(buf, 1, sizeof buf);
    SHOW(read(fd, buf, 4096));
    IS(buf[0] == 0 && buf[4095] == 0);
    SHOW(write(fd, buf, 10));
    char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    IS(p != MAP_FAILED && *p == 0);
    *p = 1;
    section("full");
    fd = (int)MUST(open("/dev/full", O_RDWR));
    SHOW(write(fd, "x", 1));
    SHOW(write(fd, "x", 0));
    SHOW(pwrite(fd, "x", 1, 0));
    SHOW(writev(fd, &(struct iovec){ "x", 1 }, 1));
    SHOW(syscall(SYS_pwritev2, fd, &(struct iovec){ "x", 1 }, 1, (long)-1, 0L, 0));
    SHOW(read(fd, buf, 10));
    SHOW(lseek(fd, 5, SEEK_SET));
    SHOW(ftruncate(fd, 0));
    SHOW(fsync(fd));
    int stream[2], file = (int)MUST(open("/tmp", O_TMPFILE | O_RDWR, 0600));
    MUST(pipe(stream));
    MUST(write(stream[1], "abcd", 4));
    MUST(write(file, "abcd", 4));
    SHOW(splice(stream[0], 0, fd, 0, 4, 0));
    SHOW(sendfile(fd, file, &(off_t){ 0 }, 4));
    int sink = (int)MUST(open("/dev/null", O_WRONLY));
    SHOW(sendfile(sink, file, &(off_t){ 0 }, 4));
    SHOW(splice(stream[0], 0, sink, 0, 4, 0));
    FILE *full = fopen("/dev/full", "w");
    SHOW(fputs("kept in the buffer", full) < 0);
    SHOW(fflush(full));
    SHOW(ferror(full) != 0);
    fclose(full);
    full = fopen("/dev/full", "w");
    fputs("told by close", full);
    SHOW(fclose(full));
    section("random");
    for (int i = 0; i < 2; i++) {
        fd = (int)MUST(open(i ? "/dev/random" : "/dev/urandom", O_RDONLY));
        SHOW(read(fd, buf, 64));
        SHOW(read(fd, other, 64));
        IS(memcmp(buf, other, 64) != 0);
        int bits = 0;
        for (int k = 0; k < 64; k++) bits += __builtin_popcount((unsigned char)buf[k]);
        IS(bits > 150 && bits < 362);
        close(fd);
    }
    section("fd");
    fd = (int)MUST(open("/dev/null", O_RDONLY));
    snprintf(buf, sizeof buf, "/dev/fd/%d", fd);
    IS(open(buf, O_RDONLY) > fd);
    SHOW(open("/dev/fd/77", O_RDONLY));
    SHOW(access("/dev/fd/1", F_OK));
    int pipefd[2];
    MUST(pipe(pipefd));
    snprintf(buf, sizeof buf, "/dev/fd/%d", pipefd[1]);
    int again = (int)MUST(open(buf, O_WRONLY));
    SHOW(write(again, "through", 7));
    SHOW(read(pipefd[0], buf, 100));
    section("standard streams");
    int out = (int)MUST(open("/dev/stdout", O_WRONLY));
    SHOW(write(out, "by name\n", 8));
    int err = open("/dev/stderr", O_WRONLY);
    IS(err >= 0);
    SHOW(access("/dev/stdin", F_OK));
    FILE *f = fopen("/dev/stdout", "w");
    fprintf(f, "by stdio\n");
    fclose(f);
    section("shm");
    MUST(stat("/dev/shm", &st));
    IS(S_ISDIR(st.st_mode));
    printf("sticky %d\n", (st.st_mode & S_ISVTX) != 0);
    section("tty");
    SHOW(isatty(0));
    SHOW(open("/dev/tty", O_RDWR) >= 0 ? 0 : -1);
    DIR *d = opendir("/dev");
    IS(d != 0);
    bool null = false;
    for (struct dirent *e; d && (e = readdir(d));) null = null || !strcmp(e->d_name, "null");
    IS(null);
    section("what epoll takes");
    static const char *const names[] = {
        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/proc/self/status", "/proc/self/stat",
        "/proc/self/maps", "/proc/self/mounts", "/proc/self/comm", "/proc/self/limits", "/proc/self/task", "/proc/meminfo",
        "/proc/cpuinfo", "/proc/stat", "/proc/sys/fs/file-max", "/proc/sys/kernel/hostname", "/proc", "/proc/self/fd", "/tmp",
        "/dev", "/dev/shm",
    };
    int ep = (int)MUST(epoll_create1(0));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        fd = (int)MUST(open(names[i], O_RDONLY));
        int r = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = EPOLLIN });
        printf("%s: %s\n", names[i], r ? errname(errno) : "taken");
        r = epoll_ctl(ep, EPOLL_CTL_MOD, fd, &(struct epoll_event){ .events = EPOLLIN });
        printf("%s: %s\n", names[i], r ? errname(errno) : "taken");
    }
    return done();
}
