// System calls by a number known only at run time; unknown numbers are ENOSYS.
#include "test.h"
#include <sys/syscall.h>

int main(void)
{
    volatile long n = SYS_write;
    SHOW(syscall(n, 1, "by number\n", 10));
    n = SYS_getpid;
    IS(syscall(n) == getpid());
    n = SYS_close;
    SHOW(syscall(n, -1));
    for (long k = 5000; k < 5003; k++) SHOW(syscall(k, 1, 2, 3));
    n = 0x7fffffff;
    SHOW(syscall(n));
    n = -1;
    SHOW(syscall(n));
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"((long)SYS_write), "D"(1L), "S"("by instruction\n"), "d"(15L) : "rcx", "r11", "memory");
    SHOW(r);
    __asm__ volatile("syscall" : "=a"(r) : "a"((long)SYS_close), "D"(-1L) : "rcx", "r11", "memory");
    SHOW(r);
    return done();
}
