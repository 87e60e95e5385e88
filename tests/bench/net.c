/* TCP between this computer and a guest of `cargo unibody bench net`:
 *
 *   net serve                   in the guest; prints `serving`
 *   net to ADDRESS MIB          sends so much, and waits until the guest says how much has come
 *   net from ADDRESS MIB        receives so much
 *   net ask ADDRESS N           N requests of 128 bytes, one after the other, each answered with 612
 *
 * A client prints `ns=` and how long it took. All bytes are checked, in the guest one block of 16: there it would be
 * part of what is measured. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 5201, BLOCK = 128 << 10, MIB = 1 << 20, REQUEST = 128, ANSWER = 612, CHECKED = 16, WAIT_SECONDS = 60 };

#define CHECK(condition) do { if (!(condition)) wrong(__LINE__, #condition); } while (0)

/* What a client asks for. */
struct order {
    char kind;
    int amount;
};

static char block[BLOCK], got[BLOCK];

static void wrong(int line, const char *what)
{
    fprintf(stderr, "net.c:%d: %s: %m\n", line, what);
    exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void put(int s, const void *bytes, size_t n)
{
    for (ssize_t some; n; n -= some, bytes = (const char *)bytes + some)
        CHECK((some = write(s, bytes, n)) > 0);
}

static void get(int s, void *bytes, size_t n)
{
    for (ssize_t some; n; n -= some, bytes = (char *)bytes + some)
        CHECK((some = read(s, bytes, n)) > 0);
}

static void send_blocks(int s, int megabytes)
{
    for (int i = 0; i < megabytes * (MIB / BLOCK); i++)
        put(s, block, BLOCK);
}

static void receive_blocks(int s, int megabytes, int every)
{
    for (int i = 0; i < megabytes * (MIB / BLOCK); i++) {
        get(s, got, BLOCK);
        CHECK(i % every || !memcmp(got, block, BLOCK));
    }
}

static void serve_one(int s)
{
    struct order order;
    char request[REQUEST];
    get(s, &order, sizeof order);
    if (order.kind == 't') {
        receive_blocks(s, order.amount, CHECKED);
        put(s, &order, sizeof order);
    } else if (order.kind == 'f') {
        send_blocks(s, order.amount);
    } else {
        for (int i = 0; i < order.amount; i++)
            get(s, request, REQUEST), put(s, block, ANSWER);
    }
    /* The client closes first. */
    CHECK(!read(s, request, 1));
    close(s);
}

static void no_delay(int s)
{
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    CHECK(s >= 0 && !setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
    CHECK(!setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait));
}

static void serve(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(!bind(listener, (void *)&a, sizeof a) && !listen(listener, 8));
    puts("serving");
    fflush(stdout);
    for (;;) {
        int s = accept(listener, 0, 0);
        no_delay(s);
        serve_one(s);
    }
}

static void client(const char *address, struct order order)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct order back;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(inet_aton(address, &a.sin_addr));
    no_delay(s);
    CHECK(!connect(s, (void *)&a, sizeof a));
    long long start = now();
    put(s, &order, sizeof order);
    if (order.kind == 't') {
        send_blocks(s, order.amount);
        get(s, &back, sizeof back);
        CHECK(back.kind == order.kind && back.amount == order.amount);
    } else if (order.kind == 'f') {
        receive_blocks(s, order.amount, 1);
    } else {
        for (int i = 0; i < order.amount; i++) {
            put(s, block, REQUEST), get(s, got, ANSWER);
            CHECK(!memcmp(got, block, ANSWER));
        }
    }
    long long took = now() - start;
    /* The other side's end, too: whoever passes frames on may end with this program. */
    CHECK(!shutdown(s, SHUT_WR) && !read(s, got, 1));
    printf("ns=%lld\n", took);
    close(s);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < BLOCK; i++)
        block[i] = i * 31 + (i >> 8);
    if (argc == 2 && !strcmp(argv[1], "serve"))
        serve();
    if (argc != 4 || atoi(argv[3]) < 1)
        return 2;
    struct order order;
    memset(&order, 0, sizeof order);
    order.kind = *argv[1], order.amount = atoi(argv[3]);
    client(argv[2], order);
    return 0;
}
