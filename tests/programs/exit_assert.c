// A failed assert() aborts.
//@ status 134
#include "test.h"
#undef NDEBUG
#include <assert.h>

int main(int argc, char **argv)
{
    (void)argv;
    printf("before\n");
    assert(argc > 100);
    printf("after\n");
}
