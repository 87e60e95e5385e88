// A block grows step by step, copied each time, until memory is full: realloc fails, and the block is intact.
//@ hosted no
//@ memory 48M
//@ native no
#include "test.h"

int main(void)
{
    enum { STEP = 20000 };
    size_t n = 0;
    char *p = 0;
    errno = 0;
    for (char *q; (q = realloc(p, n + STEP)); n += STEP) {
        p = q;
        memset(p + n, (char)(n / STEP), STEP);
    }
    IS(errno == ENOMEM && n > 8 << 20);
    bool ok = true;
    for (size_t i = 0; i < n; i++) ok = ok && p[i] == (char)(i / STEP);
    IS(ok);
    return done();
}
