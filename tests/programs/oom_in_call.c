// Memory runs out where the kernel writes to the program's memory: the call ends, then the program, but never the
// kernel.
//@ memory 32M
//@ hosted no
//@ status 137
//@ smp 2
#include "test.h"
#include <pthread.h>
#include <sys/mman.h>

#define MIB (1ul << 20)

static void *other(void *x) { return pause(), x; }

int main(void)
{
    only_in_vm();
    pthread_t t;
    MUST0(pthread_create(&t, 0, other, 0));
    int zero = open("/dev/zero", O_RDONLY);
    char *m[20];
    for (int i = 0; i < 20; i++) m[i] = mmap(0, 10 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(m[19] != MAP_FAILED);
    for (int i = 0; i < 20; i++)
        for (size_t k = 0; k < 10 * MIB; k += 65536) if (read(zero, m[i] + k, 65536) < 0) puts("read failed, and the program goes on");
    puts("all read");
    return 0;
}
