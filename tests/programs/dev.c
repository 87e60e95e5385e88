// The devices that every program expects.
#include "test.h"
#include <dirent.h>
#include <sys/mman.h>

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
    SHOW(read(fd, buf, 10));
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
    return done();
}
