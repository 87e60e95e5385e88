// Constructors, destructors, weak symbols, aliases and common data.
#include "test.h"

static int order;
__attribute__((constructor(101))) static void c1(void) { order = order * 10 + 1; }
__attribute__((constructor(102))) static void c2(void) { order = order * 10 + 2; }
__attribute__((constructor)) static void c3(void) { order = order * 10 + 3; }
__attribute__((destructor)) static void d(void) { printf("destructor\n"); }
extern int nothing(void) __attribute__((weak));
static int real(int x) { return x + 1; }
extern int alias(int) __attribute__((alias("real")));
static int (*const pointers[])(int) = { real, alias };

int main(int argc, char **argv)
{
    (void)argv;
    SHOW(order);
    IS(nothing == 0);
    SHOW(pointers[argc & 1](41));
    static char zeroed[100000];
    bool ok = true;
    for (size_t i = 0; i < sizeof zeroed; i++) ok = ok && zeroed[i] == 0;
    IS(ok);
    return done();
}
