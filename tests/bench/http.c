/* An HTTP client for `cargo unibody bench nginx`, run on this computer in the guest's network:
 *
 *   http get ADDRESS PATH               prints the body
 *   http many ADDRESS PATH N            N requests, half of them on connections of their own; all must be the same page
 *   http hold ADDRESS PATH N MORE       N idle connections, then MORE of them; after `held` it waits for a line. At the
 *                                       end every connection must still be served
 *
 * An answer that is not a whole page with status 200 ends it with status 1. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGEST = 1 << 20, WAIT_SECONDS = 10, HTTP = 80 };

static struct sockaddr_in server = {.sin_family = AF_INET};
static char request[512], closing[512], body[LARGEST], expected[LARGEST];

static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    exit(1);
}

static int open_connection(void)
{
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(s, (void *)&server, sizeof server))
        fail("cannot connect: %m");
    return s;
}

/* One request and its whole answer; returns the length of the body. */
static size_t ask(int s, const char *text)
{
    char head[4096], *end = 0;
    size_t got = 0, length = strlen(text);
    if (write(s, text, length) != (ssize_t)length)
        fail("cannot send: %m");
    while (!end) {
        ssize_t n = read(s, head + got, sizeof head - 1 - got);
        if (n <= 0)
            fail("no answer: %s", n ? strerror(errno) : "the connection ended");
        head[got += n] = 0;
        end = memmem(head, got, "\r\n\r\n", 4);
    }
    char *field = strcasestr(head, "\r\nContent-Length: ");
    if (strncmp(head, "HTTP/1.1 200 ", 13) || !field || field > end)
        fail("a strange answer: %.*s", (int)(end - head), head);
    size_t size = strtoul(field + 18, 0, 10), have = head + got - (end + 4);
    if (size > LARGEST || have > size)
        fail("a body of %zu bytes, %zu have come", size, have);
    memcpy(body, end + 4, have);
    for (ssize_t n; have < size; have += n)
        if ((n = read(s, body + have, size - have)) <= 0)
            fail("the body ended after %zu of %zu bytes", have, size);
    return size;
}

static void same(size_t size, size_t wanted)
{
    if (size != wanted || memcmp(body, expected, size))
        fail("another page");
}

static void many(int n)
{
    int s = open_connection();
    size_t size = ask(s, request);
    memcpy(expected, body, size);
    for (int i = 0; i < n / 2; i++)
        same(ask(s, request), size);
    close(s);
    for (int i = n / 2; i < n; i++) {
        s = open_connection();
        same(ask(s, closing), size);
        close(s);
    }
    puts("answered");
}

static void held(void)
{
    char line[16];
    puts("held");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(1);
}

static void hold(int n, int more)
{
    int *all = calloc(n + more, sizeof *all);
    size_t size = 0;
    for (int i = 0; i < n + more; i++) {
        size = ask(all[i] = open_connection(), request);
        if (i == n - 1)
            held();
    }
    memcpy(expected, body, size);
    held();
    for (int i = 0; i < n + more; i++)
        same(ask(all[i], request), size);
    puts("served");
}

int main(int argc, char **argv)
{
    if (argc < 4 || !inet_aton(argv[2], &server.sin_addr))
        return 2;
    server.sin_port = htons(HTTP);
    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", argv[3]);
    snprintf(closing, sizeof closing, "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", argv[3]);
    if (!strcmp(argv[1], "get"))
        fwrite(body, 1, ask(open_connection(), request), stdout);
    else if (!strcmp(argv[1], "many") && argc == 5)
        many(atoi(argv[4]));
    else if (!strcmp(argv[1], "hold") && argc == 6)
        hold(atoi(argv[4]), atoi(argv[5]));
    else
        return 2;
    return 0;
}
