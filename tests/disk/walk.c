// Walks a volume that may be damaged, reads all of it, and tries to change it. walk DIR [WRITES]
// Whatever the disk holds, every call returns a result or an error, and the walk ends.
#include "../programs/test.h"
#include <dirent.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

static long entries, bytes, errors;
static long deepest;

static void failed(const char *what)
{
    errors++;
    if (errors <= 3) printf("%s: %s\n", what, errname(errno));
}

static void read_all(const char *path, off_t size)
{
    static char buffer[65536];
    int fd = open(path, O_RDONLY);
    if (fd < 0) { failed("open"); return; }
    long n;
    /* A size of the directory entry that no chain backs must end in an error. */
    while ((n = read(fd, buffer, sizeof buffer)) > 0) bytes += n;
    if (n < 0) failed("read");
    if (size > 0) {
        if (pread(fd, buffer, 1, size - 1) < 0) failed("pread at the end");
        if (pread(fd, buffer, 1, size / 2) < 0) failed("pread in the middle");
    }
    close(fd);
}

static void walk(const char *path, long depth)
{
    if (depth > deepest) deepest = depth;
    /* A folder that contains itself. */
    if (depth > 40 || entries > 20000) return;
    DIR *dir = opendir(path);
    if (!dir) { failed("opendir"); return; }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) failed("readdir");
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (++entries > 20000) break;
        char name[4096];
        struct stat st;
        if (snprintf(name, sizeof name, "%s/%s", path, entry->d_name) >= (int)sizeof name) continue;
        if (stat(name, &st)) { failed("stat"); continue; }
        if (S_ISDIR(st.st_mode)) walk(name, depth + 1);
        else if (bytes < 64 << 20) read_all(name, st.st_size);
    }
    closedir(dir);
}

static const char *answer(long result) { return result < 0 ? errname(errno) : "0"; }

static void change(void)
{
    char block[5000];
    memset(block, 'x', sizeof block);
    int fd = open("new file.txt", O_RDWR | O_CREAT, 0644);
    printf("create %s\n", answer(fd));
    if (fd >= 0) {
        printf("write %s\n", answer(write(fd, block, sizeof block)));
        printf("fsync %s\n", answer(fsync(fd)));
        printf("truncate %s\n", answer(ftruncate(fd, 1)));
        close(fd);
        printf("rename %s\n", answer(rename("new file.txt", "other")));
    }
    printf("mkdir %s\n", answer(mkdir("new folder", 0755)));
    printf("create in it %s\n", answer(close(open("new folder/x", O_WRONLY | O_CREAT, 0644))));
    printf("unlink %s\n", answer(unlink("other")));
    /* Files that were there before. */
    DIR *dir = opendir(".");
    int n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir)) && n < 50;) {
        struct stat st;
        if (entry->d_name[0] == '.' || stat(entry->d_name, &st) || !S_ISREG(st.st_mode)) continue;
        n++;
        fd = open(entry->d_name, O_RDWR | O_APPEND);
        if (fd < 0) continue;
        if (write(fd, block, 100) < 0 && n < 3) printf("append %s\n", answer(-1));
        if (ftruncate(fd, st.st_size / 2) && n < 3) printf("truncate %s\n", answer(-1));
        close(fd);
        if (n % 3 == 0 && unlink(entry->d_name) && n < 4) printf("unlink %s\n", answer(-1));
    }
    if (dir) closedir(dir);
    sync();
}

int main(int argc, char **argv)
{
    struct statvfs room;
    MUST(chdir(argc > 1 ? argv[1] : "."));
    walk(".", 0);
    printf("%ld entries, %ld bytes, %ld deep, %ld errors\n", entries, bytes, deepest, errors);
    printf("statvfs %s\n", answer(statvfs(".", &room)));
    if (argc > 2) {
        change();
        entries = bytes = errors = 0;
        walk(".", 0);
        printf("%ld entries, %ld bytes, %ld errors afterwards\n", entries, bytes, errors);
    }
    puts("end");
    return 0;
}
