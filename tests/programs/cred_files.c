//@ user root
/* Who may read, write, enter and create what. */
#include "cred.h"
#include <dirent.h>
#include <sys/inotify.h>

static long try_open(const char *name, int flags)
{
    int fd = open(name, flags, 0666);
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}
static void file(const char *name, int mode, uid_t uid, gid_t gid)
{
    int fd = MUST(open(name, O_WRONLY | O_CREAT | O_EXCL, 0600));
    MUST(write(fd, "text", 4));
    close(fd);
    MUST(chown(name, uid, gid));
    MUST(chmod(name, mode));
}
static void dir(const char *name, int mode, uid_t uid, gid_t gid)
{
    MUST(mkdir(name, 0700));
    MUST(chown(name, uid, gid));
    MUST(chmod(name, mode));
}
static long list(const char *name)
{
    DIR *d = opendir(name);
    if (!d) return -1;
    closedir(d);
    return 0;
}
static void tell(const char *name)
{
    struct stat s;
    if (lstat(name, &s)) printf("%s: %s\n", name, errname(errno));
    else printf("%s: %o %d:%d\n", name, (unsigned)s.st_mode, (int)s.st_uid, (int)s.st_gid);
}
static long stat_of(const char *name)
{
    struct stat s;
    return stat(name, &s);
}

int main(void)
{
    int fd;
    enter_scratch();
    MUST(chmod(".", 0755));
    umask(0);
    file("f600", 0600, 0, 0);
    file("f644", 0644, 0, 0);
    file("f666", 0666, 0, 0);
    file("f640", 0640, 0, TEAM);
    file("f077", 0077, WWW, WWW);
    file("f707", 0707, 0, TEAM);
    file("mine", 0600, WWW, WWW);
    dir("d700", 0700, 0, 0);
    file("d700/in", 0666, 0, 0);
    dir("d711", 0711, 0, 0);
    file("d711/in", 0666, 0, 0);
    dir("d744", 0744, 0, 0);
    file("d744/in", 0666, 0, 0);
    dir("d755", 0755, 0, 0);
    file("d755/in", 0666, WWW, WWW);
    dir("d755/sub", 0777, WWW, WWW);
    dir("d777", 0777, 0, 0);
    MUST(symlink("../f600", "d777/link"));

    section("mode bits");
    be(WWW, WWW);
    SHOW(try_open("f600", O_RDONLY));
    SHOW(try_open("f644", O_RDONLY));
    SHOW(try_open("f644", O_WRONLY));
    SHOW(try_open("f644", O_RDWR));
    SHOW(try_open("f644", O_RDONLY | O_TRUNC));
    SHOW(try_open("f666", O_RDWR));
    SHOW(try_open("f640", O_RDONLY));
    SHOW(try_open("f077", O_RDONLY));
    SHOW(try_open("f707", O_RDONLY));
    SHOW(try_open("mine", O_RDWR));
    SHOW(try_open("f600", O_PATH));
    SHOW(try_open("f600", 3));
    SHOW(try_open("d777/link", O_RDONLY));
    SHOW(truncate("f644", 0));
    SHOW(truncate("f666", 0));
    SHOW(truncate("d755", 0));
    root();
    gid_t team = TEAM;
    MUST(setgroups(1, &team));
    MUST(setresuid(-1, WWW, -1));
    SHOW(try_open("f640", O_RDONLY));
    SHOW(try_open("f640", O_WRONLY));
    SHOW(try_open("f707", O_RDONLY));

    section("a descriptor is a right");
    root();
    fd = MUST(open("f600", O_RDWR));
    be(WWW, WWW);
    SHOW(write(fd, "x", 1));
    SHOW(ftruncate(fd, 2));
    SHOW(fchmod(fd, 0666));
    SHOW(fchown(fd, WWW, -1));
    SHOW(futimens(fd, 0));
    close(fd);

    section("directories");
    SHOW(list("d700"));
    SHOW(stat_of("d700"));
    SHOW(stat_of("d700/in"));
    SHOW(stat_of("d700/none"));
    SHOW(stat_of("d700/."));
    SHOW(stat_of("d700/.."));
    SHOW(stat_of("f600/x"));
    SHOW(list("d711"));
    SHOW(try_open("d711/in", O_RDWR));
    SHOW(list("d744"));
    SHOW(stat_of("d744/in"));
    SHOW(chdir("d700"));
    SHOW(chdir("d744"));
    SHOW(chdir("d711"));
    SHOW(chdir(".."));
    fd = MUST(open("d744", O_RDONLY | O_DIRECTORY));
    SHOW(fchdir(fd));
    SHOW(openat(fd, "in", O_RDONLY));
    close(fd);
    SHOW(try_open("d755", O_WRONLY));
    SHOW(try_open("d700", O_RDONLY | O_DIRECTORY));

    section("making");
    SHOW(try_open("d755/new", O_WRONLY | O_CREAT));
    SHOW(try_open("d755/in", O_WRONLY | O_CREAT));
    SHOW(try_open("d755/in", O_WRONLY | O_CREAT | O_EXCL));
    SHOW(try_open("d700/new", O_WRONLY | O_CREAT));
    SHOW(mkdir("d755/new", 0777));
    SHOW(mkdir("d755/sub", 0777));
    SHOW(symlink("x", "d755/new"));
    SHOW(mkfifo("d755/new", 0666));
    SHOW(link("mine", "d755/new"));
    SHOW(link("mine", "d755/in"));
    SHOW(link("d755", "d755/new"));
    SHOW(try_open("d777/new", O_WRONLY | O_CREAT | O_EXCL));
    SHOW(mkdir("d777/dir", 0750));
    SHOW(mkfifo("d777/fifo", 0600));
    SHOW(symlink("x", "d777/sym"));
    SHOW(mknod("d777/null", S_IFCHR | 0666, 0x103));
    SHOW(mknod("d755/null", S_IFCHR | 0666, 0x103));
    SHOW(mknod("d777/sock", S_IFSOCK | 0666, 0));
    SHOW(mknod("d777/blk", S_IFBLK | 0666, 0x700));
    SHOW(open("d755", O_TMPFILE | O_RDWR, 0600));
    tell("d777/new");
    tell("d777/dir");
    tell("d777/fifo");
    tell("d777/sym");
    SHOW(link("mine", "d777/mine"));
    /* fs.protected_hardlinks, which every distribution sets */
    SHOW(link("f644", "d777/f644"));
    SHOW(link("f600", "d777/f600"));
    SHOW(link("f666", "d777/f666"));

    section("removing and renaming");
    SHOW(unlink("d755/in"));
    SHOW(unlink("d755/none"));
    SHOW(unlink("d755/sub"));
    SHOW(rmdir("d755/sub"));
    SHOW(rmdir("d755/in"));
    SHOW(unlink("d700/in"));
    SHOW(rename("d755/in", "d777/in"));
    SHOW(rename("mine", "d777/mine2"));
    SHOW(rename("d777/new", "d755/in"));
    SHOW(rename("d777/new", "d755/other"));
    SHOW(rename("d777/new", "d777/renamed"));
    SHOW(rename("d777/link", "d777/f666"));
    SHOW(unlink("d777/f666"));
    root();
    dir("d777/roots", 0755, 0, 0);
    dir("d777/roots/below", 0777, 0, 0);
    dir("e777", 0777, 0, 0);
    be(WWW, WWW);
    SHOW(rename("d777/roots", "d777/roots2"));
    SHOW(rename("d777/roots2", "e777/roots"));
    SHOW(rmdir("d777/roots2/below"));
    SHOW(rmdir("d777/roots2"));

    section("sticky directories");
    root();
    dir("tmp", 01777, 0, 0);
    file("tmp/root", 0666, 0, 0);
    file("tmp/www", 0666, WWW, WWW);
    dir("tmp/dir", 0777, 0, 0);
    dir("own", 01777, WWW, WWW);
    file("own/root", 0600, 0, 0);
    be(WWW, WWW);
    SHOW(unlink("tmp/root"));
    SHOW(rmdir("tmp/dir"));
    SHOW(rmdir("tmp/root"));
    SHOW(unlink("tmp/dir"));
    SHOW(rename("tmp/root", "tmp/x"));
    SHOW(rename("tmp/www", "tmp/root"));
    SHOW(rename("tmp/www", "tmp/mine"));
    SHOW(unlink("tmp/mine"));
    SHOW(unlink("own/root"));

    section("watching");
    fd = MUST(inotify_init1(0));
    IS(inotify_add_watch(fd, "f644", IN_MODIFY) > 0);
    SHOW(inotify_add_watch(fd, "f600", IN_MODIFY));
    SHOW(inotify_add_watch(fd, "d711", IN_CREATE));
    close(fd);

    section("O_NOATIME");
    SHOW(try_open("f644", O_RDONLY | O_NOATIME));
    SHOW(try_open("mine", O_RDONLY | O_NOATIME));
    fd = MUST(open("f644", O_RDONLY));
    SHOW(fcntl(fd, F_SETFL, O_NOATIME));
    close(fd);

    section("capabilities");
    root();
    MUST(chmod("f600", 0));
    SHOW(try_open("f600", O_RDWR));
    SHOW(faccessat(AT_FDCWD, "f600", R_OK | W_OK, 0));
    SHOW(faccessat(AT_FDCWD, "f600", X_OK, 0));
    SHOW(setfsuid(WWW));
    SHOW(try_open("f600", O_RDONLY));
    SHOW(try_open("mine", O_RDWR));
    SHOW(try_open("d755/new", O_WRONLY | O_CREAT));
    SHOW(try_open("d777/files", O_WRONLY | O_CREAT));
    tell("d777/files");
    return done();
}
