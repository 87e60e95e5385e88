// The program's own file: /proc/self/exe and argv[0] name it, it is the image byte for byte, and cannot be written to.
#include "test.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char exe[PATH_MAX] = "";
    MUST(readlink("/proc/self/exe", exe, sizeof exe - 1));
    IS(exe[0] == '/');
    struct stat st, by_name, by_exe;
    int fd = (int)MUST(open("/proc/self/exe", O_RDONLY));
    MUST(fstat(fd, &st));
    MUST(stat(argv[0], &by_name));
    MUST(stat(exe, &by_exe));
    IS(S_ISREG(st.st_mode) && st.st_ino == by_name.st_ino && st.st_ino == by_exe.st_ino);
    SHOW(access(argv[0], R_OK | X_OK));
    SHOW(st.st_size);
    size_t n = 0;
    char *all = malloc((size_t)st.st_size + 100003);
    IS(all != 0);
    for (ssize_t k; (k = read(fd, all + n, 100003)) > 0;) n += (size_t)k;
    IS(n == (size_t)st.st_size);
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < n; i++) sum = (sum ^ (unsigned char)all[i]) * 16777619u;
    printf("sum %08x\n", sum);
    IS(!memcmp(all, "\177ELF", 4));
    char end[64], middle[5000];
    SHOW(pread(fd, end, sizeof end, st.st_size - 20));
    IS(!memcmp(end, all + n - 20, 20));
    SHOW(pread(fd, middle, sizeof middle, 12345));
    IS(!memcmp(middle, all + 12345, sizeof middle));
    SHOW(pread(fd, middle, 1, st.st_size));
    char *m = mmap(0, n, PROT_READ, MAP_PRIVATE, fd, 0), *s = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 4096);
    IS(m != MAP_FAILED && !memcmp(m, all, n));
    IS(s != MAP_FAILED && !memcmp(s, all + 4096, 4096));
    SHOW(open(argv[0], O_WRONLY));
    SHOW(open("/proc/self/exe", O_RDWR));
    SHOW(open("/proc/self/exe", O_RDONLY | O_TRUNC));
    SHOW(truncate(argv[0], 0));
    SHOW(write(fd, "x", 1));
    if (argc > 1) printf("appended: %.*s\n", (int)strlen(argv[1]), all + n - strlen(argv[1]));
    return done();
}
