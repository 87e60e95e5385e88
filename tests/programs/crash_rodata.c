// Constants cannot be written.
//@ status 139
#include "test.h"

static const char constant[] = "constant";
static const char *const volatile table[] = { constant };

int main(void)
{
    printf("before\n");
    *(volatile char *)(uintptr_t)constant = (char)(table[0] != 0);
    printf("written\n");
    return 0;
}
