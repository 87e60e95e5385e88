// The program's own name, in a program that opens no files and uses only readlink.
#include "test.h"

int main(int argc, char **argv)
{
    UNUSED int unused = argc;
    char exe[PATH_MAX] = "";
    MUST(readlink("/proc/self/exe", exe, sizeof exe - 1));
    const char *name = strrchr(argv[0], '/');
    IS(exe[0] == '/');
    IS(strcmp(strrchr(exe, '/') + 1, name ? name + 1 : argv[0]) == 0);
    return done();
}
