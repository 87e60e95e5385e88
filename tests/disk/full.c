// A disk that fills up: ENOSPC, earlier data is kept, deleting makes room. full DIR
#include "../programs/test.h"
#include <sys/statvfs.h>

static char block[65536];

/* Whether a file holds what `fill` wrote. */
static bool intact(const char *name, char with, long length)
{
    int fd = (int)MUST(open(name, O_RDONLY));
    long total = 0, n;
    bool right = true;
    while ((n = read(fd, block, sizeof block)) > 0) {
        for (long i = 0; i < n; i++) right = right && block[i] == with;
        total += n;
    }
    close(fd);
    if (n < 0 || total != length) printf("%s: %ld bytes instead of %ld\n", name, total, length);
    return right && total == length;
}

/* Writes until `most` or the end of the disk; the file's length, and the error in `e`. */
static long fill(const char *name, char with, long most, int *e)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    long total = 0;
    *e = 0;
    if (fd < 0) { *e = errno; return -1; }
    memset(block, with, sizeof block);
    while (total < most) {
        long want = most - total < (long)sizeof block ? most - total : (long)sizeof block, n = write(fd, block, (size_t)want);
        if (n <= 0) { *e = errno; break; }
        total += n;
    }
    if (fsync(fd) && !*e) *e = errno;
    struct stat st;
    MUST(fstat(fd, &st));
    if (st.st_size != total) printf("%s has %ld bytes, %ld were written\n", name, (long)st.st_size, total);
    close(fd);
    return total;
}

int main(int argc, char **argv)
{
    MUST(chdir(argc > 1 ? argv[1] : "."));
    struct statvfs before, after;
    int e;
    MUST(statvfs(".", &before));
    IS(fill("early", 'E', 500000, &e) == 500000 && e == 0);
    for (int round = 0; round < 5; round++) {
        printf("-- round %d\n", round);
        long size = fill("big", 'b', 1 << 30, &e);
        IS(e == ENOSPC);
        IS(size > 2 << 20);
        IS(intact("big", 'b', size));
        IS(intact("early", 'E', 500000));
        MUST(statvfs(".", &after));
        IS(after.f_bavail == 0);
        IS(mkdir("directory", 0755) == -1 && errno == ENOSPC);
        IS(access("directory", F_OK) == -1);
        /* Operations that need no room still work. */
        int fd = (int)MUST(open("early", O_RDWR));
        IS(pwrite(fd, "E", 1, 1000) == 1 && fsync(fd) == 0);
        IS(fallocate(fd, 0, 0, 1 << 20) == -1 && errno == ENOSPC);
        IS(ftruncate(fd, 1 << 20) == -1 && errno == ENOSPC);
        close(fd);
        IS(intact("early", 'E', 500000));
        IS(rename("early", "renamed") == 0 && rename("renamed", "early") == 0);
        if (round % 2) {
            /* Half of it is freed by truncation; an open file keeps its room until it is closed. */
            IS(truncate("big", size / 2) == 0);
            IS(intact("big", 'b', size / 2));
            fd = (int)MUST(open("big", O_RDONLY));
            IS(unlink("big") == 0);
            close(fd);
        } else IS(unlink("big") == 0);
        /* All of it is free again, without a sync in between. */
        IS(fill("again", 'a', size - 65536, &e) == size - 65536 && e == 0);
        IS(intact("again", 'a', size - 65536));
        IS(unlink("again") == 0);
    }
    IS(unlink("early") == 0);
    sync();
    MUST(statvfs(".", &after));
    IS(after.f_bfree == before.f_bfree);
    return done();
}
