// Standard input arrives unchanged, followed by end of file.
//@ stdin "first line\nsecond  line\n\tthird without an end"
#include "test.h"

int main(void)
{
    char line[100];
    SHOW(fgets(line, sizeof line, stdin) != 0);
    printf("[%s]", line);
    int c, n = 0;
    unsigned sum = 0;
    while ((c = getchar()) != EOF) n++, sum = sum * 31 + (unsigned)c;
    printf(" %d bytes, %u\n", n, sum);
    SHOW(feof(stdin) != 0);
    SHOW(read(0, line, 1));
    return done();
}
