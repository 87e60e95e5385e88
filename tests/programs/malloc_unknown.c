// Address space for a segment of malloc's, but not for the table that would know it: its blocks are blocks all the same.
#include "test.h"
#include <malloc.h>
#include <sys/resource.h>

static unsigned long mapped(void)
{
    char text[100] = "";
    int fd = open("/proc/self/statm", O_RDONLY);
    MUST(read(fd, text, sizeof text - 1));
    MUST(close(fd));
    return strtoul(text, 0, 10) * 4096;
}

int main(void)
{
    enum { SEGMENT = 32 << 20 };
    struct rlimit limit, none;
    MUST(getrlimit(RLIMIT_AS, &none));
    limit = none;
    limit.rlim_cur = mapped() + SEGMENT + 8192;
    MUST(setrlimit(RLIMIT_AS, &limit));
    char *unknown = malloc(100);
    MUST(setrlimit(RLIMIT_AS, &none));
    IS(unknown);
    /* This one brings the table. */
    char *known = malloc(20 << 20);
    IS(known);
    IS(malloc_usable_size(unknown) >= 100);
    IS(unknown = realloc(unknown, 1000));
    free(unknown);
    free(known);
    return done();
}
