// stat, chmod, access, statvfs and file times.
//@ shows stat fstat statfs fstatfs
#include "test.h"
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

int main(void)
{
    struct stat st, st2;
    enter_scratch();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(write(fd, "12345", 5));
    SHOW(fstat(fd, &st));
    printf("mode %o links %ld size %ld\n", st.st_mode, (long)st.st_nlink, (long)st.st_size);
    IS(st.st_uid == geteuid());
    IS(st.st_ino != 0);
    IS(st.st_blksize >= 512);
    IS(st.st_mtime > 1600000000 && st.st_ctime >= st.st_mtime - 1);
    time_t now = time(0);
    IS(labs((long)(now - st.st_mtime)) <= 5);
    MUST(mkdir("d", 0750));
    MUST(stat("d", &st));
    printf("mode %o\n", st.st_mode);
    SHOW(stat("none", &st));
    SHOW(stat("f/none", &st));
    SHOW(stat("", &st));
    SHOW(fstat(99, &st));
    MUST(stat("/", &st));
    IS(S_ISDIR(st.st_mode));
    MUST(stat("/dev/null", &st));
    printf("null %o %u:%u\n", st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev));
    MUST(stat("/dev/zero", &st));
    printf("zero %o %u:%u\n", st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev));

    section("times");
    MUST(stat("f", &st));
    sleep_ms(30);
    MUST(write(fd, "6", 1));
    MUST(stat("f", &st2));
    IS(st2.st_mtim.tv_sec > st.st_mtim.tv_sec || st2.st_mtim.tv_nsec > st.st_mtim.tv_nsec);
    sleep_ms(30);
    MUST(chmod("f", 0600));
    MUST(stat("f", &st));
    IS(st.st_mtim.tv_nsec == st2.st_mtim.tv_nsec);
    IS(st.st_ctim.tv_sec > st2.st_ctim.tv_sec || st.st_ctim.tv_nsec > st2.st_ctim.tv_nsec);
    MUST(stat("d", &st));
    sleep_ms(30);
    close((int)MUST(open("d/x", O_CREAT | O_WRONLY, 0600)));
    MUST(stat("d", &st2));
    IS(st2.st_mtim.tv_sec > st.st_mtim.tv_sec || st2.st_mtim.tv_nsec > st.st_mtim.tv_nsec);

    section("modes");
    SHOW(chmod("f", 04751));
    MUST(stat("f", &st));
    printf("mode %o\n", st.st_mode);
    /* With CAP_FSETID the bits survive a write; chown always clears them on executables. */
    bool root = geteuid() == 0;
#define KEEPS(expr) do { MUST(chmod("f", 06755)); MUST(expr); MUST(stat("f", &st)); IS((st.st_mode & 07777) == (root ? 06755u : 0755u)); } while (0)
#define LEFT(expr, mode) do { MUST(chmod("f", mode)); MUST(expr); MUST(stat("f", &st)); printf("%s: %o\n", #expr, st.st_mode & 07777); } while (0)
    KEEPS(write(fd, "x", 1));
    KEEPS(pwrite(fd, "x", 1, 0));
    KEEPS(ftruncate(fd, 10));
    KEEPS(truncate("f", 5));
    KEEPS(close((int)MUST(open("f", O_WRONLY | O_TRUNC))));
    KEEPS(posix_fallocate(fd, 0, 100));
    LEFT(chown("f", geteuid(), getegid()), 06755);
    LEFT(fchown(fd, -1, -1), 06755);
    LEFT(fchown(fd, -1, getegid()), 06755);
    LEFT(fchown(fd, geteuid(), getegid()), 02644);
    SHOW(fchmod(fd, 0400));
    MUST(stat("f", &st));
    printf("mode %o\n", st.st_mode);
    SHOW(chmod("none", 0600));
    SHOW(fchmod(99, 0600));
    SHOW(umask(027));
    SHOW(umask(022));
    SHOW(access("f", F_OK));
    SHOW(access("f", R_OK));
    SHOW(access("none", F_OK));
    SHOW(access("f", 64));
    SHOW(access("d", R_OK | W_OK | X_OK));
    SHOW(chown("f", geteuid(), getegid()));
    SHOW(chown("none", geteuid(), getegid()));
    SHOW(fchown(fd, (uid_t)-1, (gid_t)-1));

    section("file system");
    struct statvfs v;
    SHOW(statvfs(".", &v));
    IS(v.f_bsize >= 512 && v.f_blocks > 0 && v.f_bfree <= v.f_blocks && v.f_bavail <= v.f_blocks);
    IS(v.f_namemax == 255);
    SHOW(fstatvfs(fd, &v));
    SHOW(statvfs("none", &v));
    SHOW(pathconf(".", _PC_NAME_MAX));
    SHOW(pathconf(".", _PC_PATH_MAX));
    SHOW(pathconf(".", _PC_PIPE_BUF));
    return done();
}
