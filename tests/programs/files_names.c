// Names: length, number of links, trailing slashes, dots; what rename refuses; the root after chroot.
//@ shows chroot renameat2
#include "test.h"
#include <sys/syscall.h>
#include <sys/xattr.h>

enum { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 };

static long closed(int fd) { return fd < 0 ? -1 : (close(fd), 0); }
static void file(const char *name) { close((int)MUST(open(name, O_WRONLY | O_CREAT, 0644))); }
static long renamed(const char *from, const char *to, unsigned flags)
{
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}
static long links(const char *name)
{
    struct stat st;
    return lstat(name, &st) ? -1 : (long)st.st_nlink;
}

/* A path of n bytes to "f": dots and slashes. */
static char *path_of(size_t n)
{
    static char path[5000];
    memset(path, '/', n);
    path[0] = '.';
    path[n - 1] = 'f', path[n] = 0;
    return path;
}

int main(void)
{
    char name[300], buf[300];
    struct stat st;
    enter_scratch();
    file("f");
    MUST(mkdir("d", 0755)), MUST(mkdir("d/e", 0755)), MUST(mkdir("full", 0755));
    file("full/x");
    MUST(symlink("f", "lf")), MUST(symlink("d", "ld")), MUST(symlink("nothing", "broken"));

    section("lengths");
    SHOW(access(path_of(4095), F_OK));
    SHOW(access(path_of(4096), F_OK));
    SHOW(closed(open(path_of(4096), O_RDONLY)));
    SHOW(mkdir(path_of(4096), 0755));
    SHOW(symlink(path_of(4095), "long"));
    SHOW(access("long", F_OK));
    SHOW(symlink(path_of(4096), "longer"));
    memset(name, 'n', sizeof name), name[255] = 0;
    SHOW(mkdir(name, 0755));
    SHOW(rename(name, "short"));
    SHOW(rename("short", name));
    SHOW(rmdir(name));
    name[255] = 'n', name[256] = 0;
    SHOW(mkdir(name, 0755));
    SHOW(access(name, F_OK));
    SHOW(stat(name, &st));
    SHOW(rename("f", name));
    SHOW(rename(name, "f"));
    SHOW(link("f", name));
    SHOW(symlink("f", name));
    SHOW(mknod(name, S_IFIFO | 0600, 0));
    SHOW(unlink(name));
    SHOW(rmdir(name));
    SHOW(readlink(name, buf, sizeof buf));
    SHOW(chdir(name));

    section("links");
    strcpy(buf, "f");
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof name, "c%d", i);
        MUST(symlink(buf, name));
        strcpy(buf, name);
    }
    SHOW(access("c40", F_OK));
    SHOW(access("c41", F_OK));
    SHOW(closed(open("c40", O_RDONLY)));
    SHOW(closed(open("c41", O_RDONLY)));
    SHOW(closed(open("c41", O_RDWR | O_CREAT, 0600)));
    SHOW(readlink("c41", buf, sizeof buf));
    SHOW(rename("c41", "c42"));
    SHOW(mkdir("c40/x", 0755));
    SHOW(mkdir("c42/x", 0755));

    section("slashes");
    SHOW(access("f/", F_OK));
    SHOW(access("lf/", F_OK));
    SHOW(access("ld/", F_OK));
    SHOW(access("d//", F_OK));
    SHOW(lstat("ld/", &st));
    IS(S_ISDIR(st.st_mode));
    SHOW(lstat("lf/", &st));
    SHOW(closed(open("f/", O_RDONLY)));
    SHOW(closed(open("lf/", O_RDONLY)));
    SHOW(closed(open("f/", O_RDWR | O_CREAT, 0600)));
    SHOW(closed(open("new/", O_RDWR | O_CREAT, 0600)));
    SHOW(closed(open("d/", O_RDONLY | O_CREAT, 0600)));
    SHOW(closed(open("broken/", O_RDWR | O_CREAT, 0600)));
    SHOW(closed(open("ld/", O_RDONLY | O_NOFOLLOW)));
    SHOW(closed(open("f/", O_RDWR | O_CREAT | O_EXCL, 0600)));
    SHOW(mkdir("m/", 0755));
    SHOW(mkdir("m//", 0755));
    SHOW(mkdir("broken/", 0755));
    SHOW(mkdir("broken", 0755));
    SHOW(mkdir(".", 0755));
    SHOW(mkdir("d/..", 0755));
    SHOW(mkdir("/", 0755));
    SHOW(mknod("p/", S_IFIFO | 0600, 0));
    SHOW(symlink("f", "s/"));
    SHOW(link("f", "h/"));
    SHOW(link("f/", "h"));
    SHOW(unlink("f/"));
    SHOW(unlink("lf/"));
    SHOW(unlink("ld/"));
    SHOW(unlink("none/"));
    SHOW(unlink("d"));
    SHOW(unlink("d/"));
    SHOW(unlink("."));
    SHOW(unlink("d/.."));
    SHOW(unlink("/"));
    SHOW(rmdir("f/"));
    SHOW(rmdir("ld/"));
    SHOW(rmdir("."));
    SHOW(rmdir("d/."));
    SHOW(rmdir("d/e/.."));
    SHOW(rmdir(".."));
    SHOW(rmdir("/"));
    SHOW(rmdir("m/"));
    SHOW(readlink("ld/", buf, sizeof buf));
    SHOW(readlink("lf/", buf, sizeof buf));
    SHOW(chdir("f/"));
    SHOW(truncate("f/", 0));
    SHOW(chmod("f/", 0644));

    section("rename");
    SHOW(rename("d", "d/e/below"));
    SHOW(rename("d", "d/below"));
    SHOW(rename("d", "d"));
    SHOW(rename("d", "d/e"));
    SHOW(rename("d/e", "d"));
    SHOW(rename("d", "full"));
    SHOW(rename("d/e", "f"));
    SHOW(rename("f", "d/e"));
    SHOW(rename("f", "g/"));
    SHOW(rename("f/", "g"));
    SHOW(rename("lf/", "g"));
    SHOW(rename("ld/", "g"));
    SHOW(rename("f", "ld/"));
    SHOW(rename("d/e", "d/i/"));
    SHOW(rename("d/i/", "d/e"));
    SHOW(rename(".", "dot"));
    SHOW(rename("d/.", "dot"));
    SHOW(rename("d/..", "dot"));
    SHOW(rename("d", "."));
    SHOW(rename("d", ".."));
    SHOW(rename("/", "root"));
    SHOW(rename("none", "f"));
    SHOW(rename("f", "none/f"));
    SHOW(rename("f", "f/f"));
    SHOW(rename("f", ""));
    SHOW(rename("f", "/proc/f"));
    SHOW(renamed("f", "lf", NOREPLACE));
    SHOW(renamed("f", "f", NOREPLACE));
    SHOW(renamed("f", ".", NOREPLACE));
    SHOW(renamed("f", "f2", NOREPLACE));
    SHOW(renamed("none", "f2", NOREPLACE));
    SHOW(renamed("none", "f2", EXCHANGE));
    SHOW(renamed("f2", "none", EXCHANGE));
    SHOW(renamed("f2", "f2", EXCHANGE));
    SHOW(renamed("f2", "d", EXCHANGE));
    IS(lstat("d", &st) == 0 && S_ISREG(st.st_mode) && links("f2") == 3);
    SHOW(renamed("f2", "d", EXCHANGE));
    SHOW(renamed("d/e", "full", EXCHANGE));
    IS(access("d/e/x", F_OK) == 0 && links("d") == 3);
    SHOW(renamed("d", "d/e", EXCHANGE));
    SHOW(renamed("d/e", "d", EXCHANGE));
    SHOW(renamed("f2", "d/e", EXCHANGE));
    IS(links("d") == 2 && access("f2/x", F_OK) == 0);
    SHOW(renamed("f2", "f", EXCHANGE | NOREPLACE));
    SHOW(renamed("f2", "f", WHITEOUT | EXCHANGE));
    SHOW(renamed("f2", "f", 8));

    section("attributes of other kinds are refused");
    SHOW(setxattr("d", "user.a", "1", 1, 0));
    SHOW(getxattr("d", "user.a", buf, sizeof buf));
    SHOW(listxattr("d", buf, sizeof buf));
    SHOW(lremovexattr("d", "user.a"));

    section("another root");
    MUST(mkdir("jail", 0755)), MUST(mkdir("jail/in", 0755)), MUST(symlink("/in", "jail/abs"));
    int out = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
    SHOW(chroot("none"));
    SHOW(chroot("d/e"));
    SHOW(chroot("jail"));
    // The working directory does not change, and is outside the root now.
    errno = 0;
    char *cwd = getcwd(buf, sizeof buf);
    printf("getcwd: %s %s\n", cwd ? cwd : "none", errname(errno));
    IS(syscall(SYS_getcwd, buf, sizeof buf) > 0 && !strncmp(buf, "(unreachable)/", 14));
    SHOW(access("/in", F_OK));
    SHOW(access("/abs/..", F_OK));
    SHOW(access("/proc/self", F_OK));
    SHOW(access("jail/in", F_OK));
    SHOW(chdir("/"));
    SHOW(chdir("../../.."));
    SHOW(syscall(SYS_getcwd, buf, sizeof buf));
    IS(!strcmp(buf, "/"));
    SHOW(access("abs", F_OK));
    SHOW(mkdir("/../../made", 0755));
    SHOW(fchdir(out));
    SHOW(access("jail/made", F_OK));
    SHOW(openat(out, "jail/in/x", O_CREAT | O_WRONLY, 0644) >= 0);
    SHOW(access("/in/x", F_OK));
    return done();
}
