/* Waits for a server, run on this computer in the guest's network:
 *
 *   first ADDRESS PORT REQUEST ANSWER   prints `ready`, then `first` as soon as an answer to REQUEST begins with ANSWER
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds between attempts, and how long one of them is waited for. */
enum { EVERY = 5, LIFE = 500, MOST = LIFE / EVERY, LONGEST = 64 };

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Attempts overlap, since one that is made while the guest has no network yet is only repeated after a second. None is
 * added while a request waits for its answer: two hundred more a second would be a load of their own on a server that
 * just starts. */
int main(int argc, char **argv)
{
    static struct { int s, sent; } tries[MOST];
    static struct pollfd polled[MOST];
    struct sockaddr_in server = {.sin_family = AF_INET};
    if (argc != 5 || !inet_aton(argv[1], &server.sin_addr))
        return 2;
    server.sin_port = htons(atoi(argv[2]));
    const char *request = argv[3], *answer = argv[4];
    ssize_t length = strlen(answer);
    if (length > LONGEST)
        return 2;
    for (int i = 0; i < MOST; i++)
        tries[i].s = -1;
    puts("ready");
    fflush(stdout);
    for (int next = 0;; next = (next + 1) % MOST) {
        if (tries[next].s >= 0)
            close(tries[next].s);
        tries[next].s = -1;
        tries[next].sent = 0;
        int asked = 0;
        for (int i = 0; i < MOST; i++)
            asked |= tries[i].s >= 0 && tries[i].sent;
        if (!asked) {
            tries[next].s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            connect(tries[next].s, (void *)&server, sizeof server);
        }
        for (long long end = now() + EVERY, left; (left = end - now()) > 0;) {
            for (int i = 0; i < MOST; i++)
                polled[i] = (struct pollfd){tries[i].s, tries[i].sent ? POLLIN : POLLOUT, 0};
            if (poll(polled, MOST, left) <= 0)
                break;
            for (int i = 0; i < MOST; i++) {
                char said[LONGEST];
                if (!polled[i].revents)
                    continue;
                if (!tries[i].sent && !(polled[i].revents & (POLLERR | POLLHUP))) {
                    tries[i].sent = write(tries[i].s, request, strlen(request)) > 0;
                } else if (tries[i].sent && read(tries[i].s, said, length) == length && !memcmp(said, answer, length)) {
                    puts("first");
                    return 0;
                } else {
                    close(tries[i].s);
                    tries[i].s = -1;
                }
            }
        }
    }
}
