// Arguments arrive unchanged: empty ones, spaces, quotes, UTF-8.
//@ args one "two words" "" "it's \"quoted\"" "grüße 日本" -- --flag=a=b "back\\slash" "$HOME `x` *"
#include "test.h"

int main(int argc, char **argv)
{
    IS(argv[argc] == 0);
    IS(argv[0] && *argv[0]);
    for (int i = 1; i < argc; i++) {
        printf("argv[%d] %zu bytes:", i, strlen(argv[i]));
        for (char *p = argv[i]; *p; p++) printf(" %02x", (unsigned char)*p);
        printf("  %s\n", argv[i]);
    }
    return done();
}
