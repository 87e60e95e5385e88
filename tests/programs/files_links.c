// Hard links, symbolic links, unlinked files that stay open.
//@ shows link unlink symlink readlink
#include "test.h"

static long nlink(const char *p) { struct stat st; return lstat(p, &st) ? -1 : (long)st.st_nlink; }

int main(void)
{
    char buf[100];
    struct stat a, b;
    enter_scratch();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0644));
    MUST(write(fd, "content", 7));
    section("hard");
    SHOW(link("f", "g"));
    SHOW(nlink("f"));
    MUST(stat("f", &a));
    MUST(stat("g", &b));
    IS(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
    SHOW(link("f", "g"));
    SHOW(link("none", "h"));
    SHOW(link("f", "none/h"));
    MUST(mkdir("d", 0755));
    SHOW(link("d", "e"));
    SHOW(unlink("f"));
    SHOW(nlink("f"));
    SHOW(nlink("g"));
    SHOW(unlink("f"));

    section("unlinked but open");
    SHOW(unlink("g"));
    SHOW(pread(fd, buf, 100, 0));
    SHOW(pwrite(fd, "more", 4, 7));
    MUST(fstat(fd, &a));
    SHOW(a.st_nlink);
    SHOW(a.st_size);
    SHOW(close(fd));

    section("symbolic");
    SHOW(symlink("target", "l"));
    SHOW(symlink("target", "l"));
    SHOW(symlink("", "m"));
    SHOW(readlink("l", buf, 100));
    SHOW(readlink("l", buf, 3));
    printf("%.3s\n", buf);
    SHOW(readlink("d", buf, 100));
    SHOW(readlink("none", buf, 100));
    MUST(lstat("l", &a));
    IS(S_ISLNK(a.st_mode));
    SHOW(a.st_size);
    SHOW(stat("l", &a));
    fd = (int)MUST(open("target", O_WRONLY | O_CREAT, 0644));
    MUST(write(fd, "via", 3));
    MUST(stat("l", &a));
    SHOW(a.st_size);
    SHOW(link("l", "hard-to-link"));
    MUST(lstat("hard-to-link", &a));
    IS(S_ISLNK(a.st_mode));
    SHOW(unlink("l"));
    SHOW(access("target", F_OK));
    MUST(symlink("d", "ld"));
    SHOW(close((int)MUST(open("ld/in", O_WRONLY | O_CREAT, 0644))));
    SHOW(access("d/in", F_OK));
    SHOW(rmdir("ld"));
    SHOW(rename("ld", "ld2"));
    SHOW(access("d/in", F_OK));
    MUST(symlink("../d/in", "d/up"));
    SHOW(access("ld2/up", R_OK));
    char *real = realpath("ld2/../ld2/up", 0);
    IS(real && !strcmp(strrchr(real, '/') - 2, "/d/in"));
    errno = 0;
    IS(!realpath("ld2/none", 0) && errno == ENOENT);
    char previous[20] = "target";
    for (int i = 0; i < 41; i++) {
        char name[20];
        snprintf(name, sizeof name, "chain%d", i);
        MUST(symlink(previous, name));
        strcpy(previous, name);
    }
    SHOW(access("chain38", F_OK));
    SHOW(access("chain40", F_OK));
    return done();
}
