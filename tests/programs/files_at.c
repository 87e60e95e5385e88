// The *at calls: relative to a directory, to the current directory, with flags.
//@ shows openat mkdirat newfstatat unlinkat renameat linkat symlinkat readlinkat fchmodat faccessat
#include "test.h"

int main(void)
{
    char buf[100];
    struct stat st, st2;
    enter_scratch();
    MUST(mkdir("d", 0755));
    int d = (int)MUST(open("d", O_RDONLY | O_DIRECTORY));
    int fd = openat(d, "f", O_RDWR | O_CREAT, 0644);
    IS(fd >= 0);
    MUST(write(fd, "1234", 4));
    SHOW(access("d/f", F_OK));
    SHOW(openat(fd, "x", O_RDONLY));
    SHOW(openat(-5, "x", O_RDONLY));
    SHOW(openat(99, "x", O_RDONLY));
    SHOW(close(openat(-5, "/dev/null", O_RDONLY)));
    SHOW(mkdirat(d, "sub", 0755));
    SHOW(symlinkat("f", d, "l"));
    SHOW(linkat(d, "f", d, "g", 0));
    SHOW(linkat(d, "l", d, "h", AT_SYMLINK_FOLLOW));
    MUST(fstatat(d, "h", &st, AT_SYMLINK_NOFOLLOW));
    IS(S_ISREG(st.st_mode) && st.st_nlink == 3);
    SHOW(readlinkat(d, "l", buf, sizeof buf));
    MUST(fstatat(d, "l", &st, AT_SYMLINK_NOFOLLOW));
    IS(S_ISLNK(st.st_mode));
    MUST(fstatat(d, "l", &st, 0));
    IS(S_ISREG(st.st_mode) && st.st_size == 4);
    MUST(fstatat(fd, "", &st2, AT_EMPTY_PATH));
    IS(st.st_ino == st2.st_ino);
    SHOW(fstatat(fd, "", &st2, 0));
    SHOW(fstatat(AT_FDCWD, "d/f", &st, 0));
    SHOW(fstatat(d, "f", &st, 0x4000000));
    SHOW(faccessat(d, "f", R_OK, 0));
    SHOW(faccessat(d, "none", R_OK, 0));
    SHOW(fchmodat(d, "f", 0600, 0));
    MUST(fstatat(d, "f", &st, 0));
    printf("mode %o\n", st.st_mode);
    struct timespec ts[2] = { { 1000, 5000 }, { 2000, 7000 } };
    SHOW(utimensat(d, "f", ts, 0));
    MUST(fstatat(d, "f", &st, 0));
    printf("%ld.%09ld %ld.%09ld\n", (long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    ts[0].tv_nsec = UTIME_OMIT, ts[1].tv_nsec = UTIME_NOW;
    SHOW(utimensat(d, "f", ts, 0));
    MUST(fstatat(d, "f", &st, 0));
    IS(st.st_atim.tv_sec == 1000 && st.st_mtim.tv_sec > 1000000000);
    SHOW(futimens(fd, (struct timespec[2]){ { 5, 0 }, { 6, 0 } }));
    MUST(fstat(fd, &st));
    printf("%ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
    ts[0].tv_nsec = 2000000000;
    SHOW(utimensat(d, "f", ts, 0));
    SHOW(renameat(d, "g", AT_FDCWD, "moved"));
    SHOW(access("moved", F_OK));
    SHOW(unlinkat(d, "sub", 0));
    SHOW(unlinkat(d, "sub", AT_REMOVEDIR));
    SHOW(unlinkat(d, "f", AT_REMOVEDIR));
    SHOW(unlinkat(d, "f", 0));
    SHOW(unlinkat(d, "f", 0));
    SHOW(unlinkat(d, "l", 0x4000000));
    close(d);
    SHOW(openat(d, "h", O_RDONLY));
    return done();
}
