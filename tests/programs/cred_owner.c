//@ shows chmod chown lchown
//@ user root
/* Who may change attributes, and what set-ID bits do. */
#include "cred.h"

static void file(const char *name, int mode, uid_t uid, gid_t gid)
{
    close(MUST(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600)));
    MUST(chown(name, uid, gid));
    MUST(chmod(name, mode));
}
static void tell(const char *name)
{
    struct stat s;
    if (lstat(name, &s)) printf("%s: %s\n", name, errname(errno));
    else printf("%s: %o %d:%d\n", name, (unsigned)s.st_mode, (int)s.st_uid, (int)s.st_gid);
}
static long put(const char *name, size_t n)
{
    int fd = open(name, O_WRONLY);
    if (fd < 0) return -1;
    long r = write(fd, "xxxx", n);
    close(fd);
    return r;
}

int main(void)
{
    int fd;
    struct stat s;
    enter_scratch();
    MUST(chmod(".", 0777));
    umask(0);
    file("root", 0666, 0, 0);
    file("mine", 0644, WWW, WWW);
    file("readable", 0644, 0, 0);

    section("chmod");
    gid_t team = TEAM;
    MUST(setgroups(1, &team));
    MUST(setresgid(-1, WWW, -1));
    MUST(setresuid(-1, WWW, -1));
    SHOW(chmod("root", 0600));
    SHOW(chmod("mine", 0640));
    SHOW(chmod("mine", 07755));
    tell("mine");

    section("chown");
    SHOW(chown("root", WWW, -1));
    SHOW(chown("root", -1, WWW));
    SHOW(chown("root", 0, 0));
    SHOW(chown("root", -1, -1));
    SHOW(chown("mine", 0, -1));
    SHOW(chown("mine", WWW, -1));
    tell("mine");
    SHOW(chown("mine", -1, 7));
    SHOW(chown("mine", -1, TEAM));
    SHOW(chown("mine", WWW, WWW));
    tell("mine");
    MUST(symlink("root", "link"));
    SHOW(lchown("link", -1, TEAM));
    SHOW(chown("link", -1, TEAM));

    section("set-group-ID of another's group");
    root();
    file("foreign", 0644, WWW, 7);
    file("foreign2", 06644, WWW, 7);
    file("strange", 06755, 0, 0);
    be(WWW, WWW);
    SHOW(chmod("foreign", 02755));
    tell("foreign");
    SHOW(chmod("foreign", 02644));
    tell("foreign");
    SHOW(chown("foreign2", -1, -1));
    tell("foreign2");
    SHOW(chown("strange", -1, -1));

    section("times");
    struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } }, set[2] = { { 1, 0 }, { 2, 0 } };
    struct timespec half[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } }, none[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
    SHOW(utimensat(AT_FDCWD, "root", 0, 0));
    SHOW(utimensat(AT_FDCWD, "root", now, 0));
    SHOW(utimensat(AT_FDCWD, "root", half, 0));
    SHOW(utimensat(AT_FDCWD, "root", set, 0));
    SHOW(utimensat(AT_FDCWD, "root", none, 0));
    SHOW(utimensat(AT_FDCWD, "readable", 0, 0));
    SHOW(utimensat(AT_FDCWD, "readable", now, 0));
    SHOW(utimensat(AT_FDCWD, "readable", set, 0));
    SHOW(utimensat(AT_FDCWD, "mine", set, 0));
    fd = MUST(open("readable", O_RDONLY));
    SHOW(futimens(fd, 0));
    SHOW(futimens(fd, set));
    close(fd);

    section("what is written to loses set-ID bits");
    static const int modes[] = { 06777, 06767, 04777, 02777, 02767 };
    for (int i = 0; i < 5; i++) {
        root();
        unlink("bits");
        file("bits", modes[i], WWW, WWW);
        SHOW(put("bits", 4));
        tell("bits");
        be(WWW, WWW);
        SHOW(put("bits", 0));
        tell("bits");
        SHOW(put("bits", 1));
        tell("bits");
    }
    root();
    MUST(chmod("bits", 06777));
    be(WWW, WWW);
    SHOW(truncate("bits", 1));
    tell("bits");
    root();
    MUST(chmod("bits", 06777));
    be(OTHER, OTHER);
    fd = MUST(open("bits", O_RDWR));
    SHOW(ftruncate(fd, 2));
    tell("bits");
    root();
    MUST(chmod("bits", 06777));
    be(OTHER, OTHER);
    SHOW(posix_fallocate(fd, 0, 64));
    tell("bits");
    close(fd);
    root();
    MUST(chmod("bits", 06777));
    be(OTHER, OTHER);
    fd = MUST(open("bits", O_RDWR | O_TRUNC));
    tell("bits");
    close(fd);

    section("set-group-ID directories");
    root();
    MUST(mkdir("team", 0777));
    MUST(chown("team", 0, TEAM));
    MUST(chmod("team", 02777));
    be(WWW, WWW);
    close(MUST(open("team/file", O_CREAT | O_RDWR, 02775)));
    tell("team/file");
    close(MUST(open("team/plain", O_CREAT | O_RDWR, 02664)));
    tell("team/plain");
    MUST(mkdir("team/dir", 0755));
    tell("team/dir");

    section("things without a name are their maker's");
    int p[2];
    MUST(pipe(p));
    MUST(fstat(p[0], &s));
    printf("%d:%d\n", (int)s.st_uid, (int)s.st_gid);
    SHOW(fchmod(p[0], 0640));
    SHOW(fchown(p[0], 0, -1));
    root();
    SHOW(fchown(p[0], OTHER, OTHER));
    be(WWW, WWW);
    SHOW(fchmod(p[0], 0600));
    fd = MUST(open("team/anon", O_CREAT | O_RDWR, 0600));
    SHOW(fchown(fd, WWW, WWW));
    MUST(unlink("team/anon"));
    SHOW(fchmod(fd, 0));
    MUST(fstat(fd, &s));
    printf("%o %d:%d\n", (unsigned)s.st_mode, (int)s.st_uid, (int)s.st_gid);
    return done();
}
