// Memory that is writable and executable at once is refused.
//@ hosted no
//@ native no
#include "test.h"
#include <sys/mman.h>

static char data[8192] = "data";

int main(void)
{
    char *p = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(p == MAP_FAILED && (errno == EACCES || errno == EPERM));
    p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == -1 && (errno == EACCES || errno == EPERM));
    *p = 1;
    char *page = (char *)(((uintptr_t)data + 4095) & ~4095ul);
    IS(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == -1 && (errno == EACCES || errno == EPERM));
    char *text = (char *)((uintptr_t)main & ~4095ul);
    IS(mprotect(text, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == -1 && (errno == EACCES || errno == EPERM));
    return done();
}
