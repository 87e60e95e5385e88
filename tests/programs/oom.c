// Memory runs out at a touch: the program ends as with Linux's OOM killer, whatever signals it handles, and the files
// that it wrote are on the disk.
//@ memory 64M
//@ hosted no
//@ disk 16M
//@ status 137
//@ again after
#include "test.h"
#include <signal.h>
#include <sys/mman.h>

#define MIB (1ul << 20)

static void handler(int s) { (void)s; puts("a handler ran"), _exit(1); }

int main(int argc, char **argv)
{
    only_in_vm();
    static char b[MIB];
    const char *place = getenv("TEST_SCRATCH");
    char name[256];
    snprintf(name, sizeof name, "%s/kept", place ? place : "/tmp");
    if (argc > 1 && !strcmp(argv[1], "after")) {
        int fd = open(name, O_RDONLY);
        IS(fd >= 0 && read(fd, b, sizeof b) == sizeof b && b[MIB - 1] == 'k');
        return done();
    }
    signal(SIGBUS, handler), signal(SIGSEGV, handler), signal(SIGTERM, handler);
    memset(b, 'k', sizeof b);
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    IS(write(fd, b, sizeof b) == sizeof b);
    char *m[100];
    for (int i = 0; i < 100; i++) m[i] = mmap(0, 10 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(m[99] != MAP_FAILED);
    for (int i = 0; i < 100; i++)
        for (size_t k = 0; k < 10 * MIB; k += 4096) m[i][k] = 1;
    puts("all touched");
    return 0;
}
