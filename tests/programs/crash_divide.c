// An integer division by zero ends with SIGFPE.
//@ status 136
#include "test.h"

int main(void)
{
    volatile int zero = 0, one = 1;
    printf("before\n");
    return one / zero;
}
