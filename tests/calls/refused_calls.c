// Makes the calls that are refused: arguments are `NUMBER:ERRNO`, from the table of system calls.
#include "../programs/test.h"

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *rest;
        long number = strtol(argv[i], &rest, 10), want = *rest == ':' ? strtol(rest + 1, &rest, 10) : 0;
        if (*rest || !want) {
            printf("%s: not NUMBER:ERRNO\n", argv[i]);
            return 2;
        }
        errno = 0;
        long got = syscall(number, 0, 0, 0, 0, 0, 0);
        printf("%ld: %ld %s\n", number, got, errname(errno));
        if (got != -1 || errno != want) {
            printf("%ld: not refused with %s\n", number, errname((int)want));
            test_failures++;
        }
    }
    printf("%d calls\n", argc - 1);
    return done();
}
