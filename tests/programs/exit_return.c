// main's return value is the exit status, and stdio is flushed on the way.
//@ status 7
#include <stdio.h>

int main(void)
{
    printf("not ended by a newline");
    return 7;
}
