// The environment arrives unchanged, and setenv and friends work on it.
//@ env GREETING="hello  world" EMPTY= EQUALS=a=b=c UTF="żółć" LIST="a,b;c 'd' \"e\""
#include "test.h"

extern char **environ;

static void show(const char *name)
{
    char *v = getenv(name);
    printf("%s=%s\n", name, v ? v : "(unset)");
}

int main(void)
{
    show("GREETING"), show("EMPTY"), show("EQUALS"), show("UTF"), show("LIST"), show("NOT_THERE");
    SHOW(setenv("GREETING", "changed", 0));
    show("GREETING");
    SHOW(setenv("GREETING", "changed", 1));
    show("GREETING");
    SHOW(unsetenv("EMPTY"));
    show("EMPTY");
    SHOW(setenv("A=B", "x", 1));
    SHOW(setenv("", "x", 1));
    SHOW(putenv("PUT=in"));
    show("PUT");
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "VARIABLE_%d", i);
        MUST(setenv(name, name, 1));
    }
    show("VARIABLE_299");
    SHOW(clearenv());
    IS(environ == 0 || *environ == 0);
    show("GREETING");
    return done();
}
