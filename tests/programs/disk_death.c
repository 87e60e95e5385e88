// When a signal kills a program with a busy thread, its writes reach the disk, as on Linux.
//@ disk 16M
//@ smp 2
//@ args die
//@ status 134
//@ again look
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>

static void *busy(void *arg)
{
    for (volatile long *n = arg;;) ++*n;
    return 0;
}

int main(int argc, char **argv)
{
    MUST(chdir(getenv("TEST_SCRATCH")));
    if (argc > 1 && !strcmp(argv[1], "die")) {
        static long n;
        pthread_t t;
        MUST0(pthread_create(&t, 0, busy, &n));
        MUST(mkdir("folder", 0755));
        int fd = MUST(open("folder/draft", O_RDWR | O_CREAT, 0644));
        MUST(write(fd, "written", 7));
        MUST(ftruncate(fd, 8192));
        char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        MUST(m == MAP_FAILED ? -1 : 0);
        strcpy(m + 4096, "mapped");
        MUST(rename("folder/draft", "kept"));
        int gone = MUST(open("gone", O_RDWR | O_CREAT, 0644));
        MUST(write(gone, "never missed", 12));
        MUST(unlink("gone"));
        puts("now");
        abort();
    }
    struct stat st;
    SHOW(stat("kept", &st));
    SHOW(st.st_size);
    char buffer[8192] = "";
    int fd = MUST(open("kept", O_RDONLY));
    SHOW(read(fd, buffer, sizeof buffer));
    IS(!strcmp(buffer, "written") && !strcmp(buffer + 4096, "mapped"));
    SHOW(stat("folder", &st));
    SHOW(stat("folder/draft", &st));
    SHOW(stat("gone", &st));
    return done();
}
