// The limit of descriptors lets a server have ten thousand, and is what `--ulimit` asked for. Linux's default is 1024.
//@ hosted no
#include "test.h"
#include <sys/resource.h>
#include <sys/select.h>

static long file_max(void)
{
    char text[32] = "";
    int fd = (int)MUST(open("/proc/sys/fs/file-max", O_RDONLY));
    MUST(read(fd, text, sizeof text - 1));
    close(fd);
    return atol(text);
}

static void usual(void)
{
    enum { MANY = 10000 };
    struct rlimit r;
    MUST(getrlimit(RLIMIT_NOFILE, &r));
    long most = file_max();
    IS((long)r.rlim_cur == (most < 65536 ? most : 65536));
    IS(getdtablesize() == (int)r.rlim_cur && r.rlim_max == 1048576);

    /* As old programs do: the set is shorter than the limit. */
    fd_set none;
    FD_ZERO(&none);
    struct timeval now = { 0, 0 };
    SHOW(select(getdtablesize(), &none, 0, 0, &now));

    int last = 0;
    for (int i = 3; i < MANY; i++) last = (int)MUST(dup(0));
    IS(last == MANY - 1);
    FILE *f = fopen("/proc/sys/fs/file-nr", "r");
    long used = 0;
    IS(f && fscanf(f, "%ld", &used) == 1 && used == MANY + 1);
    fclose(f);
    for (int i = 3; i < MANY; i++) MUST(close(i));

    r.rlim_cur = r.rlim_max;
    MUST(setrlimit(RLIMIT_NOFILE, &r));
    IS(dup2(0, 1048575) == 1048575);
    IS(dup2(0, 1048576) == -1 && errno == EBADF);
    IS(dup(0) == 3);
    IS(fcntl(0, F_DUPFD, 500000) == 500000);
    r.rlim_cur = r.rlim_max = 1048577;
    IS(setrlimit(RLIMIT_NOFILE, &r) == -1 && errno == EPERM);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc == 1) {
        usual();
        return 0;
    }
    static const int shown[] = { RLIMIT_NOFILE, RLIMIT_CORE, RLIMIT_STACK };
    for (int i = 0; i < 3; i++) {
        struct rlimit r;
        MUST(getrlimit(shown[i], &r));
        printf("%lld %lld\n", (long long)r.rlim_cur, (long long)r.rlim_max);
    }
    return 0;
}
