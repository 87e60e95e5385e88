// statx, times, O_TMPFILE and its names, faccessat2.
//@ shows statx lstat access faccessat2
#include "test.h"
#include <sys/syscall.h>

struct stamp { int64_t sec; uint32_t nsec, pad; };
struct statx_ {
    uint32_t mask, blksize;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, pad;
    uint64_t ino, size, blocks, attributes_mask;
    struct stamp atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t mount, spare[13];
};
enum { TYPE = 1, BASIC = 0x7ff, BTIME = 0x800, MNT_ID = 0x1000, MOUNT_ROOT = 0x2000 };
#define statx(dir, path, flags, mask, out) syscall(332, dir, path, flags, mask, out)

int main(void)
{
    struct statx_ x;
    struct stat st;
    struct timespec t[2];
    char path[64];
    enter_scratch();
    int f = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(symlink("f", "l")), MUST(write(f, "12345", 5));

    section("statx");
    SHOW(statx(AT_FDCWD, "f", 0, BASIC | BTIME | MNT_ID, &x));
    MUST(fstat(f, &st));
    IS((x.mask & BASIC) == BASIC && x.ino == st.st_ino && x.size == 5 && x.mode == st.st_mode && x.nlink == 1);
    IS(x.dev_major == (st.st_dev >> 8 & 0xfff) && x.mtime.sec == st.st_mtime && x.mtime.nsec == st.st_mtim.tv_nsec);
    IS(x.mask & BTIME && x.btime.sec > 1000000000 && x.btime.sec <= x.ctime.sec);
    IS(x.mask & MNT_ID && x.attributes_mask & MOUNT_ROOT && !(x.attributes & MOUNT_ROOT));
    uint64_t mount = x.mount;
    SHOW(statx(AT_FDCWD, "/proc", 0, BASIC | MNT_ID, &x));
    IS(x.attributes & MOUNT_ROOT && x.mount != mount);
    SHOW(statx(f, "", AT_EMPTY_PATH, TYPE, &x));
    SHOW(statx(f, "", 0, TYPE, &x));
    SHOW(statx(AT_FDCWD, "f", 0x6000, TYPE, &x));
    SHOW(statx(AT_FDCWD, "f", 0, 0x80000000u, &x));
    SHOW(statx(AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | 0x2000, TYPE, &x));
    IS(S_ISLNK(x.mode));

    section("times");
    t[0] = (struct timespec){ 100, 5 }, t[1] = (struct timespec){ 200, 6 };
    SHOW(futimens(f, t));
    t[0].tv_nsec = UTIME_OMIT, t[1] = (struct timespec){ 300, 0 };
    SHOW(utimensat(AT_FDCWD, "f", t, 0));
    MUST(stat("f", &st));
    printf("%ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
    t[1].tv_nsec = UTIME_OMIT;
    SHOW(utimensat(AT_FDCWD, "none", t, 0));
    t[0] = (struct timespec){ -5, 0 };
    SHOW(utimensat(AT_FDCWD, "f", t, 0));
    MUST(stat("f", &st));
    printf("%ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
    t[0].tv_nsec = -1;
    SHOW(utimensat(AT_FDCWD, "f", t, 0));
    t[0] = (struct timespec){ 7, 0 }, t[1] = (struct timespec){ 8, 0 };
    SHOW(utimensat(AT_FDCWD, "", t, 0));
    SHOW(syscall(SYS_utimensat, -1, NULL, t, 0));
    SHOW(utimensat(AT_FDCWD, "f", t, 0x4000));
    SHOW(utimensat(AT_FDCWD, "l", t, AT_SYMLINK_NOFOLLOW));
    MUST(lstat("l", &st));
    printf("%ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
    MUST(pwrite(f, "x", 1, 0)), MUST(fstat(f, &st));
    IS(st.st_mtime > 1000000000 && st.st_ctime > 1000000000);

    section("files without names");
    int n = (int)MUST(open(".", O_TMPFILE | O_RDWR, 0600));
    MUST(write(n, "kept", 4)), MUST(fstat(n, &st));
    printf("links %d\n", (int)st.st_nlink);
    SHOW(linkat(n, "", AT_FDCWD, "named", AT_EMPTY_PATH));
    snprintf(path, sizeof path, "/proc/self/fd/%d", n);
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
    MUST(stat("again", &st));
    printf("links %d size %d\n", (int)st.st_nlink, (int)st.st_size);
    n = (int)MUST(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
    snprintf(path, sizeof path, "/proc/self/fd/%d", n);
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
    SHOW(open(".", O_TMPFILE | O_RDONLY, 0600));
    SHOW(open("named", O_TMPFILE | O_RDWR, 0600));
    SHOW(open("none", O_TMPFILE | O_RDWR, 0600));

    section("access");
    SHOW(access("f", R_OK | W_OK));
    SHOW(access("f", X_OK));
    SHOW(access("f", 8));
    MUST(chmod("f", 0100));
    SHOW(access("f", X_OK));
    MUST(symlink("none", "broken"));
    SHOW(access("broken", F_OK));
    SHOW(syscall(439, AT_FDCWD, "broken", F_OK, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(439, AT_FDCWD, "f", R_OK, AT_EACCESS));
    SHOW(syscall(439, f, "", F_OK, AT_EMPTY_PATH));
    SHOW(syscall(439, AT_FDCWD, "f", R_OK, 0x4000));
    return done();
}
