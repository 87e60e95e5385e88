// More names than there is memory for objects: these are dropped and recreated, and written data is still there. On a
// disk.
//@ disk 96M
//@ memory 32M
//@ timeout 180
//@ again look
#include "test.h"
#include <dirent.h>
#include <sys/stat.h>

enum { FILES = 8000, DIRS = 60, EACH = 100 };

static void flat(char *path, int i) { sprintf(path, "flat/%06d", i); }
static void deep(char *path, int i) { sprintf(path, "deep%d/%d", i / EACH, i % EACH); }

static void make(const char *path, int i)
{
    int fd = (int)MUST(open(path, O_RDWR | O_CREAT | O_EXCL, 0644));
    if (write(fd, &i, sizeof i) != sizeof i) MUST(-1);
    close(fd);
}

static int count(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n - 2;
}

static int wrong(void (*name)(char *, int), int files)
{
    int n = 0;
    char path[64];
    for (int i = 0; i < files; i++) {
        int seen = -1;
        struct stat s;
        name(path, i);
        if (stat(path, &s) || s.st_size != sizeof i) n++;
        int fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, &seen, sizeof seen) != sizeof seen || seen != i) n++;
        if (fd >= 0) close(fd);
    }
    return n;
}

int main(int argc, char **argv)
{
    char path[64];
    MUST(chdir(getenv("TEST_SCRATCH")));
    if (argc > 1) return count("flat") != FILES || wrong(flat, FILES) || wrong(deep, DIRS * EACH);
    MUST(mkdir("flat", 0755));
    for (int i = 0; i < FILES; i++) {
        flat(path, i);
        make(path, i);
    }
    /* Open all the time. */
    int kept = (int)MUST(open("flat/000007", O_RDONLY));
    for (int d = 0; d < DIRS; d++) {
        sprintf(path, "deep%d", d);
        MUST(mkdir(path, 0755));
        for (int i = 0; i < EACH; i++) {
            deep(path, d * EACH + i);
            make(path, d * EACH + i);
        }
    }
    SHOW(count("flat"));
    SHOW(wrong(flat, FILES));
    SHOW(wrong(deep, DIRS * EACH));
    struct stat by_fd, by_name;
    MUST(fstat(kept, &by_fd));
    MUST(stat("flat/000007", &by_name));
    IS(by_fd.st_ino == by_name.st_ino);
    char *other = malloc(2 << 20);
    IS(other != 0);
    return done();
}
