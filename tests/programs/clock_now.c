// Prints the time of day, at its start and for each line of input, and then random bytes: tests compare it with the
// host's clock.
//@ hosted no
#include "test.h"
#include <sys/random.h>

static long long now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// Both clocks, read within a millisecond if the machine lets us.
static void tell(void)
{
    long long wall, before, after;
    int tries = 100;
    do {
        before = now(CLOCK_MONOTONIC);
        wall = now(CLOCK_REALTIME);
        after = now(CLOCK_MONOTONIC);
    } while (after - before > 1000000 && --tries > 0);
    printf("%lld %lld", wall, before);
}

int main(void)
{
    char line[16];
    unsigned char bytes[32];
    printf("ready ");
    tell();
    printf("\n");
    while (fgets(line, sizeof line, stdin)) {
        getrandom(bytes, sizeof bytes, 0);
        tell();
        printf(" ");
        for (size_t i = 0; i < sizeof bytes; i++) printf("%02x", bytes[i]);
        printf("\n");
    }
    return 0;
}
