// Says what it finds of three files in its working directory.
#include "test.h"

int main(void)
{
    static const char *const names[] = { "deep/file", "link", "large" };
    char buf[4096];
    if (access("large", F_OK)) {
        printf("nothing here\n");
        return 0;
    }
    printf("cwd %s\n", getcwd(buf, sizeof buf));
    for (int i = 0; i < 3; i++) {
        struct stat st;
        int fd = (int)MUST(open(names[i], O_RDONLY));
        MUST(fstat(fd, &st));
        long n = MUST(read(fd, buf, 8));
        if (buf[n - 1] == '\n') n--;
        printf("%s: mode %o, %ld bytes: %.*s\n", names[i], st.st_mode, (long)st.st_size, (int)n, buf);
        close(fd);
    }
    return 0;
}
