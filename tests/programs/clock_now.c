// Answers each line of input with the time of day and with random bytes: scenarios compare it with the host's clock.
//@ hosted no
#include "test.h"
#include <sys/random.h>

int main(void)
{
    char line[16];
    unsigned char bytes[32];
    printf("ready\n");
    while (fgets(line, sizeof line, stdin)) {
        struct timespec t, m;
        clock_gettime(CLOCK_REALTIME, &t);
        clock_gettime(CLOCK_MONOTONIC, &m);
        getrandom(bytes, sizeof bytes, 0);
        printf("%lld %lld ", t.tv_sec * 1000000000LL + t.tv_nsec, m.tv_sec * 1000000000LL + m.tv_nsec);
        for (size_t i = 0; i < sizeof bytes; i++) printf("%02x", bytes[i]);
        printf("\n");
    }
    return 0;
}
