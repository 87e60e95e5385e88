// Echoes every message on UDP port 7000 until one says "end"; started with an argument, it sends that itself.
//@ args once
#include "net.h"

int main(int argc, char **argv)
{
    (void)argv;
    char buf[2000];
    address any = { .v4 = { .sin_family = AF_INET, .sin_port = htons(7000) } }, from;
    int s = (int)MUST(socket(AF_INET, SOCK_DGRAM, 0));
    if (argc > 1) any = loopback(AF_INET, 0);
    MUST(bind(s, &any.any, sizeof any.v4));
    if (argc > 1) {
        socklen_t n = sizeof any;
        MUST(getsockname(s, &any.any, &n));
        MUST(sendto(s, "end", 3, 0, &any.any, n));
    }
    printf("ready\n");
    for (;;) {
        socklen_t n = sizeof from;
        ssize_t len = MUST(recvfrom(s, buf, sizeof buf, 0, &from.any, &n));
        if (len == 3 && !memcmp(buf, "end", 3)) break;
        MUST(sendto(s, buf, (size_t)len, 0, &from.any, n));
    }
    printf("end\n");
    return 0;
}
