// Positions: holes and data, positions in changing directories, offsets of copies, times that are kept or refused.
//@ shows lseek copy_file_range
#include "test.h"
#include <dirent.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#define PAGE 4096L
enum { KEEP_SIZE = 1, PUNCH_HOLE = 2, COLLAPSE = 8, ZERO_RANGE = 16 };

static long zeros(int fd, off_t at, size_t n)
{
    static char buf[1 << 16];
    long got = MUST(pread(fd, buf, n, at)), count = 0;
    for (long i = 0; i < got; i++) count += buf[i] == 0;
    return count;
}

static void holes(void)
{
    struct stat st;
    section("holes and data");
    int fd = (int)MUST(open("sparse", O_RDWR | O_CREAT, 0644));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 0, SEEK_HOLE));
    MUST(ftruncate(fd, 100 * PAGE));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 5, SEEK_HOLE));
    MUST(pwrite(fd, "x", 1, 10 * PAGE + 7)), MUST(pwrite(fd, "y", 1, 20 * PAGE)), MUST(fsync(fd));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 10 * PAGE + 100, SEEK_DATA));
    SHOW(lseek(fd, 10 * PAGE + 100, SEEK_HOLE));
    SHOW(lseek(fd, 11 * PAGE, SEEK_DATA));
    SHOW(lseek(fd, 21 * PAGE, SEEK_DATA));
    SHOW(lseek(fd, 21 * PAGE, SEEK_HOLE));
    SHOW(lseek(fd, 100 * PAGE - 1, SEEK_HOLE));
    SHOW(lseek(fd, 100 * PAGE, SEEK_HOLE));
    SHOW(lseek(fd, 100 * PAGE, SEEK_DATA));
    SHOW(lseek(fd, -1, SEEK_DATA));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 10 * PAGE, PAGE));
    SHOW(lseek(fd, 0, SEEK_DATA));
    MUST(pwrite(fd, "0123456789", 10, 30 * PAGE + 100));
    SHOW(fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 30 * PAGE + 102, 3));
    SHOW(zeros(fd, 30 * PAGE + 100, 10));
    SHOW(fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 99 * PAGE, 50 * PAGE));
    SHOW(fallocate(fd, PUNCH_HOLE, 0, PAGE));
    SHOW(fallocate(fd, PUNCH_HOLE | ZERO_RANGE | KEEP_SIZE, 0, PAGE));
    SHOW(fallocate(fd, KEEP_SIZE, 200 * PAGE, PAGE));
    SHOW(fallocate(fd, 0x4000, 0, PAGE));
    MUST(fstat(fd, &st));
    SHOW(st.st_size / PAGE);
    SHOW(fallocate((int)MUST(open("sparse", O_RDONLY)), 0, 0, PAGE));
    SHOW(lseek((int)MUST(open(".", O_RDONLY)), 0, 9));
}

static void directories(void)
{
    char name[400], first[300] = "";
    long places[60];
    static char names[60][300], seen[60];
    int n = 0;
    section("directories that change");
    MUST(mkdir("d", 0755));
    for (int i = 0; i < 60; i++) snprintf(name, sizeof name, "d/%02d", i), MUST(close(open(name, O_CREAT | O_WRONLY, 0644)));
    DIR *d = opendir("d");
    for (struct dirent *e; (places[n % 60] = telldir(d), e = readdir(d));)
        if (*e->d_name != '.') strcpy(names[n++], e->d_name);
    IS(n == 60);
    // Positions stay valid while names before and after them are removed and added.
    for (int i = 0; i < 60; i += 2) snprintf(name, sizeof name, "d/%.290s", names[i]), MUST(unlink(name));
    for (int i = 0; i < 20; i++) snprintf(name, sizeof name, "d/new%d", i), MUST(close(open(name, O_CREAT | O_WRONLY, 0644)));
    int right = 0, wrong = 0;
    for (int i = 1; i < 59; i += 2) {
        seekdir(d, places[i]);
        struct dirent *e = readdir(d);
        while (e && !strncmp(e->d_name, "new", 3)) e = readdir(d);
        right += e && !strcmp(e->d_name, names[i]);
    }
    IS(right == 29);
    rewinddir(d);
    // Each name that was there throughout is listed exactly once, with small buffers, too.
    int fd = (int)MUST(open("d", O_RDONLY));
    char *buf = malloc(sizeof(struct dirent)); // Only 80 bytes of it are passed.
    long got;
    while ((got = syscall(SYS_getdents64, fd, buf, 80L)) > 0) {
        for (long at = 0; at < got;) {
            struct dirent *e = (void *)(buf + at);
            for (int i = 1; i < 60; i += 2) if (!strcmp(names[i], e->d_name)) seen[i]++;
            if (!*first && *e->d_name != '.' && strncmp(e->d_name, "new", 3)) {
                strcpy(first, e->d_name);
                // Remove one and add another between two calls.
                snprintf(name, sizeof name, "d/%s", first), MUST(unlink(name));
                MUST(close(open("d/meanwhile", O_CREAT | O_WRONLY, 0644)));
            }
            at += e->d_reclen;
        }
    }
    SHOW(got);
    for (int i = 1; i < 60; i += 2) wrong += seen[i] != 1;
    IS(wrong == 0);
    SHOW(syscall(SYS_getdents64, fd, buf, 80L));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(syscall(SYS_getdents64, fd, buf, 10L));
    SHOW(syscall(SYS_getdents64, fd, buf, 0L));
    SHOW(syscall(SYS_getdents64, fd, (void *)8, 1000L));
    SHOW(syscall(SYS_getdents64, 0, buf, 80L));
}

static void copies(void)
{
    off_t from, to;
    int p[2];
    char buf[100];
    section("copies");
    int a = (int)MUST(open("a", O_RDWR | O_CREAT, 0644)), b = (int)MUST(open("b", O_RDWR | O_CREAT, 0644));
    int shm = (int)MUST(open("/dev/shm", O_TMPFILE | O_RDWR, 0600)), ro = (int)MUST(open("a", O_RDONLY));
    MUST(write(a, "0123456789", 10)), MUST(write(shm, "shared", 6)), MUST(pipe(p));
    from = 0;
    SHOW(copy_file_range(shm, &from, b, NULL, 6, 0));
    from = 2, to = 6;
    SHOW(copy_file_range(a, &from, a, &to, 4, 0));
    from = 2, to = 5;
    SHOW(copy_file_range(a, &from, a, &to, 4, 0));
    from = 5, to = 2;
    SHOW(copy_file_range(a, &from, a, &to, 4, 0));
    from = 0, to = 0;
    SHOW(copy_file_range(a, &from, a, &to, 0, 0));
    SHOW(copy_file_range(a, &from, ro, &to, 1, 0));
    from = -1;
    SHOW(copy_file_range(a, &from, b, NULL, 1, 0));
    from = 8;
    SHOW(copy_file_range(a, &from, b, NULL, 100, 0));
    SHOW(from);
    SHOW(lseek(b, 0, SEEK_CUR));
    from = 7;
    SHOW(sendfile(p[1], a, &from, 100));
    SHOW(from);
    SHOW(lseek(a, 0, SEEK_CUR));
    from = 10;
    SHOW(sendfile(p[1], a, &from, 100));
    from = 1 << 20;
    SHOW(sendfile(p[1], a, &from, 100));
    SHOW(sendfile(p[1], a, NULL, 100));
    MUST(lseek(a, 4, SEEK_SET));
    SHOW(sendfile(p[1], a, NULL, 3));
    SHOW(lseek(a, 0, SEEK_CUR));
    SHOW(read(p[0], buf, sizeof buf));
    SHOW(sendfile(b, p[0], &from, 1));
    SHOW(sendfile(p[1], b, (off_t *)8, 1));
    SHOW(sendfile(ro, a, NULL, 1));
    SHOW(sendfile(p[1], -1, NULL, 1));
    int dir = (int)MUST(open(".", O_RDONLY));
    SHOW(sendfile(p[1], dir, NULL, 1));
    loff_t at = 0;
    SHOW(splice(a, NULL, b, NULL, 1, 0));
    SHOW(splice(p[0], &at, b, NULL, 1, 0));
    SHOW(splice(a, NULL, p[0], NULL, 1, 0));
    SHOW(splice(p[1], NULL, b, NULL, 1, 0));
    SHOW(splice(p[0], NULL, ro, NULL, 1, 0));
    SHOW(splice(dir, NULL, p[1], NULL, 1, 0));
    SHOW(splice(p[0], NULL, p[1], NULL, 1, 0));
    SHOW(splice(a, NULL, p[1], NULL, 1, 64));
    SHOW(tee(a, p[1], 1, 0));
}

static void times(void)
{
    struct stat st;
    struct timespec t[2] = { { 100, 1 }, { 200, 2 } };
    static const long odd[] = { -1, 1000000000, UTIME_NOW + 1, UTIME_OMIT - 1 };
    section("times");
    int fd = (int)MUST(open("t", O_RDWR | O_CREAT, 0644));
    MUST(futimens(fd, t));
    for (int i = 0; i < 4; i++) {
        struct timespec bad[2] = { { 5, odd[i] }, { 6, 0 } }, worse[2] = { { 5, UTIME_OMIT }, { 6, odd[i] } };
        SHOW(futimens(fd, bad));
        SHOW(futimens(fd, worse));
    }
    MUST(fstat(fd, &st));
    printf("%ld.%09ld %ld.%09ld\n", (long)st.st_atime, st.st_atim.tv_nsec, (long)st.st_mtime, st.st_mtim.tv_nsec);
    // Seconds are ignored with UTIME_NOW and UTIME_OMIT.
    t[0] = (struct timespec){ -77, UTIME_OMIT }, t[1] = (struct timespec){ -77, UTIME_NOW };
    SHOW(futimens(fd, t));
    MUST(fstat(fd, &st));
    IS(st.st_atime == 100 && st.st_mtime > 1000000000);
    t[0] = t[1] = (struct timespec){ 0, UTIME_OMIT };
    SHOW(futimens(-1, t));
    SHOW(utimensat(AT_FDCWD, "none", t, 0x8000));
    t[0] = (struct timespec){ 1, 0 };
    SHOW(utimensat(AT_FDCWD, "t", t, 0x8000));
    SHOW(utimensat(fd, "", t, AT_EMPTY_PATH));
    SHOW(utimensat(fd, "", t, 0));
    SHOW(syscall(SYS_utimensat, fd, NULL, t, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_utimensat, AT_FDCWD, NULL, t, 0));
    SHOW(syscall(SYS_utimensat, fd, NULL, (void *)8, 0));
    int path = (int)MUST(open("t", O_PATH));
    SHOW(futimens(path, t));
    SHOW(fchmod(path, 0600));
    SHOW(utimensat(path, "", t, AT_EMPTY_PATH));
}

/* The descriptor is checked first, then the arguments, then the kind of file. */
static void order(void)
{
    int p[2];
    MUST(pipe(p));
    int n = (int)MUST(open("/dev/null", O_RDWR)), path = (int)MUST(open("/", O_PATH));
    SHOW(lseek(p[0], 0, 9));
    SHOW(lseek(n, 0, 9));
    SHOW(lseek(99, 0, 9));
    SHOW(fallocate(99, 0, 0, 0));
    SHOW(fallocate(path, 0, -1, 1));
    SHOW(fallocate(p[1], 0, 0, 0));
    SHOW(fallocate(p[0], 0, 0, 0));
    SHOW(fallocate(p[0], 0, 0, 1));
    /* The group of a set-group-ID directory is inherited. */
    struct stat st, sub;
    MUST(mkdir("group", 0755));
    MUST(chmod("group", 02755));
    MUST(stat("group", &st));
    MUST(mkdir("group/sub", 0700));
    MUST(stat("group/sub", &sub));
    printf("%o\n", sub.st_mode);
    IS(sub.st_gid == st.st_gid);
    MUST(close((int)MUST(open("group/file", O_CREAT | O_WRONLY, 0644))));
    MUST(stat("group/file", &sub));
    printf("%o\n", sub.st_mode);
    IS(sub.st_gid == st.st_gid);
}

int main(void)
{
    enter_scratch();
    holes();
    directories();
    copies();
    times();
    order();
    return done();
}
