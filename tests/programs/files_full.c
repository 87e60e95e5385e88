// A full root file system gives ENOSPC and keeps its contents; removing files makes room.
//@ hosted no
//@ native no
//@ memory 32M
#include "test.h"

int main(void)
{
    static char block[65536];
    char name[32];
    memset(block, 'x', sizeof block);
    enter_scratch();
    for (int round = 0; round < 3; round++) {
        long total = 0, n = 0;
        int files = 0;
        for (; files < 100; files++) {
            snprintf(name, sizeof name, "f%d", files);
            int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
            if (fd < 0) { n = -1; break; }
            for (int i = 0; i < 16 && (n = write(fd, block, sizeof block)) > 0; i++) total += n;
            int e = errno;
            close(fd);
            errno = e;
            if (n < 0) break;
        }
        IS(n == -1 && errno == ENOSPC);
        IS(total > 1 << 20 && total < 32 << 20);
        void *p = malloc(100000);
        IS(p != 0);
        free(p);
        int fd = open("f0", O_RDONLY);
        IS(fd >= 0 && read(fd, block, sizeof block) == sizeof block && block[0] == 'x' && block[65535] == 'x');
        close(fd);
        for (int i = 0; i <= files; i++) {
            snprintf(name, sizeof name, "f%d", i);
            unlink(name);
        }
    }
    int fd = (int)MUST(open("after", O_RDWR | O_CREAT, 0600));
    SHOW(write(fd, block, sizeof block));
    return done();
}
