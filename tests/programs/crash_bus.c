// Touching a mapping past the end of its file ends with SIGBUS.
//@ status 135
#include "test.h"
#include <sys/mman.h>

int main(void)
{
    enter_scratch();
    int fd = (int)MUST(open("f", O_RDWR | O_CREAT, 0600));
    char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
    printf("before\n");
    return *(volatile char *)p;
}
