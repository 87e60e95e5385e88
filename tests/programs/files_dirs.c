// Directories: mkdir, rmdir, rename, reading them while they change, current directory.
//@ shows getcwd chdir fchdir mkdir rmdir rename getdents64
#include "test.h"
#include <dirent.h>

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *path)
{
    DIR *d = opendir(path);
    if (!d) { printf("%s: %s\n", path, errname(errno)); return; }
    char *names[600];
    int n = 0;
    for (struct dirent *e; n < 600 && (e = readdir(d));) {
        char *s = malloc(300);
        snprintf(s, 300, "%s%s", e->d_name, e->d_type == DT_DIR ? "/" : e->d_type == DT_LNK ? "@" : e->d_type == DT_FIFO ? "|" : "");
        names[n++] = s;
    }
    qsort(names, (size_t)n, sizeof *names, by_name);
    printf("%s:", path);
    for (int i = 0; i < n; i++) printf(" %s", names[i]);
    printf("\n");
    closedir(d);
}

static void make(const char *name) { close((int)MUST(open(name, O_WRONLY | O_CREAT, 0644))); }

int main(void)
{
    char buf[PATH_MAX], top[PATH_MAX];
    enter_scratch();
    IS(getcwd(top, sizeof top) == top);
    SHOW(mkdir("a", 0755));
    SHOW(mkdir("a", 0755));
    SHOW(mkdir("a/b", 0700));
    SHOW(mkdir("x/y", 0700));
    SHOW(mkdir("a/c/", 0700));
    SHOW(mkdir("", 0700));
    make("a/f");
    SHOW(mkdir("a/f/d", 0700));
    MUST(symlink("f", "a/link"));
    MUST(mkfifo("a/fifo", 0600));
    list("a");
    SHOW(rmdir("a"));
    SHOW(rmdir("a/f"));
    SHOW(rmdir("a/none"));
    SHOW(rmdir("a/b/."));
    SHOW(rmdir("a/c/"));
    SHOW(unlink("a/b"));
    list("a");

    section("rename");
    SHOW(rename("a/f", "a/g"));
    SHOW(rename("a/none", "a/g"));
    SHOW(rename("a", "a/b/c"));
    SHOW(rename("a/g", "a/b"));
    SHOW(rename("a/b", "a/g"));
    make("a/b/inside");
    MUST(mkdir("empty", 0755));
    SHOW(rename("empty", "a/b"));
    SHOW(rename("a/b", "empty"));
    list("empty");
    make("over");
    int fd = (int)MUST(open("over", O_RDWR));
    MUST(write(fd, "old", 3));
    SHOW(rename("a/g", "over"));
    SHOW(pread(fd, buf, 10, 0));
    struct stat st;
    MUST(fstat(fd, &st));
    SHOW(st.st_nlink);
    MUST(stat("over", &st));
    SHOW(st.st_size);
    SHOW(rename("over", "over"));
    list(".");

    section("current directory");
    SHOW(chdir("empty"));
    IS(getcwd(buf, sizeof buf) && !strncmp(buf, top, strlen(top)) && !strcmp(buf + strlen(top), "/empty"));
    errno = 0;
    IS(!getcwd(buf, 3) && errno == ERANGE);
    SHOW(chdir("inside"));
    SHOW(chdir("none"));
    SHOW(chdir(".."));
    fd = (int)MUST(open("empty", O_RDONLY | O_DIRECTORY));
    SHOW(fchdir(fd));
    SHOW(access("inside", F_OK));
    SHOW(chdir(top));
    IS(chdir("/..") == 0 && getcwd(buf, sizeof buf) && !strcmp(buf, "/"));
    SHOW(chdir(top));
    MUST(mkdir("gone", 0755));
    MUST(chdir("gone"));
    SHOW(rmdir("../gone"));
    SHOW(open("x", O_WRONLY | O_CREAT, 0600));
    errno = 0;
    IS(!getcwd(buf, sizeof buf) && errno == ENOENT);
    SHOW(chdir(top));

    section("many entries");
    MUST(mkdir("many", 0755));
    for (int i = 0; i < 500; i++) {
        snprintf(buf, sizeof buf, "many/file-with-a-rather-long-name-%d", i);
        make(buf);
    }
    DIR *d = opendir("many");
    int n = 0, removed = 0;
    for (struct dirent *e; (e = readdir(d));) {
        n++;
        if (*e->d_name == '.') continue;
        snprintf(buf, sizeof buf, "many/%s", e->d_name);
        removed += unlink(buf) == 0;
    }
    SHOW(n);
    SHOW(removed);
    rewinddir(d);
    n = 0;
    while (readdir(d)) n++;
    SHOW(n);
    make("many/late");
    rewinddir(d);
    n = 0;
    long pos = -1;
    char name[300];
    for (struct dirent *e; (e = readdir(d)); n++)
        if (n == 1) pos = telldir(d);
        else if (n == 2) strcpy(name, e->d_name);
    SHOW(n);
    seekdir(d, pos);
    struct dirent *e = readdir(d);
    IS(e && !strcmp(e->d_name, name));
    closedir(d);
    return done();
}
