// Prints what it finds of some files in its working directory.
#include "test.h"

int main(void)
{
    static const char *const names[] = { "deep/file", "link", "hard", "large", "sparse" };
    char buf[4096];
    if (access("large", F_OK)) {
        printf("nothing here\n");
        return 0;
    }
    printf("cwd %s\n", getcwd(buf, sizeof buf));
    struct stat st, other;
    for (int i = 0; i < 5; i++) {
        int fd = (int)MUST(open(names[i], O_RDONLY));
        MUST(fstat(fd, &st));
        long n = MUST(read(fd, buf, 8));
        if (buf[n - 1] == '\n') n--;
        printf("%s: mode %o, %d links, %ld bytes: %.*s\n", names[i], st.st_mode, (int)st.st_nlink, (long)st.st_size, (int)n, buf);
        close(fd);
    }
    MUST(stat("deep", &st));
    printf("deep: mode %o, changed %ld\n", st.st_mode, (long)st.st_mtime);
    long n = MUST(readlink("link", buf, sizeof buf));
    printf("link -> %.*s\n", (int)n, buf);
    MUST(stat("deep/file", &st)), MUST(stat("hard", &other));
    printf("one file: %s\n", st.st_ino == other.st_ino ? "yes" : "no");
    return 0;
}
