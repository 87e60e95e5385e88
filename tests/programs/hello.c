// The smallest program with stdio; its size is one of the project's figures.
//@ shows arch_prctl set_tid_address
#include <stdio.h>

int main(void)
{
    printf("Hello from %s, %d + %d = %d\n", "unibody", 2, 3, 2 + 3);
    return 0;
}
