// No memory is writable and executable at once, but code can still be generated: write it first, then make it
// executable.
//@ shows mprotect
#include "test.h"
#include <sys/mman.h>

int main(void)
{
    static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 }; /* mov $42, %eax; ret */
    char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    IS(p != MAP_FAILED);
    memcpy(p, code, sizeof code);
    SHOW(mprotect(p, 4096, PROT_READ | PROT_EXEC));
    int (*f)(void) = (int (*)(void))(uintptr_t)p;
    SHOW(f());
    return done();
}
