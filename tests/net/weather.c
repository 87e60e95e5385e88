/* Bulk data over a bad link, of which every byte is checked. Run as
     weather serve                    in the guest
     weather from|to ADDRESS BYTES    on this computer: receives or sends so much, and prints how long the receiver has
                                      waited for more at worst, in milliseconds */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 7100, PIECE = 64 << 10 };

#define CHECK(condition) do { if (!(condition)) wrong(__LINE__, #condition); } while (0)

struct order {
	uint32_t kind, bytes;
};

static void wrong(int line, const char *what)
{
	printf("weather.c:%d: %s: %m\n", line, what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* What byte `at` is: nothing that repeats, so that a byte in another one's place shows. */
static unsigned char noise(uint32_t at)
{
	uint32_t x = (at >> 2) * 2654435761u;
	x ^= x >> 15;
	return x * 2246822519u >> (8 * (at & 3));
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

static void send_noise(int s, uint32_t bytes)
{
	static unsigned char piece[PIECE];
	for (uint32_t at = 0, n; at < bytes; at += n) {
		n = bytes - at < PIECE ? bytes - at : PIECE;
		for (uint32_t i = 0; i < n; i++)
			piece[i] = noise(at + i);
		put(s, piece, n);
	}
}

/* Returns the longest time between two pieces. */
static uint32_t receive_noise(int s, uint32_t bytes)
{
	static unsigned char piece[PIECE];
	uint64_t longest = 0, last = now();
	for (uint32_t at = 0; at < bytes;) {
		uint32_t left = bytes - at;
		ssize_t n = read(s, piece, left < PIECE ? left : PIECE);
		CHECK(n > 0);
		uint64_t t = now();
		if (t - last > longest)
			longest = t - last;
		last = t;
		for (ssize_t i = 0; i < n; i++)
			CHECK(piece[i] == noise(at + i));
		at += n;
	}
	return longest;
}

static void serve(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int l = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!bind(l, (void *)&a, sizeof a) && !listen(l, 8));
	puts("serving");
	fflush(stdout);
	for (;;) {
		struct order order;
		int s = accept(l, 0, 0);
		CHECK(s >= 0);
		get(s, &order, sizeof order);
		if (order.kind == 't') {
			uint32_t longest = receive_noise(s, order.bytes);
			put(s, &longest, sizeof longest);
		} else {
			send_noise(s, order.bytes);
		}
		CHECK(!read(s, &order, 1));
		close(s);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	if (argc == 2)
		serve();
	if (argc != 4 || !inet_aton(argv[2], &a.sin_addr))
		return 2;
	struct order order = {argv[1][0], atoi(argv[3])};
	uint32_t longest;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(s, (void *)&a, sizeof a));
	put(s, &order, sizeof order);
	if (order.kind == 't') {
		send_noise(s, order.bytes);
		get(s, &longest, sizeof longest);
	} else {
		longest = receive_noise(s, order.bytes);
	}
	/* The other side's end, too: the forwarder ends with this program. */
	char more;
	CHECK(!shutdown(s, SHUT_WR) && !read(s, &more, 1));
	printf("pause=%u\n", longest);
	return 0;
}
