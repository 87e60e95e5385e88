//@ user root
/* Ownership of files: a program owns those it creates, and access to others' is checked, also in a folder of the host.
   */
#include "cred.h"

static void tell(const char *name)
{
    struct stat s;
    if (lstat(name, &s)) printf("%s: %s\n", name, errname(errno));
    else printf("%s: %o %d:%d\n", name, (unsigned)s.st_mode, (int)s.st_uid, (int)s.st_gid);
}
static long try_open(const char *name, int flags)
{
    int fd = open(name, flags, 0600);
    if (fd >= 0) close(fd);
    return fd < 0 ? -1 : 0;
}

int main(void)
{
    enter_scratch();
    umask(0);
    MUST(chmod(".", 0777));
    MUST(try_open("root", O_CREAT | O_WRONLY));
    MUST(mkdir("closed", 0700));
    MUST(try_open("closed/in", O_CREAT | O_WRONLY));
    MUST(mkdir("team", 0777));
    MUST(chown("team", 0, TEAM));
    MUST(chmod("team", 02777));
    MUST(mkdir("sticky", 01777));
    MUST(try_open("sticky/root", O_CREAT | O_WRONLY));

    section("made");
    be(WWW, WWW);
    SHOW(try_open("file", O_CREAT | O_RDWR));
    tell("file");
    SHOW(mkdir("dir", 0700));
    tell("dir");
    SHOW(try_open("dir/file", O_CREAT | O_RDWR));
    tell("dir/file");
    SHOW(symlink("file", "link"));
    tell("link");
    SHOW(try_open("team/file", O_CREAT | O_RDWR));
    tell("team/file");
    SHOW(mkdir("team/dir", 0755));
    tell("team/dir");
    SHOW(try_open("file", O_RDWR));
    SHOW(chmod("file", 0640));
    SHOW(utimensat(AT_FDCWD, "file", 0, 0));
    SHOW(chown("file", OTHER, -1));
    tell("file");

    section("another's");
    SHOW(try_open("root", O_RDONLY));
    SHOW(try_open("closed/in", O_RDONLY));
    SHOW(try_open("closed/new", O_CREAT | O_WRONLY));
    SHOW(access("closed/in", F_OK));
    SHOW(faccessat(AT_FDCWD, "closed/in", F_OK, AT_EACCESS));
    SHOW(chmod("root", 0666));
    SHOW(unlink("sticky/root"));
    SHOW(rename("sticky/root", "sticky/mine"));
    SHOW(truncate("root", 0));

    section("root's again");
    root();
    SHOW(try_open("new", O_CREAT | O_RDWR));
    tell("new");
    SHOW(unlink("sticky/root"));
    return done();
}
