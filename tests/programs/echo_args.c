// Prints arguments and the sorted variables VARIABLE_*, each ended by a zero byte.
#include "test.h"

extern char **environ;
static int order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv)
{
    static char *found[1000];
    size_t n = 0;
    for (int i = 1; i < argc; i++) fwrite(argv[i], 1, strlen(argv[i]) + 1, stdout);
    for (char **e = environ; *e && n < 1000; e++)
        if (!strncmp(*e, "VARIABLE_", 9)) found[n++] = *e;
    qsort(found, n, sizeof *found, order);
    for (size_t i = 0; i < n; i++) fwrite(found[i], 1, strlen(found[i]) + 1, stdout);
    return 0;
}
